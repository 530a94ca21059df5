// post_auth_delay: the pause in which a debugger can attach to a process that has just begun. Background workers and sessions' backends.
// PostgreSQL: StartBackgroundWorker in src/backend/postmaster/bgworker.c, InitPostgres in src/backend/utils/init/postinit.c.

import { getConfigOption } from '../guc/guc.js';

/**
 * Sleeps as long as the setting says: before any handler is there and with signals blocked, so that nothing has happened yet when the debugger looks. SIGQUIT and
 * the postmaster's death end it all the same.
 */
export function postAuthDelay(): void {
  const seconds = getConfigOption('post_auth_delay');
  if (seconds > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}
