// Values and their sources: the command line, the file at start and at reload. The sequences and texts were read off PostgreSQL 15.
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ErrorData, type ErrorFields, levelName } from '../../../src/elog/error-data.js';
import { formatLogRecord, setClientSink } from '../../../src/elog/elog.js';
import { setMyBackendType } from '../../../src/globals.js';
import { getConfigOption, parseLongOption, processConfigFile, setConfigOption } from '../../../src/guc/guc.js';
import { SETTINGS } from '../../../src/guc/settings.js';
import { initializeGUCOptions } from '../../../src/guc/variables.js';
import { parseAndValidateValue } from '../../../src/guc/value.js';
import { tempDir } from '../../helpers/index.js';

let log: string[] = [];
let records: (ErrorFields & { level: number })[] = [];
beforeEach(() => {
  initializeGUCOptions();
  log = [];
  records = [];
  setClientSink((level, fields) => {
    log.push(`${levelName(level)}:  ${fields.message}`);
    if (fields.hint !== undefined) log.push(`HINT:  ${fields.hint}`);
    records.push({ ...fields, level });
  });
});
afterEach(() => {
  setClientSink(null);
  setMyBackendType('application');
  initializeGUCOptions();
});

function caught(run: () => void): ErrorData {
  try {
    run();
  } catch (err) {
    return err as ErrorData;
  }
  throw new Error('nothing was thrown');
}

/** A configuration file that can be written again. */
function confFile(text: string): { path: string; write: (text: string) => void } {
  const path = join(tempDir(), 'bgworker.conf');
  const write = (content: string) => writeFileSync(path, content);
  write(text);
  return { path, write };
}

describe('the table', () => {
  test('has the defaults of release 15, and ours', () =>
    expect(Object.fromEntries(SETTINGS.map(({ name }) => [name, getConfigOption(name)]))).toStrictEqual({
      max_worker_processes: 8,
      max_parallel_workers: 8,
      max_connections: 100,
      shared_preload_libraries: '',
      dynamic_library_path: '$libdir',
      restart_after_crash: true,
      log_min_messages: 'warning',
      log_line_prefix: '%m [%p] ',
      cluster_name: 'bgworker',
      update_process_title: true,
      database: 'owned',
      pg_bindir: '',
      allow_root: false,
      allow_orphan_workers: false,
      allow_workers_without_shmem: true,
    }));
  test.each(SETTINGS.map((setting) => [setting.name, setting] as const))('%s: the default passes its own check', (name, setting) =>
    expect(parseAndValidateValue(setting, name, String(setting.bootValue))).toStrictEqual({ value: setting.bootValue }),
  );
});

describe('getConfigOption', () => {
  test('any case will do', () => expect(getConfigOption('Max_Worker_PROCESSES')).toBe(8));
  test('an unknown name is an error, with a dot too', () => {
    expect(caught(() => getConfigOption('nonsense'))).toMatchObject({
      code: '42704',
      message: 'unrecognized configuration parameter "nonsense"',
    });
    expect(caught(() => getConfigOption('non.sense')).code).toBe('42704');
  });
});

