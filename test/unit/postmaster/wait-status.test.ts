// What waitpid reports, in all its shapes.
import { describe, expect, test } from 'vitest';
import { decodeWaitStatus } from '../../../src/postmaster/wait-status.js';

describe('decodeWaitStatus', () => {
  test('every exit code', () => {
    for (let exitCode = 0; exitCode < 256; exitCode++) expect(decodeWaitStatus(exitCode << 8)).toEqual({ exitCode, signal: null });
  });

  test('every signal, with a core dump and without', () => {
    for (let signal = 1; signal < 0x7f; signal++) {
      for (const core of [0, 0x80]) expect(decodeWaitStatus(signal | core)).toEqual({ exitCode: null, signal });
    }
  });

  test('a stop, and a continuation, are no end', () => {
    for (const status of [0x137f, 0xffff]) expect(decodeWaitStatus(status)).toEqual({ exitCode: null, signal: null });
  });
});
