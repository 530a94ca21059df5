// The third rule: how often each worker was started, how it ended, and how soon it came back. Pure.

import type { Life } from './signature.js';
import { historyOf } from './signature.js';
import type { LogRecord } from './server-log.js';
import type { WorkerHistory } from './language.js';

/** How much sooner than its interval a restart may come by the log: a line is written a moment after what it tells of. */
const EARLY_S = 0.02;
const LATE_S = 0.2;
const CRASH_CYCLE_S = 0.5;

/** What comes between an exit and the next start says which rule holds. */
const REINITIALIZING = /^all server processes terminated; reinitializing$/;
const SERVER_STOPPED = /^(?:database system is shut down|received (?:smart|fast|immediate) shutdown request)$/;

export interface RestartRules {
  /** Intervals in seconds by worker, where the scenario registers it. */
  readonly intervals: ReadonlyMap<string, number>;
  /** The scenario's behaviour differs from run to run: numbers need not agree, only the intervals. */
  readonly unstable: boolean;
}

export function compareHistories(
  expected: Readonly<Record<string, WorkerHistory>>,
  lives: ReadonlyMap<string, readonly Life[]>,
  log: readonly LogRecord[],
  rules: RestartRules,
): string[] {
  const names = new Set([...Object.keys(expected), ...lives.keys()]);
  return [...names].flatMap((name) => {
    const got = lives.get(name) ?? [];
    const counts = rules.unstable ? [] : compareCounts(name, expected[name], historyOf(got));
    return [...counts, ...checkGaps(name, got, log, rules.intervals.get(name))];
  });
}

function compareCounts(name: string, expected: WorkerHistory | undefined, got: WorkerHistory): string[] {
  const starts = expected?.starts ?? 0;
  if (starts !== got.starts) return [`worker "${name}" was started ${got.starts} times instead of ${starts}`];
  const want = expected?.exits.join('; ') ?? '';
  const have = got.exits.join('; ');
  return want === have ? [] : [`worker "${name}" ended otherwise:`, `- ${want}`, `+ ${have}`];
}

function checkGaps(name: string, lives: readonly Life[], log: readonly LogRecord[], interval: number | undefined): string[] {
  return lives.slice(1).flatMap((life, index) => {
    const before = lives[index] as Life;
    const between = log.filter(({ epochMs }) => epochMs >= before.startedMs && epochMs <= life.startedMs);
    if (between.some(({ message }) => SERVER_STOPPED.test(message))) return [];
    const reset = between.findLast(({ message }) => REINITIALIZING.test(message));
    if (reset !== undefined) return checkCrashRestart(name, index, (life.startedMs - reset.epochMs) / 1000);
    if (before.exitedMs === null || interval === undefined || interval < 0) return [];
    return checkInterval(name, index, (life.startedMs - before.exitedMs) / 1000, interval);
  });
}

function checkCrashRestart(name: string, index: number, gap: number): string[] {
  return gap < CRASH_CYCLE_S
    ? []
    : [`worker "${name}" came back ${gap.toFixed(2)} s after crash cycle ${index + 1}, not in under ${CRASH_CYCLE_S} s`];
}

function checkInterval(name: string, index: number, gap: number, interval: number): string[] {
  if (gap >= interval - EARLY_S && gap <= interval + LATE_S) return [];
  return [`restart ${index + 1} of worker "${name}" came ${gap.toFixed(2)} s after the exit; its interval is ${interval} s`];
}
