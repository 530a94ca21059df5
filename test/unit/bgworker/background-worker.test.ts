// toDescriptor and the cutting of text: what users give, and what is stored.
import { describe, expect, test } from 'vitest';
import { type BackgroundWorker, asciiSafeText, cutText, toDescriptor } from '../../../src/bgworker/background-worker.js';

const MINIMAL: BackgroundWorker = { name: 'w', flags: 1, startTime: 2, restartTime: -1 };
const withFields = (fields: object): BackgroundWorker => ({ ...MINIMAL, ...fields });

describe('toDescriptor', () => {
  test('fills in what may be left out', () => {
    expect(toDescriptor(MINIMAL)).toEqual({
      ...MINIMAL,
      type: '',
      main: null,
      libraryName: '',
      functionName: '',
      mainArg: 0n,
      extra: new Uint8Array(128),
      rlimits: '',
      notifyPid: 0,
    });
  });

  test('takes every field, and copies extra', () => {
    const main = (): void => {};
    const extra = new Uint8Array([1, 2]);
    const fields = { type: 't', main, libraryName: 'l', functionName: 'f', mainArg: 7, extra, notifyPid: 9 };
    const descriptor = toDescriptor(withFields(fields));
    extra.fill(0);
    expect(descriptor).toMatchObject({ ...MINIMAL, type: 't', main, libraryName: 'l', functionName: 'f', mainArg: 7n, notifyPid: 9 });
    expect([...descriptor.extra.subarray(0, 3), descriptor.extra.length]).toEqual([1, 2, 0, 128]);
  });

  test.each([
    ['name', 95],
    ['type', 95],
    ['functionName', 95],
    ['libraryName', 1023],
  ])('cuts %s at %i bytes', (field, bytes) => {
    expect(toDescriptor(withFields({ [field]: 'x'.repeat(2000) }))).toMatchObject({ [field]: 'x'.repeat(bytes) });
  });

  test.each([
    [0, 0n],
    [-1, 2n ** 64n - 1n],
    [-1n, 2n ** 64n - 1n],
    [2n ** 64n, 0n],
    [-(2n ** 63n), 2n ** 63n],
    [Number.MAX_SAFE_INTEGER, 2n ** 53n - 1n],
    [null, 0n],
    [undefined, 0n],
  ])('mainArg %s is %s', (mainArg, expected) => {
    expect(toDescriptor(withFields({ mainArg })).mainArg).toBe(expected);
  });

  test.each([-0x80000000, 0x7fffffff])('an integer of 32 bits, %i, is taken', (flags) => {
    expect(toDescriptor(withFields({ flags })).flags).toBe(flags);
  });

  test('128 bytes of text are taken, counted as UTF-8', () => {
    expect(toDescriptor(withFields({ extra: 'ä'.repeat(64) })).extra).toEqual(Uint8Array.from(Buffer.from('ä'.repeat(64))));
    expect(() => toDescriptor(withFields({ extra: 'ä'.repeat(65) }))).toThrow('must be at most 128 bytes, not 130');
  });

  test.each([
    ['name', undefined, TypeError, '"name" must be a string, not undefined'],
    ['name', Symbol('s'), TypeError, '"name" must be a string, not symbol'],
    ['type', 1n, TypeError, '"type" must be a string, not bigint'],
    ['libraryName', [], TypeError, '"libraryName" must be a string, not array'],
    ['functionName', () => {}, TypeError, '"functionName" must be a string, not function'],
    ['flags', '1', TypeError, '"flags" must be an integer, not string'],
    ['flags', Number.NaN, TypeError, '"flags" must be an integer, not NaN'],
    ['startTime', 0.5, TypeError, '"startTime" must be an integer, not 0.5'],
    ['restartTime', Infinity, TypeError, '"restartTime" must be an integer, not Infinity'],
    ['restartTime', 0x80000000, RangeError, '"restartTime" must fit 32 bits, not 2147483648'],
    ['notifyPid', 'self', TypeError, '"notifyPid" must be an integer, not string'],
    ['main', 'main', TypeError, '"main" must be a function, not string'],
    ['mainArg', Number.MAX_SAFE_INTEGER + 1, TypeError, '"mainArg" must be a bigint or a safe integer, not 9007199254740992'],
    ['mainArg', true, TypeError, '"mainArg" must be a bigint or a safe integer, not boolean'],
    ['extra', new ArrayBuffer(1), TypeError, '"extra" must be a Uint8Array or a string, not object'],
    ['extra', new Uint8Array(129), RangeError, '"extra" must be at most 128 bytes, not 129'],
  ] as const)('refuses %s = %s', (field, value, kind, message) => {
    const attempt = (): unknown => toDescriptor(withFields({ [field]: value }));
    expect(attempt).toThrow(kind);
    expect(attempt).toThrow(`background worker field ${message}`);
  });

  test.each([
    ['bgw_restart_time', '; did you mean "restartTime"?'],
    ['restart_time', '; did you mean "restartTime"?'],
    ['RESTARTTIME', '; did you mean "restartTime"?'],
    ['bgw_main_arg', '; did you mean "mainArg"?'],
    ['priority', ''],
  ])('refuses an unknown field %s%s', (field, suggestion) => {
    expect(() => toDescriptor(withFields({ [field]: 1 }))).toThrow(new TypeError(`unrecognized background worker field "${field}"${suggestion}`));
  });

  test.each([
    [null, 'null'],
    [undefined, 'undefined'],
    ['w', 'string'],
  ])('refuses %s', (value, what) => {
    expect(() => toDescriptor(value as never)).toThrow(`background worker must be an object, not ${what}`);
  });
});

describe('cutText', () => {
  test.each([
    ['', 4, ''],
    ['abc', 4, 'abc'],
    ['abcd', 4, 'abc'],
    ['a\0bc', 4, 'a'],
    ['\0', 4, ''],
    ['ää', 4, 'ä'],
    ['€€', 4, '€'],
    ['\u{1f600}', 4, ''],
    ['a\u{1f600}', 6, 'a\u{1f600}'],
    ['ä', 1, ''],
  ])('%j in %i bytes is %j', (text, size, expected) => {
    expect(cutText(text, size)).toBe(expected);
  });
});

describe('asciiSafeText', () => {
  test('every byte', () => {
    for (let byte = 1; byte < 256; byte++) {
      const passes = (byte >= 32 && byte <= 127) || [9, 10, 13].includes(byte);
      expect(asciiSafeText(Uint8Array.of(byte))).toBe(passes ? String.fromCharCode(byte) : '?');
    }
  });

  test('ends at a NUL, or at the end', () => {
    expect([asciiSafeText(Buffer.from('a\0b')), asciiSafeText(Buffer.from('ab')), asciiSafeText(new Uint8Array())]).toEqual(['a', 'ab', '']);
  });
});