describe('setConfigOption', () => {
  test('sets, with types', () => {
    setConfigOption('max_worker_processes', '0x10', 'command line');
    setConfigOption('restart_after_crash', 'of', 'command line');
    setConfigOption('log_min_messages', 'DEBUG', 'command line');
    setConfigOption('DATABASE', 'none', 'command line');
    expect(getConfigOption('max_worker_processes')).toBe(16);
    expect(getConfigOption('restart_after_crash')).toBe(false);
    expect(getConfigOption('log_min_messages')).toBe('debug2');
    expect(getConfigOption('database')).toBe('none');
  });
  const errors: [string, string, string, string, string?][] = [
    ['nonsense', '1', '42704', 'unrecognized configuration parameter "nonsense"'],
    ['max_worker_processes', 'abc', '22023', 'invalid value for parameter "max_worker_processes": "abc"'],
    ['max_worker_processes', '8kB', '22023', 'invalid value for parameter "max_worker_processes": "8kB"'],
    ['max_worker_processes', '', '22023', 'invalid value for parameter "max_worker_processes": ""'],
    [
      'max_worker_processes',
      '99999999999',
      '22023',
      'invalid value for parameter "max_worker_processes": "99999999999"',
      'Value exceeds integer range.',
    ],
    ['max_worker_processes', '-1', '22023', '-1 is outside the valid range for parameter "max_worker_processes" (0 .. 262143)'],
    ['MAX_connections', '0x0', '22023', '0 is outside the valid range for parameter "MAX_connections" (1 .. 262143)'],
    ['restart_after_crash', '2', '22023', 'parameter "restart_after_crash" requires a Boolean value'],
    [
      'log_min_messages',
      'foo',
      '22023',
      'invalid value for parameter "log_min_messages": "foo"',
      'Available values: debug5, debug4, debug3, debug2, debug1, info, notice, warning, error, log, fatal, panic.',
    ],
    ['foo.b-r', '1', '42602', 'invalid configuration parameter name "foo.b-r"'],
    ['.x', '1', '42602', 'invalid configuration parameter name ".x"'],
    ['x.', '1', '42602', 'invalid configuration parameter name "x."'],
    ['1a.x', '1', '42602', 'invalid configuration parameter name "1a.x"'],
  ];
  test.each(errors)('%s = %j', (name, text, code, message, hint) => {
    const err = caught(() => setConfigOption(name, text, 'command line'));
    expect({ code: err.code, message: err.message, hint: err.hint }).toStrictEqual({ code, message, hint });
    expect(log).toStrictEqual([]);
  });
  test('an impossible custom name says what a possible one is', () =>
    expect(caught(() => setConfigOption('a.b-c', '1', 'command line')).detail).toBe(
      'Custom parameter names must be two or more simple identifiers separated by dots.',
    ));
  test('a custom name becomes a placeholder', () => {
    setConfigOption('a.b.c$1', 'DeBug', 'command line');
    expect(getConfigOption('A.b.C$1')).toBe('DeBug');
  });
  test('a higher source stays, and a bad value from a lower one is reported all the same', () => {
    setConfigOption('max_connections', '5', 'command line');
    setConfigOption('max_connections', '6', 'file');
    expect(getConfigOption('max_connections')).toBe(5);
    setConfigOption('max_connections', 'x', 'file');
    expect(log).toStrictEqual(['LOG:  invalid value for parameter "max_connections": "x"']);
    setConfigOption('max_connections', '7', 'override');
    expect(getConfigOption('max_connections')).toBe(7);
  });
  test('within a running process little may change', () => {
    expect(caught(() => setConfigOption('max_connections', '5', 'session'))).toMatchObject({
      code: '55P02',
      message: 'parameter "max_connections" cannot be changed without restarting the server',
    });
    expect(caught(() => setConfigOption('restart_after_crash', 'on', 'session'))).toMatchObject({
      code: '55P02',
      message: 'parameter "restart_after_crash" cannot be changed now',
    });
    setConfigOption('my.own', 'x', 'session');
    expect(getConfigOption('my.own')).toBe('x');
  });
  test('the log takes its settings at once', () => {
    setConfigOption('log_line_prefix', '<%p> ', 'command line');
    expect(formatLogRecord(19, { message: 'm' })).toBe(`<${process.pid}> WARNING:  m\n`);
    initializeGUCOptions();
    expect(formatLogRecord(19, { message: 'm' })).toMatch(/ UTC \[\d+\] WARNING: {2}m\n$/);
  });
});

describe('parseLongOption', () => {
  test('takes name and value apart', () => {
    expect(parseLongOption('a=b')).toStrictEqual(['a', 'b']);
    expect(parseLongOption('max-worker-processes=3')).toStrictEqual(['max_worker_processes', '3']);
    expect(parseLongOption('database=host=/tmp a-b=c')).toStrictEqual(['database', 'host=/tmp a-b=c']);
    expect(parseLongOption('a=')).toStrictEqual(['a', '']);
  });
  test('wants a value', () =>
    expect(caught(() => parseLongOption('max_connections'))).toMatchObject({ code: '42601', message: '-c max_connections requires a value' }));
});

