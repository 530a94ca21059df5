// Settings of modules: definitions, what placeholders said before, reserved prefixes.
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PANIC, levelName } from '../../../src/elog/error-data.js';
import { configureLog, setClientSink, setExitProcess } from '../../../src/elog/elog.js';
import { setMyBackendType } from '../../../src/globals.js';
import {
  defineCustomBoolVariable,
  defineCustomEnumVariable,
  defineCustomIntVariable,
  defineCustomStringVariable,
  markGUCPrefixReserved,
} from '../../../src/guc/custom.js';
import { getConfigOption, processConfigFileInternal, setConfigOption } from '../../../src/guc/guc.js';
import { initializeGUCOptions } from '../../../src/guc/variables.js';
import { tempDir } from '../../helpers/index.js';

const shortDesc = 'For a test.';
let log: string[] = [];
beforeEach(() => {
  initializeGUCOptions();
  configureLog({ minMessages: PANIC }); // the sink has it all
  log = [];
  setClientSink((level, { message, detail }) => log.push(`${levelName(level)}:  ${message}${detail === undefined ? '' : ` (${detail})`}`));
});
afterEach(() => {
  setClientSink(null);
  setMyBackendType('application');
  initializeGUCOptions();
});

describe('defineCustom…Variable', () => {
  test('gives the boot value, of its type', () => {
    defineCustomBoolVariable('m.b', { shortDesc, bootValue: true });
    defineCustomIntVariable('m.i', { shortDesc, bootValue: -5 });
    defineCustomStringVariable('m.s', { shortDesc, bootValue: 'x' });
    defineCustomStringVariable('m.null', { shortDesc, bootValue: null });
    defineCustomEnumVariable('m.e', { shortDesc, bootValue: 'slow', options: ['fast', 'slow'] });
    expect(['m.b', 'm.i', 'm.s', 'm.null', 'm.e'].map((name) => getConfigOption(name))).toStrictEqual([true, -5, 'x', null, 'slow']);
  });
  test('reads what a placeholder was given', () => {
    setConfigOption('worker_spi.naptime', '1min', 'command line');
    setConfigOption('Worker_SPI.Enabled', 'f', 'command line');
    defineCustomIntVariable('worker_spi.naptime', { shortDesc, bootValue: 10, minValue: 1, unit: 's' });
    defineCustomBoolVariable('worker_spi.enabled', { shortDesc, bootValue: true, context: 'postmaster' });
    expect(getConfigOption('worker_spi.naptime')).toBe(60);
    expect(getConfigOption('worker_spi.enabled')).toBe(false);
    expect(log).toStrictEqual([]);
  });
  test('a bad placeholder is a warning, and the default stands', () => {
    setConfigOption('m.i', '0', 'command line');
    setConfigOption('m.b', 'maybe', 'command line');
    defineCustomIntVariable('m.i', { shortDesc, bootValue: 10, minValue: 1, maxValue: 100, unit: 's' });
    defineCustomBoolVariable('m.b', { shortDesc, bootValue: true });
    expect(getConfigOption('m.i')).toBe(10);
    expect(log).toStrictEqual([
      'WARNING:  0 s is outside the valid range for parameter "m.i" (1 .. 100)',
      'WARNING:  parameter "m.b" requires a Boolean value',
    ]);
  });
  test('keeps the source of a placeholder: the file may change what the file said, not what the command line said', () => {
    const path = join(tempDir(), 'bgworker.conf');
    writeFileSync(path, 'm.i = 3\nm.j = 3\n');
    setConfigOption('m.j', '9', 'command line');
    processConfigFileInternal(path, 'postmaster');
    defineCustomIntVariable('m.i', { shortDesc, bootValue: 1 });
    defineCustomIntVariable('m.j', { shortDesc, bootValue: 1 });
    writeFileSync(path, 'm.j = 4\n');
    processConfigFileInternal(path, 'sighup');
    expect([getConfigOption('m.i'), getConfigOption('m.j')]).toStrictEqual([1, 9]);
    expect(log).toStrictEqual(['LOG:  parameter "m.i" removed from configuration file, reset to default']);
  });
  test('is reloadable unless it says otherwise', () => {
    const path = join(tempDir(), 'bgworker.conf');
    writeFileSync(path, 'm.reload = 2\nm.restart = 2\n');
    defineCustomIntVariable('m.reload', { shortDesc, bootValue: 1 });
    defineCustomIntVariable('m.restart', { shortDesc, bootValue: 1, context: 'postmaster' });
    processConfigFileInternal(path, 'sighup');
    expect([getConfigOption('m.reload'), getConfigOption('m.restart')]).toStrictEqual([2, 1]);
  });
  test('an internal one never changes', () => {
    defineCustomIntVariable('m.i', { shortDesc, bootValue: 1, context: 'internal' });
    expect(() => setConfigOption('m.i', '2', 'override')).toThrow('parameter "m.i" cannot be changed');
  });
  test('hooks: the check sees a value before the assignment, which sees the first one too', () => {
    const assigned: number[] = [];
    const bootValue = 2;
    defineCustomIntVariable('m.even', { shortDesc, bootValue, checkHook: (n) => n % 2 === 0, assignHook: (n) => assigned.push(n) });
    setConfigOption('m.even', '4', 'command line');
    expect(() => setConfigOption('m.even', '5', 'command line')).toThrow('invalid value for parameter "m.even": 5');
    expect(assigned).toStrictEqual([2, 4]);
  });
  test('not twice, and nothing that is built in', () => {
    defineCustomBoolVariable('m.b', { shortDesc, bootValue: true });
    expect(() => defineCustomIntVariable('M.B', { shortDesc, bootValue: 1 })).toThrow('attempt to redefine parameter "M.B"');
  });
  test.each(['naptime', 'a b.c', '.x', 'x-y.z', ''])('not as %j', (name) =>
    expect(() => defineCustomBoolVariable(name, { shortDesc, bootValue: true })).toThrow(`invalid configuration parameter name "${name}"`),
  );
  test('not with a boot value that would not pass', () => {
    expect(() => defineCustomIntVariable('m.i', { shortDesc, bootValue: 0, minValue: 1, maxValue: 3 })).toThrow(
      '0 is outside the valid range for parameter "m.i" (1 .. 3)',
    );
    expect(() => defineCustomIntVariable('m.i', { shortDesc, bootValue: '1' as unknown as number })).toThrow(TypeError);
    expect(() => defineCustomBoolVariable('m.i', { shortDesc, bootValue: null as unknown as boolean })).toThrow('must be a boolean, not null');
    expect(() => defineCustomEnumVariable('m.i', { shortDesc, bootValue: 'c', options: ['a', 'b'] })).toThrow(
      'invalid value for parameter "m.i": "c"',
    );
    expect(() => defineCustomIntVariable('m.i', { shortDesc, bootValue: 1, unit: 'weeks' as 's' })).toThrow(TypeError);
    expect(() => defineCustomIntVariable('m.i', { shortDesc, bootValue: 1, context: 'now' as 'user' })).toThrow(TypeError);
  });
  test('none that needs a restart, once the start is over', () => {
    setMyBackendType('background worker');
    setExitProcess((code) => {
      throw new Error(`exit ${code}`);
    });
    expect(() => defineCustomIntVariable('m.i', { shortDesc, bootValue: 1, context: 'postmaster' })).toThrow('exit 1');
    expect(log).toStrictEqual(['FATAL:  cannot create PGC_POSTMASTER variables after startup']);
    defineCustomIntVariable('m.i', { shortDesc, bootValue: 1 });
  });
});

