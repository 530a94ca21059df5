// The judge: does what was seen agree with what PostgreSQL did? The four rules of the oracle. Pure.
//
//   1 each process's own lines, each session's own lines and the postmaster's own log lines are the same and in the same order
//   2 log lines are equal in text, level and SQLSTATE (sqlstates.ts), and there as often
//   3 as many starts, exits and SIGUSR1, and restarts that come when they must (restarts.ts)
//   4 where recorded runs differ among themselves, any behaviour that the contract allows (unstable.ts)

import { diffCounts, diffLines } from './diff.js';
import { comparable } from './exceptions.js';
import { registeredWorkers, type Scenario } from './language.js';
import { logName } from './log-names.js';
import { countsAgree, isCount } from './merged-signals.js';
import { comparePostmasterLog } from './postmaster-order.js';
import { compareHistories } from './restarts.js';
import type { LogRecord } from './server-log.js';
import type { Life } from './signature.js';
import { cameAsFar, isSameInARace, quickWorkers, terminatedAtStart } from './races.js';
import { compareCodes } from './sqlstates.js';
import { streamsOf, type LogLine, type Streams } from './streams.js';
import { compareUnstable } from './unstable.js';

export interface Observation {
  readonly signature: readonly string[];
  /** Absent: only the signatures are compared. */
  readonly lives?: ReadonlyMap<string, readonly Life[]>;
  readonly log?: readonly LogRecord[];
  /** The log lines of each postmaster by itself, where there are several. */
  readonly postmasters?: readonly (readonly string[])[];
  /** For how many milliseconds of a stretch of time the postmaster had no processor. Absent: none. */
  readonly waitedMs?: (fromMs: number, toMs: number) => number;
  /** The same of the one of its children that had none for longest. */
  readonly childrenWaitedMs?: (fromMs: number, toMs: number) => number;
  /** How many SIGUSR1 may have become one with another, of those that a session was sent before it counted for the n-th time, from 0. Absent: none. */
  readonly mergesPossible?: (session: string, nth: number) => number;
}

const never = (): number => 0;

/** What differs, in words and as diffs; nothing where the scenario passes. */
export function compare(scenario: Scenario, seen: Observation): string[] {
  const sessions = sessionsOf(scenario);
  const expected = streamsOf(comparable(scenario.signature, scenario.postgres), sessions);
  const got = streamsOf(comparable(seen.signature, scenario.postgres), sessions);
  const alone = (seen.postmasters ?? []).map((lines) => streamsOf(comparable(lines, scenario.postgres), sessions).postmasterLog);
  const { waitedMs = never, childrenWaitedMs = never, mergesPossible = never } = seen;
  const differences = scenario.stable ? compareStable(scenario, expected, { got, alone, mergesPossible }) : compareUnstable(expected, got, alone);
  if (seen.lives === undefined) return differences;
  const intervals = registered(scenario, (worker) => worker.restart ?? -1);
  const rules = { intervals, unstable: !scenario.stable, waitedMs, childrenWaitedMs };
  const log = seen.log ?? [];
  return [...differences, ...compareHistories(scenario.workers, seen.lives, log, rules), ...compareCodes(log)];
}

interface Got extends Required<Pick<Observation, 'mergesPossible'>> {
  readonly got: Streams;
  readonly alone: readonly (readonly LogLine[])[];
}

function compareStable(scenario: Scenario, expected: Streams, { got, alone, mergesPossible }: Got): string[] {
  const quick = quickWorkers(scenario);
  const terminated = terminatedAtStart(scenario);
  const isSame = (want: string, have = ''): boolean => want === have || isSameInARace(want, have, quick) || (isCount(want) && isCount(have));
  // Only the latest process of a worker can be the one.
  const isFree = (process: string): boolean => {
    const [, worker = '', number] = /^(.*)#(\d+)$/.exec(process) ?? [];
    return terminated.has(worker) && !expected.events.has(`${worker}#${Number(number) + 1}`);
  };
  const order = { held: holdsPostmaster(scenario), startTimes: registered(scenario, (worker) => worker.start ?? 2), alone };
  const log = diffCounts(
    expected.otherLog.map(({ whole }) => whole),
    got.otherLog.map(({ whole }) => whole),
  );
  return [
    ...compareStreams('process', expected.events, got.events, (want, have, process) => isFree(process) && cameAsFar(want, have)),
    ...compareStreams(
      'session',
      expected.sessions,
      got.sessions,
      (want, have, session) =>
        want.length === have.length &&
        want.every((line, at) => isSame(line, have[at])) &&
        countsAgree(want, have, (nth) => mergesPossible(session, nth)),
    ),
    ...comparePostmasterLog(expected.postmasterLog, got.postmasterLog, order),
    ...(log.length === 0 ? [] : ['the log of the other processes has other lines:', ...log]),
  ];
}

type Lines = ReadonlyMap<string, readonly string[]>;
/** Where two lists of lines differ: may they? */
type Tolerance = (want: readonly string[], have: readonly string[], name: string) => boolean;

function compareStreams(kind: string, expected: Lines, got: Lines, mayDiffer: Tolerance): string[] {
  return [...new Set([...expected.keys(), ...got.keys()])].flatMap((name) => {
    const want = expected.get(name) ?? [];
    const have = got.get(name) ?? [];
    if (want.join('\n') === have.join('\n') || mayDiffer(want, have, name)) return [];
    return [`${name === '' ? 'the runner' : `${kind} ${name}`} saw something else:`, ...diffLines(want, have)];
  });
}

export function sessionsOf(scenario: Scenario): Set<string> {
  return new Set(['s1', ...scenario.setup.steps.flatMap(({ s }) => (s === undefined ? [] : [s]))]);
}

/** Something of each worker that the scenario registers, by the name that the log has for it. */
function registered(scenario: Scenario, value: (worker: { restart?: number; start?: number }) => number): Map<string, number> {
  return new Map(registeredWorkers(scenario.setup).map((worker) => [logName(scenario.id, worker), value(worker)]));
}

function holdsPostmaster({ setup }: Scenario): boolean {
  const held = new Map<string, boolean>();
  return setup.steps.some(({ op, sig, who, sql = '', on = 'm' }) => {
    const signalled = op === 'pm' || (op === 'kill' && who === 'postmaster');
    if (signalled && (sig === 'STOP' || sig === 'CONT' || sig === 'KILL')) held.set(on, sig === 'STOP');
    return held.get(on) === true && (op === 'reg' || sql.includes('bgwo_reg'));
  });
}