describe('processConfigFile, at start', () => {
  test('applies the file below the command line', () => {
    setConfigOption('max_connections', '5', 'command line');
    const { path } = confFile("max_connections = 50\nMax_Worker_Processes 3\ncluster_name = 'a b'\nfoo.bar = 'x'\n");
    processConfigFile(path, 'postmaster');
    expect(getConfigOption('max_connections')).toBe(5);
    expect(getConfigOption('max_worker_processes')).toBe(3);
    expect(getConfigOption('cluster_name')).toBe('a b');
    expect(getConfigOption('foo.bar')).toBe('x');
    expect(log).toStrictEqual([]);
  });
  test('the last of several lines for one setting counts; the others are not even read', () => {
    processConfigFile(confFile('max_connections = bogus\nMAX_connections = 7\n').path, 'postmaster');
    expect(getConfigOption('max_connections')).toBe(7);
    expect(log).toStrictEqual([]);
  });
  test('no file is an empty file', () => {
    processConfigFile(join(tempDir(), 'none.conf'), 'postmaster');
    expect(log).toStrictEqual([]);
  });
  test('a directory in its place is an error', () => {
    const path = join(tempDir(), 'bgworker.conf');
    mkdirSync(path);
    const err = caught(() => processConfigFile(path, 'postmaster'));
    expect(err).toMatchObject({ code: 'F0000', severity: 'FATAL', message: `configuration file "${path}" contains errors` });
    expect(log).toStrictEqual([`LOG:  could not open configuration file "${path}": Is a directory`]);
  });
  test.runIf(process.getuid?.() !== 0)('so is one that may not be read', () => {
    const { path } = confFile('');
    chmodSync(path, 0);
    expect(() => processConfigFile(path, 'postmaster')).toThrow('contains errors');
    expect(log).toStrictEqual([`LOG:  could not open configuration file "${path}": Permission denied`]);
  });
  test('a syntax error is reported, and nothing is applied', () => {
    const { path } = confFile('max_connections = 7\nnonsense = 4\nport = \n');
    expect(caught(() => processConfigFile(path, 'postmaster')).message).toBe(`configuration file "${path}" contains errors`);
    expect(log).toStrictEqual([`LOG:  syntax error in file "${path}" line 3, near end of line`]);
    expect(getConfigOption('max_connections')).toBe(100);
  });
  test('every unknown name is reported, and nothing is applied', () => {
    const { path } = confFile('max_connections = 7\nnonsense = 4\nmore_nonsense = 4\nmax_worker_processes = -1\n');
    expect(() => processConfigFile(path, 'postmaster')).toThrow('contains errors');
    expect(log).toStrictEqual([
      `LOG:  unrecognized configuration parameter "nonsense" in file "${path}" line 2`,
      `LOG:  unrecognized configuration parameter "more_nonsense" in file "${path}" line 3`,
    ]);
    expect(getConfigOption('max_connections')).toBe(100);
  });
  test('every bad value is reported', () => {
    const { path } = confFile('max_worker_processes = -1\nrestart_after_crash = 3\nfoo.x = 3\n');
    expect(() => processConfigFile(path, 'postmaster')).toThrow('contains errors');
    expect(log).toStrictEqual([
      'LOG:  -1 is outside the valid range for parameter "max_worker_processes" (0 .. 262143)',
      'LOG:  parameter "restart_after_crash" requires a Boolean value',
    ]);
  });
});

