// Values and their sources. The texts were read off PostgreSQL 15.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ErrorData, PANIC, levelName } from '../../../src/elog/error-data.js';
import { configureLog, formatLogRecord, setClientSink } from '../../../src/elog/elog.js';
import { setMyBackendType } from '../../../src/globals.js';
import { getConfigOption, parseLongOption, setConfigOption } from '../../../src/guc/guc.js';
import { SETTINGS } from '../../../src/guc/settings.js';
import { initializeGUCOptions } from '../../../src/guc/variables.js';
import { parseAndValidateValue } from '../../../src/guc/value.js';

let log: string[] = [];
beforeEach(() => {
  initializeGUCOptions();
  configureLog({ minMessages: PANIC }); // the sink has it all
  log = [];
  setClientSink((level, fields) => {
    log.push(`${levelName(level)}:  ${fields.message}`);
    if (fields.hint !== undefined) log.push(`HINT:  ${fields.hint}`);
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

describe('the table', () => {
  test('has the defaults of release 15, and ours', () =>
    expect(Object.fromEntries(SETTINGS.map(({ name }) => [name, getConfigOption(name)]))).toStrictEqual({
      worker_rlimits: '',
      post_auth_delay: 0,
      max_worker_processes: 8,
      max_parallel_workers: 8,
      max_connections: 100,
      shared_preload_libraries: '',
      dynamic_library_path: '$libdir',
      restart_after_crash: true,
      worker_restart_backoff_max: 0,
      worker_give_up_after: 0,
      crash_cycle_backoff_max: 0,
      crash_give_up_after: 0,
      log_destination: 'stderr',
      log_min_messages: 'warning',
      log_line_prefix: '%m [%p] ',
      log_fold_repeats: false,
      cluster_name: 'bgworker',
      database: 'owned',
      database_check_interval: 10,
      pg_bindir: '',
      user: '',
      preload_audit: 'error',
      allow_root: false,
      allow_writable_libraries: false,
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
