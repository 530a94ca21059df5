// SIGUSR1 of which the kernel made one: it keeps one of a kind pending, and a backend that did not run between two takes one. PostgreSQL's backends count no
// more either; the oracle's machine was quiet. Pure.
//
//   postmaster   exit of w: SIGUSR1 ─┐        start of w: SIGUSR1 ─┐
//   backend      (asleep)            └ ready to run … no processor …└ still one ── runs: the handler is called once
//
// Between an exit and the restart that follows at once is nothing but a fork; between two exits that the postmaster finds in one look is nothing at all.

import { registeredWorkers, type Scenario, type Step } from './language.js';
import { logName } from './log-names.js';
import type { LogRecord } from './server-log.js';

/** What the postmaster says when it tells whoever asked for it: a worker runs, it has ended, or it will never run. */
const START = /^starting background worker process "(.*)"$/s;
const EXIT = /^background worker "(.*)" \(PID \d+\) /s;
const UNREGISTERING = /^unregistering background worker "(.*)"$/s;
/** The line of a start comes before the fork, the signal after it; a fork takes at least so long. */
const FORK_MS = 0.5;
/** Times in the log are cut to milliseconds: what lies so far apart there may have come one after the other at once. */
const CUT_MS = 1;

interface Told {
  readonly epochMs: number;
  readonly message: string;
}

/** What a session was told, as the log of its cluster has it. A worker that is unregistered at its exit has two lines, and the session one signal. */
export function toldTo(session: string, scenario: Scenario, log: readonly LogRecord[]): Told[] {
  const tells = whoTells(session, scenario);
  const labelOf = (message: string): string | undefined =>
    [START, EXIT, UNREGISTERING].flatMap((pattern) => pattern.exec(message)?.[1] ?? [])[0]?.replaceAll(`${scenario.id}.`, '');
  const lines = log.filter(({ message }) => labelOf(message) !== undefined);
  const signals = lines.filter(({ message }, at) => !(UNREGISTERING.test(message) && EXIT.test(lines[at + 1]?.message ?? '')));
  return signals.filter(({ message }) => tells(labelOf(message) ?? ''));
}

/** By what the log calls a worker: its name, and in the line of its exit its type. Of one that SQL or a worker has registered the scenario does not say whom it tells. */
function whoTells(session: string, { id, setup }: Scenario): (label: string) => boolean {
  const told = new Set<string>();
  const others = new Set<string>();
  for (const worker of registeredWorkers(setup)) {
    const labels = [logName(id, worker), ...(worker.type === undefined ? [] : [worker.type.replaceAll(`${id}.`, '')])];
    for (const label of labels) (notified(worker) === session ? told : others).add(label);
  }
  return (label) => told.has(label) || !others.has(label);
}

function notified({ op, s = 's1', notify }: Partial<Step>): string | null {
  if (op !== 'reg' || typeof notify !== 'string') return null;
  return notify === 'self' ? s : notify.replace(/^sess:/, '');
}

/** What is known of who had no processor. */
export interface Waits {
  /** May the backend have had none all that time? */
  readonly backend: (fromMs: number, toMs: number) => boolean;
  /** For how many milliseconds of it the postmaster had none: it writes its line, loses the processor, and sends the signal so much later. */
  readonly postmaster: (fromMs: number, toMs: number) => number;
}

/** How many of these signals became one with the one before, at most. */
export function mergesPossible(told: readonly Told[], waits: Waits): number {
  return told.slice(1).filter(({ epochMs, message }, index) => {
    const before = (told[index] as Told).epochMs;
    const apart = Math.max(0, epochMs - before - CUT_MS - waits.postmaster(before, epochMs));
    return waits.backend(epochMs - apart, epochMs + (START.test(message) ? FORK_MS : 0));
  }).length;
}

const COUNT = /^runner: \w+: SIGUSR1 received so far = (\d+)$/;
const countsOf = (lines: readonly string[]): number[] => lines.flatMap((line) => COUNT.exec(line)?.[1] ?? []).map(Number);

export const isCount = (line: string): boolean => COUNT.test(line);

/**
 * May a session have counted so, where it was recorded so? `mergesPossible`: when it counted for the n-th time, from 0. What was lost before one count is lost at
 * the next one, too.
 */
export function countsAgree(want: readonly string[], have: readonly string[], mergesPossible: (nth: number) => number): boolean {
  const counted = countsOf(have);
  const lost = countsOf(want).map((count, nth) => count - (counted[nth] ?? Infinity));
  return (
    lost.every((signals, nth) => signals === 0 || signals <= mergesPossible(nth)) && lost.every((signals, nth) => signals >= (lost[nth - 1] ?? 0))
  );
}
