// How late the judge's own process was while it took the steps of a scenario: the event loop's timers tell. Runs in the judge.

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

const LOOK_MS = 10;

/**
 * Scenarios leave 50 ms where it matters who is first. A judge that was itself as late as this has not done what the scenario says.
 */
export const TOO_LATE_MS = 40;

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
