// Is the postmaster alive? Any child.
// PostgreSQL: src/backend/storage/ipc/pmsignal.c (PostmasterIsAlive), contract L-41, L-42.

import { strerror } from '../elog/file-access.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import { FATAL } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { postmasterMayBeDead } from './own-words.js';
import { native } from '../native.js';

/** What the C core says of a byte in the pipe. */
export const EBADMSG = -74;

/**
 * Looks whether the postmaster lives. Costs no system call while it does: the kernel says when it dies. Where that could not be heard, since signals are blocked
 * or another handler than ours has SIGPWR, it is one `read` of the death pipe, or two calls more. Waits look by themselves.
 * @example if (!postmasterIsAlive()) procExit(1);
 * @pg PostmasterIsAlive
 */
export function postmasterIsAlive(): boolean {
  if (!postmasterMayBeDead()) return true;
  const alive = native.postmasterIsAlive();
  if (alive < 0) deathPipeFailed(alive);
  return alive === 1;
}

/** Nobody writes to the pipe, and a read of it does not fail: the end of who found that otherwise, as -errno, by that call or in a wait (L-41). */
export function deathPipeFailed(result: number): void {
  const message =
    result === EBADMSG
      ? 'unexpected data in postmaster death monitoring pipe'
      : `read on postmaster death monitoring pipe failed: ${strerror(result)}`;
  ereport(FATAL, { code: ERRCODE_INTERNAL_ERROR, message });
}
