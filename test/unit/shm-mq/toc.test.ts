// Tables of contents: what is entered is found, what does not fit is refused, and garbage is read as no more than there is. Tests: src/shm-mq/toc.ts.
import { expect, test } from 'vitest';
import {
  shmTocAllocate,
  shmTocAttach,
  shmTocCreate,
  shmTocEstimate,
  shmTocEstimateChunk,
  shmTocEstimateKeys,
  shmTocFreespace,
  shmTocInitializeEstimator,
  shmTocInsert,
  shmTocLookup,
} from '../../../src/shm-mq/toc.js';

test('what was estimated has room, and no more', () => {
  const estimator = shmTocInitializeEstimator();
  for (const size of [1, 32, 100]) shmTocEstimateChunk(estimator, size);
  shmTocEstimateKeys(estimator, 3);
  const bytes = new Uint8Array(shmTocEstimate(estimator));
  const toc = shmTocCreate(7, bytes);
  const chunks = [1, 32, 100].map((size) => shmTocAllocate(toc, size));
  for (const [key, chunk] of chunks.entries()) shmTocInsert(toc, key, chunk.fill(key + 1));
  expect(shmTocFreespace(toc)).toBeLessThan(32);
  expect(() => shmTocAllocate(toc, 100)).toThrow(expect.objectContaining({ code: '53200', message: 'out of shared memory' }) as Error);
  const attached = shmTocAttach(7, bytes);
  if (attached === null) throw new Error('it is not there');
  for (const [key, size] of [1, 32, 100].entries()) {
    const found = shmTocLookup(attached, key);
    expect([found.length, found[0], found.at(-1), found.byteOffset % 32]).toEqual([size, key + 1, key + 1, bytes.byteOffset % 32]);
  }
});

test('another magic number, a key that is not there, bytes that are not', () => {
  const bytes = new Uint8Array(1024);
  const toc = shmTocCreate(2n ** 63n, bytes);
  expect(shmTocAttach(8, bytes)).toBeNull();
  expect(shmTocLookup(toc, 5, true)).toBeNull();
  expect(() => shmTocLookup(toc, 5)).toThrow(expect.objectContaining({ code: 'XX000', message: 'could not find key 5 in shm TOC' }) as Error);
  expect(() => shmTocInsert(toc, 1, new Uint8Array(8))).toThrow(RangeError);
  expect(() => shmTocCreate(1, new Uint8Array(31))).toThrow(RangeError);
  expect(() => shmTocCreate(1, bytes.subarray(4))).toThrow(TypeError);
  for (const size of [-1, 1.5, Number.NaN]) expect(() => shmTocAllocate(toc, size)).toThrow(RangeError);
  expect(() => shmTocAllocate(toc, 2 ** 53)).toThrow(expect.objectContaining({ code: '53200' }) as Error);
});

test('garbage is read as no more than the bytes that are there', () => {
  const bytes = new Uint8Array(256);
  const toc = shmTocCreate(1, bytes);
  shmTocInsert(toc, 3, shmTocAllocate(toc, 16));
  new Int32Array(bytes.buffer).fill(-1, 3); // all but the magic number and the lock
  expect(shmTocLookup(toc, 3, true)).toBeNull();
  expect(shmTocLookup(toc, 2n ** 64n - 1n)).toHaveLength(0);
});
