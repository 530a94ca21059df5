// The configuration file, at start and at reload. The sequences and texts were read off PostgreSQL 15.
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ErrorData, type ErrorFields, PANIC, levelName } from '../../../src/elog/error-data.js';
import { configureLog, setClientSink } from '../../../src/elog/elog.js';
import { setMyBackendType } from '../../../src/globals.js';
import { getConfigOption, processConfigFileInternal, setConfigOption } from '../../../src/guc/guc.js';
import { initializeGUCOptions } from '../../../src/guc/variables.js';
import { tempDir } from '../../helpers/index.js';

let log: string[] = [];
let records: (ErrorFields & { level: number })[] = [];
beforeEach(() => {
  initializeGUCOptions();
  configureLog({ minMessages: PANIC }); // the sink has it all
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

describe('processConfigFileInternal, at start', () => {
  test('applies the file below the command line', () => {
    setConfigOption('max_connections', '5', 'command line');
    const { path } = confFile("max_connections = 50\nMax_Worker_Processes 3\ncluster_name = 'a b'\nfoo.bar = 'x'\n");
    processConfigFileInternal(path, 'postmaster');
    expect(getConfigOption('max_connections')).toBe(5);
    expect(getConfigOption('max_worker_processes')).toBe(3);
    expect(getConfigOption('cluster_name')).toBe('a b');
    expect(getConfigOption('foo.bar')).toBe('x');
    expect(log).toStrictEqual([]);
  });
  test('the last of several lines for one setting counts; the others are not even read', () => {
    processConfigFileInternal(confFile('max_connections = bogus\nMAX_connections = 7\n').path, 'postmaster');
    expect(getConfigOption('max_connections')).toBe(7);
    expect(log).toStrictEqual([]);
  });
  test('no file is an empty file', () => {
    processConfigFileInternal(join(tempDir(), 'none.conf'), 'postmaster');
    expect(log).toStrictEqual([]);
  });
  test('a directory in its place is an error', () => {
    const path = join(tempDir(), 'bgworker.conf');
    mkdirSync(path);
    const err = caught(() => processConfigFileInternal(path, 'postmaster'));
    expect(err).toMatchObject({ code: 'F0000', severity: 'FATAL', message: `configuration file "${path}" contains errors` });
    expect(log).toStrictEqual([`LOG:  could not open configuration file "${path}": Is a directory`]);
  });
  test.runIf(process.getuid?.() !== 0)('so is one that may not be read', () => {
    const { path } = confFile('');
    chmodSync(path, 0);
    expect(() => processConfigFileInternal(path, 'postmaster')).toThrow('contains errors');
    expect(log).toStrictEqual([`LOG:  could not open configuration file "${path}": Permission denied`]);
  });
  test('a syntax error is reported, and nothing is applied', () => {
    const { path } = confFile('max_connections = 7\nnonsense = 4\nport = \n');
    expect(caught(() => processConfigFileInternal(path, 'postmaster')).message).toBe(`configuration file "${path}" contains errors`);
    expect(log).toStrictEqual([`LOG:  syntax error in file "${path}" line 3, near end of line`]);
    expect(getConfigOption('max_connections')).toBe(100);
  });
  test('every unknown name is reported, and nothing is applied', () => {
    const { path } = confFile('max_connections = 7\nnonsense = 4\nmore_nonsense = 4\nmax_worker_processes = -1\n');
    expect(() => processConfigFileInternal(path, 'postmaster')).toThrow('contains errors');
    expect(log).toStrictEqual([
      `LOG:  unrecognized configuration parameter "nonsense" in file "${path}" line 2`,
      `LOG:  unrecognized configuration parameter "more_nonsense" in file "${path}" line 3`,
    ]);
    expect(getConfigOption('max_connections')).toBe(100);
  });
  test('every bad value is reported', () => {
    const { path } = confFile('max_worker_processes = -1\nrestart_after_crash = 3\nfoo.x = 3\n');
    expect(() => processConfigFileInternal(path, 'postmaster')).toThrow('contains errors');
    expect(log).toStrictEqual([
      'LOG:  -1 is outside the valid range for parameter "max_worker_processes" (0 .. 262143)',
      'LOG:  parameter "restart_after_crash" requires a Boolean value',
    ]);
  });
});

describe('processConfigFileInternal, at reload', () => {
  test('changes what may change, and says so', () => {
    const { path, write } = confFile('');
    processConfigFileInternal(path, 'postmaster');
    write("restart_after_crash = off\nlog_line_prefix = 'it''s \\101\\n%m '\nLOG_min_messages = Log\nfoo.bar = 'x'\n");
    processConfigFileInternal(path, 'sighup');
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
    processConfigFileInternal(path, 'postmaster');
    write("restart_after_crash = 'no'\nmax_connections = 0x10\n");
    processConfigFileInternal(path, 'sighup');
    expect(log).toStrictEqual([]);
  });
  test('what needs a restart stays, and the rest is applied', () => {
    const { path, write } = confFile('max_connections = 16\n');
    processConfigFileInternal(path, 'postmaster');
    write('max_connections = 17\nrestart_after_crash = off\n');
    processConfigFileInternal(path, 'sighup');
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
    processConfigFileInternal(path, 'postmaster');
    processConfigFileInternal(path, 'sighup');
    expect(log[0]).toBe('LOG:  parameter "max_worker_processes" cannot be changed without restarting the server');
    expect(getConfigOption('max_worker_processes')).toBe(7);
  });
  test('bad values are reported and skipped', () => {
    const { path, write } = confFile('restart_after_crash = off\n');
    processConfigFileInternal(path, 'postmaster');
    write('log_min_messages = bogus\nrestart_after_crash maybe\nmax_parallel_workers = 5 \ndynamic_library_path = /\n'.replace(' /', " '/'"));
    processConfigFileInternal(path, 'sighup');
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
    processConfigFileInternal(path, 'postmaster');
    for (const bad of ['= 3\n', 'nonsense = 3\n']) {
      write(`max_parallel_workers = 5\n${bad}`);
      processConfigFileInternal(path, 'sighup');
      expect(log.at(-1)).toBe(`LOG:  configuration file "${path}" contains errors; no changes were applied`);
      expect(getConfigOption('max_parallel_workers')).toBe(8);
      expect(getConfigOption('restart_after_crash')).toBe(false);
    }
  });
  test('what is not in the file any more has its default again, unless that needs a restart', () => {
    const { path, write } = confFile("restart_after_crash = off\nmax_connections = 16\nfoo.bar = 'x'\n");
    processConfigFileInternal(path, 'postmaster');
    write('max_parallel_workers = 5\n');
    processConfigFileInternal(path, 'sighup');
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
    processConfigFileInternal(path, 'postmaster');
    rmSync(path);
    processConfigFileInternal(path, 'sighup');
    expect(getConfigOption('restart_after_crash')).toBe(true);
  });
  test('the command line still counts more', () => {
    setConfigOption('restart_after_crash', 'on', 'command line');
    processConfigFileInternal(confFile('restart_after_crash = off\n').path, 'sighup');
    expect(getConfigOption('restart_after_crash')).toBe(true);
    expect(log).toStrictEqual([]);
  });
  test('a child applies the same and keeps quiet', () => {
    setMyBackendType('background worker');
    processConfigFileInternal(confFile('max_connections = 3\nrestart_after_crash = off\nlog_min_messages = x\n').path, 'sighup');
    expect(getConfigOption('restart_after_crash')).toBe(false);
    expect(getConfigOption('max_connections')).toBe(100);
    expect(records.every(({ level }) => level <= 13)).toBe(true);
    expect(log).not.toStrictEqual([]);
  });
});
