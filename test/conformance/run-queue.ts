// How long postmasters and their children waited for a processor while a scenario ran: what came later for that is not late by any rule of theirs. Runs in the judge.
//
// The kernel counts it (/proc/PID/schedstat, the second number: nanoseconds in which the thread was ready to run and did not run). The judge reads it every few
// milliseconds, and so knows for each stretch of time how much of it the process could not help.

import { readFileSync } from 'node:fs';
import { forkedBy } from '../helpers/processes.js';

const LOOK_MS = 10;
/** Children are many; what one has waited can still be read when it has ended, until its postmaster has reaped it. */
const CHILDREN_LOOK_MS = 25;
/** What a process loses in so long moves what comes after one of a scenario's pauses. */
const STRETCH_MS = 200;

interface Sample {
  readonly epochMs: number;
  readonly waitedMs: number;
}

function read(pid: number): Sample | null {
  try {
    const [, waitedNs = '0'] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ');
    return { epochMs: Date.now(), waitedMs: Number(waitedNs) / 1e6 };
  } catch {
    return null; // it has ended, or the kernel does not count
  }
}

export class RunQueue {
  readonly #pids: () => Iterable<number>;
  readonly #lookMs: number;
  readonly #samples = new Map<number, Sample[]>();
  #timer: NodeJS.Timeout | undefined;
  #lookedAt: number | null = null;
  #worstMs = 0;

  constructor(pids: () => Iterable<number>, lookMs = LOOK_MS) {
    this.#pids = pids;
    this.#lookMs = lookMs;
  }

  /** Of what these processes have forked themselves. */
  static ofChildren(pids: () => Iterable<number>): RunQueue {
    return new RunQueue(() => [...pids()].flatMap((pid) => forkedBy(pid)), CHILDREN_LOOK_MS);
  }

  begin(): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), this.#lookMs);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** From one time to another, by the log's clock: the most that one of them waited, or a little more, where no look came at those times. */
  waitedMs(fromMs: number, toMs: number): number {
    this.#look();
    return Math.max(0, ...[...this.#samples.values()].map((samples) => waitedBetween(samples, fromMs, toMs)));
  }

  /** May this one have had no processor from one time to another, without an end? As far as the looks tell that were taken by themselves. */
  mayHaveWaitedThrough(pid: number, fromMs: number, toMs: number): boolean {
    return coveredByOneWait(this.#samples.get(pid) ?? [], fromMs, toMs);
  }

  /** The most that one of them waited in a stretch of time as long as a scenario's pauses are: at once, or in parts. */
  get worstMs(): number {
    return Math.round(this.#worstMs);
  }

  #look(): void {
    const lookedAt = Date.now();
    for (const pid of this.#pids()) {
      const sample = read(pid);
      if (sample === null) continue;
      // Who was not there at the look before had not waited then; of one who was there before the first look nobody knows.
      const samples = this.#samples.get(pid) ?? (this.#lookedAt === null ? [] : [{ epochMs: this.#lookedAt, waitedMs: 0 }]);
      samples.push(sample);
      this.#worstMs = Math.max(this.#worstMs, waitedAtLast(samples));
      this.#samples.set(pid, samples);
    }
    this.#lookedAt = lookedAt;
  }
}

export function waitedBetween(samples: readonly Sample[], fromMs: number, toMs: number): number {
  const before = samples.findLast(({ epochMs }) => epochMs <= fromMs) ?? samples[0];
  const after = samples.find(({ epochMs }) => epochMs >= toMs) ?? samples.at(-1);
  return before === undefined || after === undefined ? 0 : Math.max(0, after.waitedMs - before.waitedMs);
}

/** In the stretch of time that the last look ends. */
export function waitedAtLast(samples: readonly Sample[]): number {
  const last = samples.at(-1);
  const before = samples.findLast(({ epochMs }) => last !== undefined && epochMs <= last.epochMs - STRETCH_MS) ?? samples[0];
  return last === undefined || before === undefined ? 0 : last.waitedMs - before.waitedMs;
}

/**
 * The kernel counts a wait when it is over. What a look finds more than the look before was over between the two, and so began that much earlier, at the
 * earliest from the look before, if it was a single wait.
 */
export function coveredByOneWait(samples: readonly Sample[], fromMs: number, toMs: number): boolean {
  return samples.slice(1).some(({ epochMs, waitedMs }, index) => {
    const before = samples[index] as Sample;
    const waited = waitedMs - before.waitedMs;
    return waited >= toMs - fromMs && before.epochMs - waited <= fromMs && epochMs >= toMs;
  });
}
