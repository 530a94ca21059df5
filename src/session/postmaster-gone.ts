// Is the postmaster of a session that has ended gone, too? Any Node process, from the outside: an application has no death pipe.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Alive and not a zombie: a postmaster that was killed may wait for its parent to reap it. */
function processLives(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

const DEATH_DEADLINE_MS = 1000;

/**
 * Is the postmaster gone? The kernel signals the children of a dying process, and closes its own descriptors, a moment before it shows the process
 * as dead: so a session that ended without a word looks again for a while.
 */
export async function postmasterIsGone(pid: number): Promise<boolean> {
  const deadline = performance.now() + DEATH_DEADLINE_MS;
  while (processLives(pid)) {
    if (performance.now() > deadline) return false;
    await sleep(5);
  }
  return true;
}
