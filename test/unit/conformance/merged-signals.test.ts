// Signals that a backend without a processor counts as one: where that may be, and where it may not. Pure; see test/conformance/merged-signals.ts.

import { describe, expect, it } from 'vitest';
import { compare } from '../../conformance/compare.js';
import { mergesPossible } from '../../conformance/merged-signals.js';
import type { LogRecord } from '../../conformance/server-log.js';
import { scenarioWith } from './scenarios.js';

const record = (epochMs: number, message: string): LogRecord => ({ epochMs, pid: 1, code: '00000', level: 'DEBUG', message });
const start = (ms: number, name = 'w'): LogRecord => record(ms, `starting background worker process "${name}"`);
const exit = (ms: number, name = 'w'): LogRecord => record(ms, `background worker "${name}" (PID 20) exited with exit code 1`);
const gone = (ms: number, name = 'w'): LogRecord => record(ms, `unregistering background worker "${name}"`);
const waits =
  (ms: number) =>
  (fromMs: number, toMs: number): boolean =>
    toMs - fromMs <= ms;

describe('two signals may be one', () => {
  it.each([
    ['an exit, and the start that follows at once', [exit(100), start(100)], 0.4, 0],
    ['the same, and no processor while the postmaster forked', [exit(100), start(100)], 0.5, 1],
    ['the same, and a millisecond is over between the lines', [exit(100), start(101)], 0.5, 1],
    ['two starts', [start(100), start(108, 'v')], 7.4, 0],
    ['two starts, and no processor between', [start(100), start(108, 'v')], 7.5, 1],
    ['two exits that one look of the postmaster found', [exit(100), exit(100, 'v')], 0, 1],
    ['one exit, which has two lines', [gone(100), exit(100)], 50, 0],
    ['two workers that are unregistered before they ran', [gone(100), gone(100, 'v')], 0, 1],
    ['an exit, and a start after an interval', [exit(100), start(1100)], 50, 0],
    ['other lines between', [exit(100), record(100, 'registering background worker "u"'), start(101)], 2, 1],
    ['three in a row', [exit(100), start(100), exit(101)], 5, 2],
  ] as const)('%s', (_, log, waitedMs, merges) => {
    expect(mergesPossible(log, waits(waitedMs))).toBe(merges);
  });

  it('asks about the time between them', () => {
    const asked: number[][] = [];
    mergesPossible([start(100), exit(300), start(300)], (...stretch) => asked.push(stretch) > 0);
    // The line of a start comes before the fork, and the signal after it.
    expect(asked).toEqual([
      [100, 299],
      [300, 300.5],
    ]);
  });
});

describe('the count of a session', () => {
  const lines = (...counts: number[]): string[] => counts.map((count) => `runner: s1: SIGUSR1 received so far = ${count}`);
  const judge = (counts: number[], merges?: number): string[] =>
    compare(scenarioWith({ signature: lines(3, 4) }), {
      signature: lines(...counts),
      ...(merges === undefined ? {} : { mergesPossible: (session: string) => (session === 's1' ? merges : 0) }),
    });

  it('may be less by as many as can have become one, and by no more', () => {
    expect(judge([2, 3], 1)).toEqual([]);
    expect(judge([3, 3], 1)).toEqual([]);
    expect(judge([1, 2], 1)).not.toEqual([]);
    expect(judge([2, 3], 0)).not.toEqual([]);
    expect(judge([2, 3])).not.toEqual([]);
  });

  it('may not be more', () => {
    expect(judge([4, 5], 9)).not.toEqual([]);
  });
});
