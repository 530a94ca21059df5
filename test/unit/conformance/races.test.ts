// The races that the contract allows, and that nothing else passes as one. Pure; see test/conformance/races.ts.

import { describe, expect, it } from 'vitest';
import { compare } from '../../conformance/compare.js';
import type { WorkerEvent } from '../../conformance/event-file.js';
import type { Step } from '../../conformance/language.js';
import { quickWorkers, terminatedAtStart, withoutStillborn } from '../../conformance/races.js';
import type { LogRecord } from '../../conformance/server-log.js';
import { compareCodes, uncheckedCodes } from '../../conformance/sqlstates.js';
import { recorded, scenarioWith } from './scenarios.js';

const withSteps = (steps: readonly Step[], signature: readonly string[] = []) => scenarioWith({ setup: { steps }, signature });

describe('races that the contract leaves open', () => {
  it('a worker that ends at once may be seen started or stopped, and no other worker may', () => {
    const signature = ['runner: s1: WaitForStartup w -> STARTED <w#1>'];
    const stopped = ['runner: s1: WaitForStartup w -> STOPPED'];
    const withScript = (script: string): string[] => compare(withSteps([{ op: 'reg', w: 'w', script }], signature), { signature: stopped });
    expect(withScript('U;x0')).toEqual([]);
    expect(withScript('U;s100;x0')).not.toEqual([]);
    expect([...quickWorkers(withSteps([{ op: 'reg', w: 'w', script: 'U;s5', lib: 'no_such_library' }]))]).toEqual(['w']);
  });

  it('a session that waits for an unstarted worker may see it stopped before a shutdown ends it', () => {
    const recordedAs = 'runner: s1: finished: ? -> FATAL 57P01: terminating connection due to administrator command';
    const scenario = withSteps([], [recordedAs]);
    expect(compare(scenario, { signature: ['runner: s1: finished: ? -> STOPPED'] })).toEqual([]);
    expect(compare(scenario, { signature: ['runner: s1: finished: ? -> STARTED <w#1>'] })).not.toEqual([]);
  });

  it('a worker that is terminated at its start may come further or less far', () => {
    const steps: Step[] = [
      { op: 'reg', w: 'w' },
      { op: 'wait_startup', w: 'w' },
      { op: 'terminate', w: 'w' },
    ];
    const signature = ['w#1: main run=1 arg=0'];
    const further = [...signature, 'w#1: unblocked'];
    expect(compare(withSteps(steps, signature), { signature: further })).toEqual([]);
    expect(compare(withSteps(steps.toSpliced(2, 0, { op: 'sleep', ms: 100 }), signature), { signature: further })).not.toEqual([]);
    expect(compare(withSteps(steps, signature), { signature: ['w#1: unblocked'] })).not.toEqual([]);
  });

  it('are few among the recorded scenarios', () => {
    expect(recorded.filter((scenario) => scenario.stable && terminatedAtStart(scenario).size > 0).length).toBeLessThan(12);
  });
});

describe('a worker that is forked when a crash cycle begins', () => {
  const record = (epochMs: number, message: string): LogRecord => ({ epochMs, pid: 1, code: '00000', level: 'LOG', message });
  const event = (timeMs: number, pid: number, text: string): WorkerEvent => ({ timeMs, pid, tag: 'x.y.w', text });
  const log = [
    record(1000, 'starting background worker process "x.y.w"'),
    record(1001, 'terminating any other active server processes'),
    record(1050, 'starting background worker process "x.y.w"'),
  ];
  const events = [event(2, 20, 'main run=1 arg=0'), event(3, 20, 'unblocked'), event(55, 30, 'main run=2 arg=0')];

  it('may have spoken: its lines can be left out, and its successors count from one less', () => {
    expect(withoutStillborn(events, log, { clockOffsetMs: -1000 })).toEqual([event(55, 30, 'main run=1 arg=0')]);
  });

  it('is not one that was there long before', () => {
    expect(withoutStillborn(events, log.with(1, record(1400, 'terminating any other active server processes')), { clockOffsetMs: -1000 })).toEqual(
      events,
    );
  });
});

describe('SQLSTATEs of the log', () => {
  const record = (code: string, level: string, message: string): LogRecord => ({ epochMs: 0, pid: 1, code, level, message });

  it("are PostgreSQL's", () => {
    expect(
      compareCodes([record('53400', 'LOG', 'too many background workers'), record('00000', 'LOG', 'shutting down'), record('XX000', 'DEBUG', 'x')]),
    ).toEqual([]);
    expect(compareCodes([record('00000', 'LOG', 'too many background workers')])).toEqual([
      'SQLSTATE 00000 instead of 53400: LOG:  too many background workers',
    ]);
    expect(compareCodes([record('XX000', 'LOG', 'shutting down')])).toEqual(['SQLSTATE XX000 instead of 00000: LOG:  shutting down']);
    expect(compareCodes([record('XX000', 'FATAL', 'terminating background worker "w" due to administrator command')])).toHaveLength(1);
  });

  it.each([
    ['53300', 'FATAL', 'sorry, too many clients already'],
    ['53400', 'LOG', 'no slot available for new worker process'],
    ['42501', 'FATAL', 'permission denied for database "postgres"'],
    ['55000', 'FATAL', 'database "template0" is not currently accepting connections'],
    ['XX000', 'ERROR', 'internal function "nothing" not found'],
    ['55P02', 'LOG', 'parameter "max_worker_processes" cannot be changed without restarting the server'],
  ])('%s: %s: %s', (code, level, message) => {
    expect(compareCodes([record(code, level, message)])).toEqual([]);
    expect(compareCodes([record('22012', level, message)])).toHaveLength(1);
    expect(uncheckedCodes([record(code, level, message)])).toEqual([]);
  });

  it('that nobody has looked up are named, and are no difference', () => {
    const log = [record('42P07', 'ERROR', 'relation "t" already exists'), record('00000', 'NOTICE', 'some words'), record('00000', 'LOG', 'others')];
    expect(compareCodes([...log, ...log])).toEqual([]);
    expect(uncheckedCodes([...log, ...log])).toEqual(['SQLSTATE 42P07 was not checked: ERROR:  relation "t" already exists']);
  });

  it('of a library that cannot be loaded is the one of whatever system call failed last', () => {
    const log = [record('58P01', 'ERROR', 'could not load library "x": no')];
    expect([...compareCodes(log), ...uncheckedCodes(log)]).toEqual([]);
  });
});
