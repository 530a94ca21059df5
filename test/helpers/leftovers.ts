// Finding again what a test started, when nothing else connects the two any more: orphans, daemons, what was killed half-way.
// Runs in the process of a test and, for the run as a whole, in vitest's main process.
//
// A process belongs to a mark when its environment has the mark's variable, or when its working directory or one of its files is below the mark's
// directory. Several signs, because each can be lost: PostgreSQL's children write their title over their environment, and a daemon may go to /.
import { allPids, cwdOf, describeProcess, environOf, isAlive, openFds, startTimeOf } from './processes.js';
import { waitUntil } from './wait-until.js';

/** What the processes of one test run, or of one postmaster in it, have in common. */
export interface Mark {
  /** `NAME=value` in the environment. */
  readonly variable: string;
  /** The directory that they work in. */
  readonly dir: string;
}

function isBelow(path: string | null, dir: string): boolean {
  return path !== null && (path === dir || path.startsWith(`${dir}/`));
}

/** A look at every process of the machine costs some milliseconds: not more often than this. */
export const SCAN_PAUSE_MS = 50;

/** The processes that bear the mark and run; zombies do not, and have lost their marks. Never the one that asks. */
export function marked(mark: Mark, except: readonly number[] = []): number[] {
  return allPids().filter(
    (pid) =>
      pid !== process.pid &&
      !except.includes(pid) &&
      isAlive(pid) &&
      (environOf(pid).includes(mark.variable) || isBelow(cwdOf(pid), mark.dir) || [...openFds(pid).values()].some((file) => isBelow(file, mark.dir))),
  );
}

/**
 * Kills by pid: the youngest first, so that a parent does not replace them, again and again until nothing with the mark is left.
 * Between the look and the signal stands a check of the start time, so that a pid in use again is left alone.
 */
export async function killMarked(mark: Mark, except: readonly number[] = []): Promise<void> {
  await waitUntil(
    () => {
      const found = marked(mark, except).map((pid) => ({ pid, startTime: startTimeOf(pid) }));
      for (const { pid, startTime } of found.toReversed()) killIfSame(pid, startTime);
      return found.length === 0;
    },
    { pauseMs: SCAN_PAUSE_MS, what: () => `killed processes to disappear:\n${marked(mark, except).map(describeProcess).join('\n')}` },
  );
}

function killIfSame(pid: number, startTime: number | null): void {
  if (startTime === null || startTimeOf(pid) !== startTime) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
  }
}
