// Waiting for a server, with dots on a terminal as pg_ctl has them. The command line.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Surroundings } from './surroundings.js';

/** How often to look. A start takes some tenths of a second, so this is what the user feels. */
const PAUSE_MS = 25;
const DOT_MS = 1000;

export interface WaitOptions {
  readonly seconds: number;
  /** What stands before the dots; '' for silence. */
  readonly message: string;
}

/**
 * Looks until `look` gives something other than null.
 * @returns that, or null when the time is up
 */
export async function waitWithDots<T>(look: () => T | null, { seconds, message }: WaitOptions, { out, isTerminal }: Surroundings): Promise<T | null> {
  const begun = performance.now();
  let nextDot = DOT_MS;
  if (message !== '') out(`${message}....`);
  for (;;) {
    const found = look();
    if (found !== null) return found;
    const elapsed = performance.now() - begun;
    if (elapsed > seconds * 1000) return null;
    if (elapsed >= nextDot) {
      if (message !== '' && isTerminal) out('.');
      nextDot += DOT_MS;
    }
    await sleep(PAUSE_MS);
  }
}
