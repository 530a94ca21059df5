// What the judge waits for, so that a busy machine does not make another scenario of it: conditions where the scenario leaves them to time. Runs in the judge.
//
// The oracle's machine was quiet: what was told to start had started, and had come to rest, before the next step. Here this is waited for, but only as far as the
// recorded process came too, and only for a while: where it does not come, the step is taken all the same, and the comparison shows what is missing.

import { setTimeout as sleep } from 'node:timers/promises';
import { registeredWorkers, workerNames } from './language.js';
import { PAUSE_MS, becomes } from './polling.js';
import type { ScenarioRun } from './scenario-run.js';
import { commandsOfRun } from './script.js';
import { livesOf, type Life } from './signature.js';

/** How long a worker may take to come to rest. */
export const REST_MS = 3000;
/** So many times what a step waits for, where the oracle's wait ended in time: the scenario says how long is worth waiting, not how long is allowed. */
const PATIENCE = 3;
/** A recording has names of processes in their place. */
const PIDS = /(?<=STARTED )\d+/g;

/** How long to wait for something. `late` begins what is said when the time is over: where the oracle said it, too, the time is part of the scenario. */
export function patience(run: ScenarioRun, timeoutMs: number, late: string): number {
  const isPartOfIt = run.scenario.signature.some((line) => line.startsWith(`runner: ${late}`));
  return isPartOfIt ? timeoutMs : timeoutMs * PATIENCE;
}

/** Waits until the worker's latest process runs, and has said what it says before the first thing that takes time. */
export async function atRest(run: ScenarioRun, worker: string): Promise<void> {
  await becomes(() => isAtRest(run, worker), REST_MS, run.signal);
}

/** The same for every worker that the scenario has. */
export async function allAtRest(run: ScenarioRun): Promise<void> {
  const workers = workerNames(run.scenario.setup);
  await becomes(() => workers.every((worker) => livesOfWorker(run, worker).length === 0 || isAtRest(run, worker)), REST_MS, run.signal);
}

function isAtRest(run: ScenarioRun, worker: string): boolean {
  const lives = livesOfWorker(run, worker);
  if (lives.at(-1)?.exitedMs) return true;
  const number = Math.max(1, lives.length);
  const recorded = run.scenario.signature.filter((line) => line.startsWith(`${worker}#${number}: `)).length;
  const wanted = Math.min(recorded, linesBeforeRest(run, worker, number));
  if (wanted === 0) return true;
  const events = run.eventsOf(worker);
  const begins = events.flatMap(({ text }, index) => (text.startsWith('main run=') ? [index] : []));
  const begin = begins[number - 1];
  return begin !== undefined && events.length - begin >= wanted;
}

/** Commands that a process is through with at once, and the lines that each of them writes. */
const AT_ONCE: Readonly<Record<string, number>> = { U: 1, B: 1, M: 1, G: 1, f: 1, t: 2, n: 1, T: 0, H: 0, c: 0, Z: 0, l: 0 };

function linesBeforeRest(run: ScenarioRun, worker: string, number: number): number {
  const script = registeredWorkers(run.scenario.setup).find(({ w = 'w' }) => w === worker)?.script ?? '';
  let lines = 1; // main run=
  for (const { letter } of commandsOfRun(script, number)) {
    const more = AT_ONCE[letter];
    if (more === undefined) break;
    lines += more;
  }
  return lines;
}

/** The lives of a worker by the log, which knows it by its name. */
export function livesOfWorker(run: ScenarioRun, worker: string): readonly Life[] {
  return livesOf(run.scenario.id, run.log().records).get(run.logNameOf(worker)) ?? [];
}

/**
 * How many processes of a worker a crash cycle met before they could say anything: each of them was one, though nothing was heard of it. The session whose worker
 * began the cycle registered both so quickly that one pass of the postmaster started both, the latest first (contract S-31).
 */
export function silentInCrash(run: ScenarioRun, worker: string): number {
  const { records } = run.log();
  const offset = run.clockOffsetMs();
  const begins = run.eventsOf(worker).flatMap(({ text, timeMs }) => (text.startsWith('main run=') ? [timeMs - offset] : []));
  const crashes = records.filter(({ message }) => message === 'terminating any other active server processes').map(({ epochMs }) => epochMs);
  return livesOfWorker(run, worker).filter(({ startedMs }, index, lives) => {
    const endMs = lives[index + 1]?.startedMs ?? Number.POSITIVE_INFINITY;
    const isWithin = (ms: number): boolean => ms >= startedMs - 1 && ms < endMs;
    return crashes.some(isWithin) && !begins.some(isWithin);
  }).length;
}

