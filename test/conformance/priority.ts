// The judge's own place in the scheduler's queue. Runs in the judge.
//
// A scenario says when something is done: the judge is to be on time even where the processors are busy, and what it judges is to have no advantage of that.
// So the judge goes before everybody else, where it may (root), and what it starts has the place that it would have had.

import { getPriority, setPriority } from 'node:os';

/** As `nice -n -10`. */
const FIRST = -10;
const ORDINARY = getPriority();

/** Ordinary users stay where they are: whoever is late then is seen by how late the judge was. */
export function goFirst(): void {
  try {
    setPriority(FIRST);
  } catch (err) {
    const { code } = ((err as { info?: NodeJS.ErrnoException }).info ?? err) as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') throw err;
  }
}

/** A process that the judge has started, right after that: what it forks then follows it. */
export function goInLine(pid: number | undefined): void {
  if (pid !== undefined && getPriority() !== ORDINARY) setPriority(pid, ORDINARY);
}
