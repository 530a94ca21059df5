// From text to value: spellings, units, ranges. The expectations were read off PostgreSQL 15.
import { describe, expect, test } from 'vitest';
import type { SettingDefinition } from '../../../src/guc/settings.js';
import { parseAndValidateValue, parseBool, parseInt } from '../../../src/guc/value.js';

const common = { name: 'x', context: 'sighup', shortDesc: '' } as const;
const error = (definition: SettingDefinition, text: string) => {
  const parsed = parseAndValidateValue(definition, definition.name, text);
  return 'error' in parsed ? parsed.error : undefined;
};

describe('parseBool', () => {
  const yes = ['t', 'tr', 'tru', 'true', 'TRUE', 'y', 'ye', 'yes', 'YES', 'on', 'On', '1'];
  const no = ['f', 'fa', 'fal', 'fals', 'false', 'n', 'no', 'NO', 'of', 'off', 'OFF', '0'];
  test.each(yes)('%s is true', (text) => expect(parseBool(text)).toBe(true));
  test.each(no)('%s is false', (text) => expect(parseBool(text)).toBe(false));
  const neither = ['', 'o', 'truex', 'yess', 'onn', 'offf', '2', '10', '01', ' on', 'on ', 'maybe'];
  test.each(neither)('"%s" is neither', (text) => expect(parseBool(text)).toBeNull());
});

describe('parseInt', () => {
  const plain: [string, number][] = [
    ['8', 8],
    ['-3', -3],
    ['+3', 3],
    [' 7 ', 7],
    ['0x10', 16],
    ['0X1f', 31],
    ['010', 8],
    ['0', 0],
    ['-0', 0],
    ['010.0', 10],
    ['010e1', 100],
    ['1e3', 1000],
    ['1.5e1', 15],
    ['.4', 0],
    ['3.5', 4],
    ['2.5', 2],
    ['-2.5', -2],
    ['10.', 10],
    ['2147483647', 2147483647],
    ['-2147483648', -2147483648],
  ];
  test.each(plain)('%s is %i', (text, value) => expect(parseInt(text)).toStrictEqual({ value }));

  const bad = ['', ' ', 'abc', '.', '-', '1x', '8kB', '09', '0x', '1 2', 'inf', 'nan', '1e400', 'e5', '--1'];
  test.each(bad)('"%s" is not an integer, and no hint says why', (text) => expect(parseInt(text)).toStrictEqual({ value: null }));

  test.each(['2147483648', '-2147483649', '99999999999', '99999999999999999999999'])('%s is too large', (text) =>
    expect(parseInt(text)).toStrictEqual({ value: null, hint: 'Value exceeds integer range.' }),
  );

  const withUnit: [string, 'ms' | 's' | 'min' | 'B' | 'kB' | 'MB', number][] = [
    ['5', 'ms', 5],
    ['2s', 'ms', 2000],
    ['2 min', 'ms', 120_000],
    ['1h', 'ms', 3_600_000],
    ['1d', 'ms', 86_400_000],
    ['1500us', 'ms', 2],
    ['500us', 'ms', 0],
    ['.0155s', 'ms', 16],
    [' 0x20ms', 'ms', 32],
    ['1500ms', 's', 2],
    ['1min ', 's', 60],
    ['90s', 'min', 2],
    ['2h', 'min', 120],
    ['1kB', 'B', 1024],
    ['1MB', 'kB', 1024],
    ['30.1GB', 'kB', 31561728],
    ['1TB', 'MB', 1048576],
    ['1024B', 'kB', 1],
  ];
  test.each(withUnit)('%s in %s is %i', (text, unit, value) => expect(parseInt(text, unit)).toStrictEqual({ value }));

  test.each(['3kB', '3 S', '3sec', '3 m s', '3minutes', '3e'])('%s names no unit of time', (text) =>
    expect(parseInt(text, 's')).toStrictEqual({
      value: null,
      hint: 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".',
    }),
  );
  test('a wrong unit of memory gets the units of memory', () =>
    expect(parseInt('3 XB', 'kB')).toStrictEqual({
      value: null,
      hint: 'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".',
    }));
  test('a unit can take a value out of the range of an integer', () =>
    expect(parseInt('99999d', 'ms')).toStrictEqual({ value: null, hint: 'Value exceeds integer range.' }));
});