describe('markGUCPrefixReserved', () => {
  test('removes misspelt settings with a warning, and takes no new ones', () => {
    setConfigOption('m.nap', '1', 'command line');
    setConfigOption('mm.nap', '1', 'command line');
    setConfigOption('m.naptime', '1', 'command line');
    defineCustomIntVariable('m.naptime', { shortDesc, bootValue: 10 });
    markGUCPrefixReserved('m');
    expect(log).toStrictEqual(['WARNING:  invalid configuration parameter name "m.nap", removing it ("m" is now a reserved prefix.)']);
    expect(getConfigOption('m.naptime')).toBe(1);
    expect(getConfigOption('mm.nap')).toBe('1');
    expect(() => getConfigOption('m.nap')).toThrow('unrecognized configuration parameter "m.nap"');
    expect(() => setConfigOption('m.other', '1', 'session')).toThrow('invalid configuration parameter name "m.other"');
  });
  test('a file with such a name is refused in that line only', () => {
    markGUCPrefixReserved('m');
    const path = join(tempDir(), 'bgworker.conf');
    writeFileSync(path, 'm.x = 1\nrestart_after_crash = off\n');
    processConfigFileInternal(path, 'sighup');
    expect(getConfigOption('restart_after_crash')).toBe(false);
    expect(log[0]).toBe('LOG:  invalid configuration parameter name "m.x" ("m" is a reserved prefix.)');
  });
});
