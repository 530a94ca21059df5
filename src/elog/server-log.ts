// Standard error, onto which all processes of a server write their log. Any process.
// PostgreSQL: write_console in src/backend/utils/error/elog.c, REL_15_STABLE.

import { myProcPid } from '../globals.js';
import { native } from '../native.js';

const STDERR = 2;
/** A reader that has stopped, and not only is behind: whoever writes the log has more to do. */
const PATIENCE_MS = 5000;

/** What did not reach the reader, for want of one that reads. */
let lost = 0;
/** The last record was cut: the next one begins on a line of its own. */
let torn = false;
let pid = 0;

/**
 * Writes a record with one write, so that records of several processes do not mix.
 *
 * DIFFERS FROM POSTGRES: a pipe that is full and does not block is waited for, five seconds long, where PostgreSQL throws the record away in silence. What comes
 * after that is tried once and thrown away, until the reader reads again; then it learns from `noteOfLoss` how much it has missed.
 * @param noteOfLoss a record that says so
 */
export function writeLog(record: () => string, noteOfLoss: (records: number) => string): void {
  if (pid !== myProcPid) [pid, lost, torn] = [myProcPid, 0, false]; // a child's log is its own
  const front = lost === 0 ? '' : `${torn ? '\n' : ''}${noteOfLoss(lost)}`;
  const bytes = Buffer.from(front + record());
  const written = native.writeLog(STDERR, bytes, lost === 0 ? PATIENCE_MS : 0);
  if (written < 0) return; // nobody will ever read the log; that must not end us
  if (written === bytes.length) {
    [lost, torn] = [0, false];
  } else {
    lost++;
    torn ||= written > 0;
  }
}
