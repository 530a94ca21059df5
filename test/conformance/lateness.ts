// How late the judge's own process was while it took the steps of a scenario: the event loop's timers tell; and whether a try counts. Runs in the judge.

import type { Result } from './runner.js';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

const LOOK_MS = 10;

/**
 * Scenarios leave 50 ms where it matters who is first. A judge that was itself as late as this has not done what the scenario says.
 */
export const TOO_LATE_MS = 40;
/**
 * The pauses in which a scenario's workers do nothing, so that one thing comes after another, are mostly 100 ms and more. Where a process was ready to
 * run for as long and had no processor, they have not parted what they were to part: signals, of which the kernel keeps one of a kind, have become one.
 */
export const STARVED_MS = 100;

/** Has a try shown nothing, though it failed? */
export function isWorthAnotherTry({ verdict, lateMs, starvedMs }: Pick<Result, 'verdict' | 'lateMs' | 'starvedMs'>): boolean {
  return verdict === 'failed' && (lateMs >= TOO_LATE_MS || starvedMs >= STARVED_MS);
}

/** Steps and comparison only: before them, and when everything is cleared away, nobody waits for the judge. */
export class Lateness {
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: LOOK_MS });
  #worstMs = 0;

  begin(): void {
    this.#delays.enable();
  }

  end(): void {
    this.#delays.disable();
    this.#worstMs = Math.max(0, Math.round(this.#delays.max / 1e6) - LOOK_MS);
  }

  get worstMs(): number {
    return this.#worstMs;
  }
}
