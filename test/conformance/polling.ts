// Waiting for what other processes do: looks every few milliseconds until it is so or the time is over. Runs in the judge.

import { setTimeout as sleep } from 'node:timers/promises';

export const PAUSE_MS = 5;

/** False where the time was over first. An abort (deadline of the scenario, Ctrl-C) throws. */
export async function becomes(condition: () => boolean, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    if (condition()) return true;
    if (performance.now() >= deadline) return false;
    await sleep(PAUSE_MS, undefined, { signal });
  }
}

/** What the promise resolves to, or null after the time is over; the promise goes on. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<{ value: T } | null> {
  const over = new AbortController();
  const timer = sleep(timeoutMs, null, { signal: AbortSignal.any([signal, over.signal]) });
  try {
    return await Promise.race([promise.then((value) => ({ value })), timer]);
  } finally {
    over.abort();
    timer.catch(() => {});
  }
}
