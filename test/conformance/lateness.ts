// How late the judge's own process was while it took the steps of a scenario: the event loop's timers tell; and whether a try counts. Runs in the judge.

import type { Result } from './runner.js';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

const LOOK_MS = 10;

/**
 * Scenarios leave 50 ms, here and there, where it matters who is first. A judge that was late, and a process that was ready to run and had no processor, have not
 * done what the scenario says when it says so. What is known of either is the worst; what one of those 50 ms has in it are several such delays, of the judge,
 * of a backend, of the postmaster and of a worker that begins. So half as much is too late. (Four scenarios side by side on a quiet machine of two processors:
 * half of them have 10 ms, one in eight has as much as this.)
 */
export const TOO_LATE_MS = 25;

/** Has a try shown nothing, though it failed? */
export function isWorthAnotherTry({ verdict, lateMs, starvedMs }: Pick<Result, 'verdict' | 'lateMs' | 'starvedMs'>): boolean {
  return verdict === 'failed' && lateMs + starvedMs >= TOO_LATE_MS;
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