/**
 * Before a look at what has become of workers: waits until the postmaster has logged as many starts and ends of each as the oracle's had by then. What a worker does
 * at once takes longer here where all processors are busy, and then the scenario's pause is too short for it.
 */
export async function caughtUp(run: ScenarioRun, workers: readonly string[]): Promise<void> {
  if (!run.scenario.stable) return;
  const before = recordedSoFar(run);
  const known = workers.filter((worker) => !isYetToCome(run, worker));
  await becomes(() => known.every((worker) => hasLived(run, run.logNameOf(worker), before)), REST_MS, run.signal);
}

/** Where the recorded order of two moments is off, a later step's worker has been started by now: for that one nobody waits. */
function isYetToCome(run: ScenarioRun, worker: string): boolean {
  const registrations = run.scenario.setup.steps.filter(({ op, w = 'w' }) => op === 'reg' && w === worker);
  const isStatic = Object.values(run.scenario.setup.clusters ?? {}).some((cluster) => cluster.static?.some(({ w = 'w' }) => w === worker));
  return registrations.length > 0 && !isStatic && !run.workers.has(worker);
}

/** Before a step that ends a worker: waits until its processes have written as many lines as the oracle's had by then, where that does not differ from run to run. */
export async function hasSpoken(run: ScenarioRun, worker: string): Promise<void> {
  if (!run.scenario.stable) return;
  const lines = recordedSoFar(run).filter((line) => line.startsWith(`${worker}#`)).length;
  await becomes(() => run.eventsOf(worker).length >= lines, REST_MS, run.signal);
}

/** The recorded line that the runner's next one is to be. */
export function nextRecorded(run: ScenarioRun): string {
  return run.scenario.signature[recordedSoFar(run).length] ?? '';
}

/**
 * What a look sees: looks again until the runner's line, which begins with `what`, is the recorded one, where that does not differ from run to run. For what is
 * not changed by being looked at. Between what a process says and what it does next it may lose the processor; a log line comes before the process it speaks of.
 */
export async function seenAsRecorded(run: ScenarioRun, what: string, look: () => Promise<string> | string): Promise<string> {
  const isMessage = (line: string): boolean => /^runner: \S+: got /.test(line);
  const toCome = run.scenario.signature.slice(recordedSoFar(run).length).find((line) => line.startsWith('runner: ') && !isMessage(line)) ?? '';
  const recorded = toCome.replaceAll(/<[^>]*>/g, '0');
  const worthWaiting = run.scenario.stable && recorded.startsWith(`runner: ${what}`);
  const began = performance.now();
  for (const deadline = began + (worthWaiting ? REST_MS : 0); ;) {
    const seen = await look();
    const isRecorded = recorded === `runner: ${what}${seen.replaceAll(PIDS, '0').replaceAll(`${run.scenario.id}.`, '')}`;
    if (isRecorded && worthWaiting) run.tookToShow(what, performance.now() - began);
    if (isRecorded || performance.now() >= deadline) return seen;
    await sleep(PAUSE_MS, undefined, { signal: run.signal });
  }
}

/** Of the recorded lines those before the one that the runner will say next. */
function recordedSoFar(run: ScenarioRun): readonly string[] {
  const { signature } = run.scenario;
  const next = signature.flatMap((line, index) => (line.startsWith('runner: ') ? [index] : []))[run.linesSaid()];
  return signature.slice(0, next);
}

function hasLived(run: ScenarioRun, name: string, recorded: readonly string[]): boolean {
  const lives = livesOf(run.scenario.id, run.log().records).get(name) ?? [];
  const count = (beginning: string): number => recorded.filter((line) => line.replace(/^LOG\[\w+\] /, '').startsWith(beginning)).length;
  return (
    lives.length >= count(`starting background worker process "${name}"`) &&
    lives.filter(({ exit }) => exit !== null).length >= count(`background worker "${name}" (PID `)
  );
}
