// The third rule: how often each worker was started, how it ended, and how soon it came back. Pure.

import type { Life } from './signature.js';
import { historyOf } from './signature.js';
import type { LogRecord } from './server-log.js';
import type { WorkerHistory } from './language.js';

/** How much sooner than its interval a restart may come by the log: a line is written a moment after what it tells of. */
export const EARLY_S = 0.02;
const LATE_S = 0.2;
/** An exit is noted, and its line written, within so much time of the postmaster's own. */
const LINE_MS = 50;
const CRASH_CYCLE_S = 0.5;

/** What comes between an exit and the next start says which rule holds. */
const TERMINATING = /^terminating any other active server processes$/;
const REINITIALIZING = /^all server processes terminated; reinitializing$/;
const SERVER_STOPPED = /^(?:database system is shut down|received (?:smart|fast|immediate) shutdown request)$/;

export interface RestartRules {
  /** Intervals in seconds by worker, where the scenario registers it. */
  readonly intervals: ReadonlyMap<string, number>;
  /** The scenario's behaviour differs from run to run: numbers need not agree, only the intervals. */
  readonly unstable: boolean;
  /** For how many milliseconds of a stretch of time the postmaster was ready to run, and had no processor. */
  readonly waitedMs: (fromMs: number, toMs: number) => number;
  /** The same of the child that waited longest. */
  readonly childrenWaitedMs: (fromMs: number, toMs: number) => number;
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
    // Where runs differ among themselves, the gaps of the one that was kept belong to other restarts.
    const recordedGaps = rules.unstable ? [] : (expected[name]?.restart_gaps_s ?? []);
    return [...counts, ...checkGaps({ name, lives: got, recordedGaps }, log, rules)];
  });
}

function compareCounts(name: string, expected: WorkerHistory | undefined, got: WorkerHistory): string[] {
  const starts = expected?.starts ?? 0;
  if (starts !== got.starts) return [`worker "${name}" was started ${got.starts} times instead of ${starts}`];
  const want = expected?.exits.join('; ') ?? '';
  const have = got.exits.join('; ');
  return want === have ? [] : [`worker "${name}" ended otherwise:`, `- ${want}`, `+ ${have}`];
}

interface Restarts {
  readonly name: string;
  readonly lives: readonly Life[];
  /** From an exit that the log tells of to the next start, in seconds; one for each such exit, in order. */
  readonly recordedGaps: readonly number[];
}

function checkGaps(
  { name, lives, recordedGaps }: Restarts,
  log: readonly LogRecord[],
  { intervals, waitedMs, childrenWaitedMs }: RestartRules,
): string[] {
  const interval = intervals.get(name);
  const gaps = recordedGaps.values();
  return lives.slice(1).flatMap((life, index) => {
    const before = lives[index] as Life;
    const recordedGap = before.exitedMs === null ? undefined : gaps.next().value;
    const between = log.filter(({ epochMs }) => epochMs >= before.startedMs && epochMs <= life.startedMs);
    if (between.some(({ message }) => SERVER_STOPPED.test(message))) return [];
    const reset = between.findLast(({ message }) => REINITIALIZING.test(message));
    const gap = (fromMs: number): Gap => ({
      seconds: (life.startedMs - fromMs) / 1000,
      postmasterWaited: waitedMs(fromMs, life.startedMs) / 1000,
      childWaited: 0,
      late: waitedMs(fromMs - LINE_MS, fromMs) / 1000,
    });
    if (reset !== undefined) {
      // The whole cycle, from the exit that began it, where PostgreSQL's was as short; with a child that resists it takes seconds in both.
      const begin = between.findLast(({ message }) => TERMINATING.test(message));
      const whole = recordedGap !== undefined && recordedGap < CRASH_CYCLE_S;
      // The postmaster waits for the startup process, and before that for the last of its children to end: what each of the two waited for is in it.
      const startupWaited = childrenWaitedMs(reset.epochMs, life.startedMs) / 1000;
      if (!whole || begin === undefined) return checkCrashRestart(name, index, { ...gap(reset.epochMs), childWaited: startupWaited });
      const endWaited = childrenWaitedMs(begin.epochMs, reset.epochMs) / 1000;
      const untilGone = ((reset.epochMs - begin.epochMs) / 1000).toFixed(2);
      return checkCrashRestart(
        name,
        index,
        { ...gap(begin.epochMs), childWaited: endWaited + startupWaited },
        `, all were gone after ${untilGone} s`,
      );
    }
    if (before.exitedMs === null || interval === undefined || interval < 0) return [];
    return checkInterval(name, index, gap(before.exitedMs), inEffect(interval));
  });
}

/**
 * In seconds; `postmasterWaited` is what of it the postmaster spent in the queue of a processor, `childWaited` the children that it waited for, and neither is
 * counted against it; `late` is the postmaster's just before: the exit was noted so much sooner than its line was written.
 */
interface Gap {
  readonly seconds: number;
  readonly postmasterWaited: number;
  readonly childWaited: number;
  readonly late: number;
}

function waitedText({ postmasterWaited, childWaited }: Gap): string {
  const waits = [['the postmaster', postmasterWaited] as const, ['those that it waited for', childWaited] as const].filter(
    ([, seconds]) => seconds >= 0.005,
  );
  return waits.length === 0 ? '' : ` (${waits.map(([who, seconds]) => `${who} had no processor for ${seconds.toFixed(2)} s of that`).join(', ')})`;
}

/** PostgreSQL counts milliseconds in 32 bits: of 2,147,484 seconds and more many turn out negative, and a worker that has such an interval starts again at once. */
const inEffect = (seconds: number): number => Math.max(0, (seconds * 1000) | 0) / 1000;

const ownSeconds = ({ seconds, postmasterWaited, childWaited }: Gap): number => seconds - postmasterWaited - childWaited;

function checkCrashRestart(name: string, index: number, gap: Gap, course = ''): string[] {
  return ownSeconds(gap) < CRASH_CYCLE_S
    ? []
    : [
        `worker "${name}" came back ${gap.seconds.toFixed(2)} s after crash cycle ${index + 1}, not in under ${CRASH_CYCLE_S} s${course}${waitedText(gap)}`,
      ];
}

function checkInterval(name: string, index: number, gap: Gap, interval: number): string[] {
  if (gap.seconds >= interval - EARLY_S - gap.late && ownSeconds(gap) <= interval + LATE_S) return [];
  return [
    `restart ${index + 1} of worker "${name}" came ${gap.seconds.toFixed(2)} s after the exit; its interval is ${interval} s${waitedText(gap)}`,
  ];
}
