// Waiting in tests: for a condition, never for an amount of time. Runs in the process of the test.
//
// A condition is looked at every few milliseconds until it holds or the deadline has passed; the deadline is generous, because it costs time only
// where something is wrong. What was waited for stands in the error, for that is all one sees of a failure on a machine far away.
import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Give up after this long. */
  readonly timeoutMs?: number;
  /** What is waited for, to end the sentence "timed out after 10 s: waited for …"; a function is asked at the deadline, and can tell how things stand. */
  readonly what: string | (() => string);
  /** Between two looks. More than the default only for a look that costs. */
  readonly pauseMs?: number;
}

/** Every deadline is so many times longer: where the addon is slow on purpose (scripts/test-asan.mjs). */
const PATIENCE = Number(process.env['BGWORKER_TEST_PATIENCE'] ?? 1);

type Falsy = false | null | undefined | '' | 0 | 0n;

/**
 * Waits until `condition` gives something true, and returns that.
 *
 * @throws what the condition throws, at once: a condition that can fail for a while says so with `null`, not with an exception.
 * @example const pid = await waitUntil(() => pidOf('worker'), { what: 'the worker to start' });
 */
export async function waitUntil<T>(condition: () => T | Promise<T>, options: WaitOptions): Promise<Exclude<T, Falsy>> {
  const { pauseMs = 5, what } = options;
  const timeoutMs = (options.timeoutMs ?? 10_000) * PATIENCE;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const result = await condition();
    if (result) return result as Exclude<T, Falsy>;
    if (performance.now() > deadline)
      throw new Error(`timed out after ${timeoutMs / 1000} s: waited for ${typeof what === 'string' ? what : what()}`);
    await sleep(pauseMs);
  }
}
