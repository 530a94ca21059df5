// Frames: whatever goes in comes out, in whatever pieces it travels; what is no frame is an error.
import { serialize } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ErrorData } from '../../../src/elog/error-data.js';
import { FrameReader, MAX_FRAME, encodeFrame, plain, toWireError } from '../../../src/session/protocol.js';

const call = (id: number, args: unknown[] = []): Parameters<typeof encodeFrame>[0] => ({ type: 'call', id, library: 'l', function: 'f', args });

function header(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

describe('encodeFrame and FrameReader', () => {
  test('one frame is one message', () => {
    const args = [1n, new Map([[1, new Date(0)]]), undefined];
    expect(new FrameReader().push(encodeFrame(call(1, args)))).toEqual([call(1, args)]);
  });

  test('in any pieces, any number of frames', () => {
    const arbitrary = fc.array(fc.tuple(fc.nat(2 ** 31), fc.array(fc.string())), { maxLength: 5 });
    fc.assert(
      fc.property(arbitrary, fc.array(fc.nat(200), { maxLength: 20 }), (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(([id, args]) => encodeFrame(call(id, args))));
        const reader = new FrameReader();
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length];
        const received = places.slice(1).flatMap((end, at) => reader.push(bytes.subarray(places[at], end)));
        expect(received).toEqual(messages.map(([id, args]) => call(id, args)));
      }),
    );
  });

  test('nothing comes of a part', () => {
    const bytes = encodeFrame(call(1));
    const reader = new FrameReader();
    expect(reader.push(Buffer.alloc(0))).toEqual([]);
    for (const byte of bytes.subarray(0, -1)) expect(reader.push(Buffer.of(byte))).toEqual([]);
    expect(reader.push(bytes.subarray(-1))).toHaveLength(1);
  });

  test('a length beyond the limit is refused before its body has come', () => {
    expect(() => new FrameReader().push(header(MAX_FRAME + 1))).toThrow(
      new ErrorData({ code: '08P01', message: `invalid message length ${MAX_FRAME + 1}` }),
    );
    expect(new FrameReader().push(header(MAX_FRAME))).toEqual([]);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('hello')],
    ['half a value', serialize({ a: 1 }).subarray(0, 4)],
  ])('a body of %s is refused', (_what, body) => {
    const attempt = (): unknown => new FrameReader().push(Buffer.concat([header(body.length), body]));
    expect(attempt).toThrow(ErrorData);
    expect(attempt).toThrow(/^invalid message: /);
  });

  test('what cannot be cloned is refused', () => {
    expect(() => encodeFrame(call(1, [() => {}]))).toThrow(/could not be cloned/);
  });
});

describe('errors as they travel', () => {
  const fields = { message: 'm', code: '22012', detail: 'd', hint: 'h', context: 'c' };

  test('all fields and the severity, and nothing else', () => {
    const error = new ErrorData({ ...fields, severity: 'FATAL', cause: new Error('not this') });
    expect(toWireError(error)).toEqual({ ...fields, severity: 'FATAL' });
    expect(plain(error)).toEqual(fields);
  });

  test('any thrown value', () => {
    expect(toWireError('text')).toEqual({ message: 'text', code: 'XX000', severity: 'ERROR' });
    expect(toWireError(undefined)).toEqual({ message: 'undefined', code: 'XX000', severity: 'ERROR' });
    expect(toWireError(new TypeError('t'))).toMatchObject({ message: 't', code: 'XX000', context: expect.stringMatching(/^at /) as string });
    expect(toWireError(new RangeError(''))).toMatchObject({ message: 'RangeError' });
  });

  test('a database error keeps its SQLSTATE, detail and hint; a system error’s code is none', () => {
    const database = Object.assign(new Error('duplicate key'), { code: '23505', detail: 'd', hint: 'h' });
    expect(toWireError(database)).toEqual({ message: 'duplicate key', code: '23505', detail: 'd', hint: 'h', severity: 'ERROR' });
    for (const code of ['EPIPE', 'ENOENT', 42]) expect(toWireError(Object.assign(new Error('e'), { code }))).toMatchObject({ code: 'XX000' });
  });
});