describe('processConfigFile, at reload', () => {
  test('changes what may change, and says so', () => {
    const { path, write } = confFile('');
    processConfigFile(path, 'postmaster');
    write("restart_after_crash = off\nlog_line_prefix = 'it''s \\101\\n%m '\nLOG_min_messages = Log\nfoo.bar = 'x'\n");
    processConfigFile(path, 'sighup');
    expect(log).toStrictEqual([
      'LOG:  parameter "restart_after_crash" changed to "off"',
      'LOG:  parameter "log_line_prefix" changed to "it\'s A\n%m "',
      'LOG:  parameter "LOG_min_messages" changed to "Log"',
      'LOG:  parameter "foo.bar" changed to "x"',
    ]);
    expect(getConfigOption('restart_after_crash')).toBe(false);
    expect(getConfigOption('log_min_messages')).toBe('log');
  });
  test('another spelling of the same value is no change', () => {
    const { path, write } = confFile('restart_after_crash = off\nmax_connections = 16\n');
    processConfigFile(path, 'postmaster');
    write("restart_after_crash = 'no'\nmax_connections = 0x10\n");
    processConfigFile(path, 'sighup');
    expect(log).toStrictEqual([]);
  });
  test('what needs a restart stays, and the rest is applied', () => {
    const { path, write } = confFile('max_connections = 16\n');
    processConfigFile(path, 'postmaster');
    write('max_connections = 17\nrestart_after_crash = off\n');
    processConfigFile(path, 'sighup');
    expect(log).toStrictEqual([
      'LOG:  parameter "max_connections" cannot be changed without restarting the server',
      'LOG:  parameter "restart_after_crash" changed to "off"',
      `LOG:  configuration file "${path}" contains errors; unaffected changes were applied`,
    ]);
    expect(records.map(({ code }) => code)).toStrictEqual(['55P02', undefined, 'F0000']);
    expect(getConfigOption('max_connections')).toBe(16);
  });
  test('so does one that the command line gave otherwise', () => {
    setConfigOption('max_worker_processes', '7', 'command line');
    const { path } = confFile('max_worker_processes = 9\n');
    processConfigFile(path, 'postmaster');
    processConfigFile(path, 'sighup');
    expect(log[0]).toBe('LOG:  parameter "max_worker_processes" cannot be changed without restarting the server');
    expect(getConfigOption('max_worker_processes')).toBe(7);
  });
  test('bad values are reported and skipped', () => {
    const { path, write } = confFile('restart_after_crash = off\n');
    processConfigFile(path, 'postmaster');
    write('log_min_messages = bogus\nrestart_after_crash maybe\nmax_parallel_workers = 5 \ndynamic_library_path = /\n'.replace(' /', " '/'"));
    processConfigFile(path, 'sighup');
    expect(log).toStrictEqual([
      'LOG:  invalid value for parameter "log_min_messages": "bogus"',
      'HINT:  Available values: debug5, debug4, debug3, debug2, debug1, info, notice, warning, error, log, fatal, panic.',
      'LOG:  parameter "restart_after_crash" requires a Boolean value',
      'LOG:  parameter "max_parallel_workers" changed to "5"',
      'LOG:  parameter "dynamic_library_path" changed to "/"',
      `LOG:  configuration file "${path}" contains errors; unaffected changes were applied`,
    ]);
    expect(getConfigOption('restart_after_crash')).toBe(false);
  });
  test('a file with a syntax error or an unknown name changes nothing', () => {
    const { path, write } = confFile('restart_after_crash = off\n');
    processConfigFile(path, 'postmaster');
    for (const bad of ['= 3\n', 'nonsense = 3\n']) {
      write(`max_parallel_workers = 5\n${bad}`);
      processConfigFile(path, 'sighup');
      expect(log.at(-1)).toBe(`LOG:  configuration file "${path}" contains errors; no changes were applied`);
      expect(getConfigOption('max_parallel_workers')).toBe(8);
      expect(getConfigOption('restart_after_crash')).toBe(false);
    }
  });
  test('what is not in the file any more has its default again, unless that needs a restart', () => {
    const { path, write } = confFile("restart_after_crash = off\nmax_connections = 16\nfoo.bar = 'x'\n");
    processConfigFile(path, 'postmaster');
    write('max_parallel_workers = 5\n');
    processConfigFile(path, 'sighup');
    expect(log).toStrictEqual([
      'LOG:  parameter "max_connections" cannot be changed without restarting the server',
      'LOG:  parameter "restart_after_crash" removed from configuration file, reset to default',
      'LOG:  parameter "foo.bar" removed from configuration file, reset to default',
      'LOG:  parameter "max_parallel_workers" changed to "5"',
      `LOG:  configuration file "${path}" contains errors; unaffected changes were applied`,
    ]);
    expect(getConfigOption('restart_after_crash')).toBe(true);
    expect(getConfigOption('max_connections')).toBe(16);
    expect(getConfigOption('foo.bar')).toBe('');
  });
  test('a file that has gone resets all that may change', () => {
    const { path } = confFile('restart_after_crash = off\n');
    processConfigFile(path, 'postmaster');
    rmSync(path);
    processConfigFile(path, 'sighup');
    expect(getConfigOption('restart_after_crash')).toBe(true);
  });
  test('the command line still counts more', () => {
    setConfigOption('restart_after_crash', 'on', 'command line');
    processConfigFile(confFile('restart_after_crash = off\n').path, 'sighup');
    expect(getConfigOption('restart_after_crash')).toBe(true);
    expect(log).toStrictEqual([]);
  });
  test('a child applies the same and keeps quiet', () => {
    setMyBackendType('background worker');
    processConfigFile(confFile('max_connections = 3\nrestart_after_crash = off\nlog_min_messages = x\n').path, 'sighup');
    expect(getConfigOption('restart_after_crash')).toBe(false);
    expect(getConfigOption('max_connections')).toBe(100);
    expect(records.every(({ level }) => level <= 13)).toBe(true);
    expect(log).not.toStrictEqual([]);
  });
});