describe('parseAndValidateValue', () => {
  const int: SettingDefinition = { ...common, type: 'int', bootValue: 8, minValue: 0, maxValue: 262143 };
  const naptime: SettingDefinition = { ...common, type: 'int', bootValue: 200, minValue: 10, maxValue: 10000, unit: 'ms' };
  const level: SettingDefinition = { ...common, type: 'enum', bootValue: 'log', options: ['log', 'error'], hidden: { debug: 'log' } };

  test('bool: the message', () =>
    expect(error({ ...common, type: 'bool', bootValue: true }, '2')).toStrictEqual({
      code: '22023',
      message: 'parameter "x" requires a Boolean value',
    }));
  test('int: not a number', () => expect(error(int, 'abc')).toStrictEqual({ code: '22023', message: 'invalid value for parameter "x": "abc"' }));
  test('int: out of range', () =>
    expect(error(int, '-1')).toStrictEqual({ code: '22023', message: '-1 is outside the valid range for parameter "x" (0 .. 262143)' }));
  test('int: out of range, with the unit', () =>
    expect(error(naptime, '1.5d')?.message).toBe('129600000 ms is outside the valid range for parameter "x" (10 .. 10000)'));
  test('int: both ends belong to the range', () => {
    expect(error(naptime, '10')).toBeUndefined();
    expect(error(naptime, '10s')).toBeUndefined();
  });
  test('int: the name as the user wrote it', () => {
    const parsed = parseAndValidateValue(int, 'X', '-1');
    expect('error' in parsed && parsed.error.message).toContain('"X"');
  });
  test('enum: any case, and hidden spellings', () => {
    expect(parseAndValidateValue(level, 'x', 'ERROR')).toStrictEqual({ value: 'error' });
    expect(parseAndValidateValue(level, 'x', 'Debug')).toStrictEqual({ value: 'log' });
  });
  test('enum: the hint lists what is not hidden', () =>
    expect(error(level, 'foo')).toStrictEqual({
      code: '22023',
      message: 'invalid value for parameter "x": "foo"',
      hint: 'Available values: log, error.',
    }));
  test('string: anything', () =>
    expect(parseAndValidateValue({ ...common, type: 'string', bootValue: '' }, 'x', ' ä ')).toStrictEqual({ value: ' ä ' }));
  test('string: a name is ASCII and 63 bytes long', () =>
    expect(parseAndValidateValue({ ...common, type: 'string', bootValue: '', isName: true }, 'x', `hé${'0123456789'.repeat(7)}`)).toStrictEqual({
      value: `h??${'0123456789'.repeat(6)}`,
    }));

  test('check hook: false gives the standard message, by type', () => {
    expect(error({ ...common, type: 'int', bootValue: 0, minValue: 0, maxValue: 9, checkHook: () => false }, '0x5')?.message).toBe(
      'invalid value for parameter "x": 5',
    );
    expect(error({ ...common, type: 'bool', bootValue: true, checkHook: () => false }, 'on')?.message).toBe('invalid value for parameter "x": on');
    expect(error({ ...common, type: 'string', bootValue: '', checkHook: () => false }, 'a')?.message).toBe('invalid value for parameter "x": "a"');
  });
  test('check hook: what it says goes into the report', () =>
    expect(error({ ...common, type: 'string', bootValue: '', checkHook: () => ({ detail: 'No.', code: '22000' }) }, 'a')).toStrictEqual({
      code: '22000',
      message: 'invalid value for parameter "x": "a"',
      detail: 'No.',
    }));
  test('check hook: sees the value, after the checks of the type', () => {
    const seen: unknown[] = [];
    const hooked: SettingDefinition = { ...int, type: 'int', minValue: 0, maxValue: 9, bootValue: 1, checkHook: (value) => seen.push(value) > 0 };
    parseAndValidateValue(hooked, 'x', '10');
    parseAndValidateValue(hooked, 'x', '5');
    expect(seen).toStrictEqual([5]);
  });
});
