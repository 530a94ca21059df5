// SIGUSR1 that a backend counts as one with another: where that may be, and where it may not. Pure; see test/conformance/merged-signals.ts.

import { describe, expect, it } from 'vitest';
import { compare } from '../../conformance/compare.js';
import type { Step } from '../../conformance/language.js';
import { mergesPossible, toldTo, type Waits } from '../../conformance/merged-signals.js';
import type { LogRecord } from '../../conformance/server-log.js';
import { scenarioWith } from './scenarios.js';

const record = (epochMs: number, message: string): LogRecord => ({ epochMs, pid: 1, code: '00000', level: 'DEBUG', message });
const start = (ms: number, name = 'w'): LogRecord => record(ms, `starting background worker process "${name}"`);
const exit = (ms: number, name = 'w'): LogRecord => record(ms, `background worker "${name}" (PID 20) exited with exit code 1`);
const gone = (ms: number, name = 'w'): LogRecord => record(ms, `unregistering background worker "${name}"`);
const waits = (ms: number, postmaster = 0): Waits => ({ backend: (fromMs, toMs) => toMs - fromMs <= ms, postmaster: () => postmaster });

describe('two signals may be one', () => {
  it.each([
    ['an exit, and the start that follows at once', [exit(100), start(100)], 0.4, 0],
    ['the same, and no processor while the postmaster forked', [exit(100), start(100)], 0.5, 1],
    ['the same, and a millisecond is over between the lines', [exit(100), start(101)], 0.5, 1],
    ['two starts', [start(100), start(108)], 7.4, 0],
    ['two starts, and no processor between', [start(100), start(108)], 7.5, 1],
    ['two exits that one look of the postmaster found', [exit(100), exit(100)], 0, 1],
    ['an exit, and a start after an interval', [exit(100), start(1100)], 50, 0],
    ['three in a row', [exit(100), start(100), exit(101)], 5, 2],
  ] as const)('%s', (_, log, waitedMs, merges) => {
    expect(mergesPossible(log, waits(waitedMs))).toBe(merges);
  });

  it('whose lines are further apart, where the postmaster had no processor after the first line', () => {
    const log = [start(100), start(111)];
    expect(mergesPossible(log, waits(6, 4))).toBe(0);
    expect(mergesPossible(log, waits(6, 5))).toBe(1);
    expect(mergesPossible(log, waits(0.4, 50))).toBe(0);
  });

  it('asks about the time between them, as it ends with the second', () => {
    const asked: number[][] = [];
    mergesPossible([start(100), exit(300), start(300)], { backend: (...stretch) => asked.push(stretch) > 0, postmaster: () => 0 });
    // The line of a start comes before the fork, and the signal after it; times are cut.
    expect(asked).toEqual([
      [101, 300],
      [300, 300.5],
    ]);
  });
});

describe('what a session is told', () => {
  const steps: Step[] = [
    { op: 'reg', w: 'mine', notify: 'self', type: 'kind' },
    { op: 'reg', w: 'other', notify: 'self', s: 's2' },
    { op: 'reg', w: 'given', notify: 'sess:s1', s: 's2' },
    { op: 'reg', w: 'none', notify: 0 },
    { op: 'reg', w: 'silent' },
  ];
  const told = (session: string, ...log: LogRecord[]): LogRecord[] => [...toldTo(session, scenarioWith({ setup: { steps } }), log)] as LogRecord[];

  it('is of the workers that notify it, by name and by type, and of those that SQL registered', () => {
    const log = ['mine', 'kind', 'other', 'given', 'none', 'silent', 'sql'].map((name, at) => exit(at, name));
    expect(told('s1', ...log)).toEqual([exit(0, 'mine'), exit(1, 'kind'), exit(3, 'given'), exit(6, 'sql')]);
    expect(told('s2', ...log)).toEqual([exit(2, 'other'), exit(6, 'sql')]);
  });

  it('knows names with the id of the scenario', () => {
    expect(told('s1', start(1, 'x.y.mine'), start(2, 'x.y.none'))).toEqual([start(1, 'x.y.mine')]);
  });

  it('is one thing where a worker ends and is unregistered, whatever it is called in the two lines, and whoever writes between them', () => {
    const said = record(100, 'mine: STOPPED');
    expect(told('s1', gone(100, 'mine'), said, exit(100, 'kind'))).toEqual([exit(100, 'kind')]);
    expect(told('s1', gone(100, 'mine'), gone(100, 'given'))).toEqual([gone(100, 'mine'), gone(100, 'given')]);
  });

  it('is nothing else that the log says', () => {
    expect(told('s1', record(1, 'registering background worker "mine"'), record(2, 'background worker "mine": invalid restart interval'))).toEqual(
      [],
    );
  });
});

describe('the counts of a session', () => {
  const lines = (counts: readonly number[]): string[] => counts.map((count) => `runner: s1: SIGUSR1 received so far = ${count}`);
  const judge = (counts: number[], merges?: number[]): string[] =>
    compare(scenarioWith({ signature: lines([3, 4]) }), {
      signature: lines(counts),
      ...(merges === undefined ? {} : { mergesPossible: (session: string, nth: number) => (session === 's1' ? (merges[nth] ?? 0) : 0) }),
    });

  it('may be less by as many as can have become one until then, and by no more', () => {
    expect(judge([2, 3], [1, 1])).toEqual([]);
    expect(judge([3, 3], [0, 1])).toEqual([]);
    expect(judge([2, 3], [0, 1])).not.toEqual([]);
    expect(judge([1, 2], [1, 1])).not.toEqual([]);
    expect(judge([2, 3])).not.toEqual([]);
  });

  it('do not catch up: a signal that came late was not lost', () => {
    expect(judge([2, 4], [1, 1])).not.toEqual([]);
  });

  it('may not be more', () => {
    expect(judge([4, 5], [9, 9])).not.toEqual([]);
    expect(judge([3, 5], [9, 9])).not.toEqual([]);
  });
});
