// Where the contract leaves open what comes first, and the oracle's runs, two or three of them on a quiet machine, happened to agree. Pure.
//
// Each of these is a race that PostgreSQL has too. Whatever is tolerated here is tolerated only in the situation that is described, never in general.

import type { WorkerEvent } from './event-file.js';
import type { Scenario } from './language.js';
import { LIBRARY } from './registration.js';
import { commandsOfRun } from './script.js';
import type { LogRecord } from './server-log.js';

/** What a session was told, as recorded and now: may both be? */
export function isSameInARace(want: string | undefined, have: string, quick: ReadonlySet<string>): boolean {
  return want !== undefined && (startedOrStopped(want, have, quick) || stoppedOrTerminated(want, have));
}

/**
 * The wait for the start of a worker that ends at once answers STARTED or STOPPED, whichever the session's look meets (contract H-13, and the oracle's notes).
 */
function startedOrStopped(want: string, have: string, quick: ReadonlySet<string>): boolean {
  const [, question, worker] = /^(.*WaitForStartup (\S+) -> )(?:STARTED <.*>|STOPPED)$/.exec(want) ?? [];
  if (question === undefined || worker === undefined || !quick.has(worker)) return false;
  return have.startsWith(question) && /^(?:STARTED <.*>|STOPPED)$/.test(have.slice(question.length));
}

/**
 * A session that waits for a worker which a shutdown unregisters gets SIGUSR1 for that, and SIGTERM right after it (contract T-31): the wait may see that the
 * worker is stopped before the second signal comes.
 */
function stoppedOrTerminated(want: string, have: string): boolean {
  const [, waited] = /^(.*: finished: \? -> )FATAL 57P01: /.exec(want) ?? [];
  return waited !== undefined && have === `${waited}STOPPED`;
}

/** Commands that take time, or that may. */
const SLOW = /^[sipLZDWCOQ]$/;

/** Workers whose first process ends as soon as it can: it finds no library, or its script does nothing that takes time. */
export function quickWorkers(scenario: Scenario): Set<string> {
  const workers = scenario.setup.steps.filter(({ op }) => op === 'reg');
  const quick = workers.filter(
    ({ lib = LIBRARY, script = '' }) => lib !== LIBRARY || !commandsOfRun(script, 1).some(({ letter }) => SLOW.test(letter)),
  );
  return new Set(quick.map(({ w }) => w ?? ''));
}

const TAKES_TIME = new Set(['sleep', 'wait_ev', 'wait_status', 'wait_log', 'wait_shutdown', 'await']);

/**
 * Workers that are terminated right after their start: how far they come until the signal reaches them is open (contract S-56: a worker may run before its pid
 * is known, and later).
 */
export function terminatedAtStart(scenario: Scenario): Set<string> {
  const starting = new Set<string>();
  const terminated = new Set<string>();
  let held = false;
  for (const { op, w = '', who, sig, ev, is } of scenario.setup.steps) {
    if (op === 'kill' && who === 'postmaster') held = sig === 'STOP';
    else if (op === 'reg') starting.add(w);
    else if (op === 'terminate' && starting.has(w)) terminated.add(w);
    else if (TAKES_TIME.has(op) && !held) starting.clear();
    // A wait that ends with the first sign of life of a worker leaves it as near to its start as its registration did.
    if ((op === 'wait_ev' && ev?.startsWith('main')) || (op === 'wait_status' && is === 'STARTED')) starting.add(w);
  }
  return terminated;
}

/** Of the same process, one run came further than the other. */
export function cameAsFar(want: readonly string[], have: readonly string[]): boolean {
  return want.slice(0, have.length).join('\n') === have.slice(0, want.length).join('\n');
}

/** So soon after the start of a worker came the crash cycle that it was killed in; not counted what the postmaster waited for a processor meanwhile. */
const STILLBORN_MS = 100;

/**
 * The events without those of workers that were forked just when a crash cycle began: such a process is killed at its birth, and may have said something before.
 * Runs after it count from one less.
 */
export function withoutStillborn(
  events: readonly WorkerEvent[],
  log: readonly LogRecord[],
  { clockOffsetMs, waitedMs = () => 0 }: { clockOffsetMs: number; waitedMs?: (fromMs: number, toMs: number) => number },
): WorkerEvent[] {
  const stillborn = new Set<number>();
  log.forEach(({ epochMs, message }, index) => {
    const [, name] = /^starting background worker process "(.*)"$/s.exec(message) ?? [];
    const crash =
      name === undefined ? undefined : log.slice(index).find(({ message }) => message === 'terminating any other active server processes');
    if (crash === undefined || crash.epochMs - epochMs - waitedMs(epochMs, crash.epochMs) > STILLBORN_MS) return;
    const born = events.find(({ tag, timeMs }) => tag === name && timeMs >= epochMs + clockOffsetMs - 1);
    if (born !== undefined && born.timeMs <= crash.epochMs + clockOffsetMs + STILLBORN_MS) stillborn.add(born.pid);
  });
  const before = ({ tag, timeMs }: WorkerEvent): number =>
    new Set(events.filter((other) => stillborn.has(other.pid) && other.tag === tag && other.timeMs < timeMs).map(({ pid }) => pid)).size;
  return events
    .filter(({ pid }) => !stillborn.has(pid))
    .map((event) => ({ ...event, text: event.text.replace(/^main run=(\d+)/, (_, run: string) => `main run=${Number(run) - before(event)}`) }));
}
