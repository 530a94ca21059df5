// Values between SQL and JavaScript.
import { expect, test } from 'vitest';
import { columnParser, parameterValue } from '../../../src/database/values.js';

test.each([
  [20, '9007199254740993', 9007199254740993n],
  [1016, '{1,NULL,{2}}', [1n, null, [2n]]],
  [23, '7', 7],
  [1700, '0.10', '0.10'],
  [1231, '{0.10,NULL}', ['0.10', null]],
  [16, 't', true],
  [17, '\\x0aff', Buffer.from([10, 255])],
  [3802, '{"a":[1]}', { a: [1] }],
  [1082, '2026-11-22', '2026-11-22'],
  [1114, '2026-11-22 16:43:38.123', '2026-11-22 16:43:38.123'],
  [1184, '2026-11-22 16:43:38.123+00', new Date('2026-11-22T16:43:38.123Z')],
  [25, 'x', 'x'],
])('columnParser: type %i, %s', (oid, text, value) => {
  expect(columnParser(oid)(text)).toEqual(value);
});

test.each([
  [null, null],
  [undefined, null],
  ['a', 'a'],
  [1.5, '1.5'],
  [10n, '10'],
  [true, 'true'],
  [new Uint8Array([1, 2]), Buffer.from([1, 2])],
  [new Date('2026-11-22T16:43:38.123Z'), '2026-11-22T16:43:38.123Z'],
  [new Date('-000043-03-15T00:00:00Z'), '0044-03-15T00:00:00.000Z BC'],
  [new Date('+012345-01-01T00:00:00Z'), '12345-01-01T00:00:00.000Z'],
  [[1, [2n, null]], '{"1",{"2",NULL}}'],
  [['a"b\\c', new Uint8Array([255])], '{"a\\"b\\\\c","\\\\xff"}'],
  [{ a: 1 }, '{"a":1}'],
])('parameterValue: %s', (value, expected) => {
  expect(parameterValue(value)).toEqual(expected);
});

test('parameterValue: what is no value is refused', () => {
  expect(() => parameterValue(() => 1)).toThrow('a query parameter cannot be a function');
  expect(() => parameterValue(new Date(NaN))).toThrow(RangeError);
});
