// Whether a session is let in, and the birth of its backend. Postmaster only; pure.
//
// DIFFERS FROM POSTGRES: a session that is not let in is told so by the postmaster, over a local socket that cannot block it, and not by a
// child forked for nothing else ("dead end"). Hence nobody is waited for in PM_WAIT_DEAD_END.
// PostgreSQL: canAcceptConnections, BackendStartup in src/backend/postmaster/postmaster.c; ProcessStartupPacket in postmaster.c, REL_15_STABLE.

import { ERRCODE_CANNOT_CONNECT_NOW, ERRCODE_SYSTEM_ERROR, ERRCODE_TOO_MANY_CONNECTIONS } from '../elog/errcodes.js';
import { DEBUG2, LOG } from '../elog/error-data.js';
import { addChild, log, type Draft } from './draft.js';
import { requestFork } from './schedule.js';

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
}

const TOO_MANY: Refusal = { code: ERRCODE_TOO_MANY_CONNECTIONS, message: 'sorry, too many clients already' };

export function connectionRequested(d: Draft, conn: number): void {
  const refusal = canAcceptConnections(d);
  if (refusal === null) requestFork(d, { kind: 'backend', conn });
  else d.actions.push({ type: 'refuse connection', conn, ...refusal });
}

/** T-03; null = yes. Workers are never asked: their gate is the scheduling pass's. */
function canAcceptConnections(d: Draft): Refusal | null {
  const { pmState, shutdown, fatalError, connsAllowed, children, settings, aborting, server } = d.state;
  const cannotConnectNow = (message: string): Refusal => ({ code: ERRCODE_CANNOT_CONNECT_NOW, message });
  if (pmState !== 'PM_RUN' && pmState !== 'PM_HOT_STANDBY') {
    if (shutdown !== null || aborting) return cannotConnectNow('the database system is shutting down');
    if (fatalError) return cannotConnectNow('the database system is in recovery mode');
    if (pmState === 'PM_RECOVERY' && server === 'closed') {
      return { ...cannotConnectNow('the database system is not accepting connections'), detail: 'Hot standby mode is disabled.' };
    }
    if (pmState === 'PM_RECOVERY') {
      const refusal = cannotConnectNow('the database system is not yet accepting connections');
      return { ...refusal, detail: 'Consistent recovery state has not been yet reached.' };
    }
    return cannotConnectNow('the database system is starting up');
  }
  if (!connsAllowed) return cannotConnectNow('the database system is shutting down');
  const backends = children.filter((child) => child.kind === 'backend').length;
  return backends >= settings.maxConnections ? TOO_MANY : null;
}

export function backendForked(d: Draft, conn: number, pid: number): void {
  addChild(d, { pid, kind: 'backend', wantsNotify: false });
  log(d, DEBUG2, `forked new backend, pid=${pid} socket=${conn}`);
  d.actions.push({ type: 'close connection', conn });
}

export function backendForkFailed(d: Draft, conn: number, reason: string, noSlot: boolean): void {
  const message = `could not fork new process for connection: ${reason}`;
  if (!noSlot) log(d, LOG, message);
  d.actions.push({ type: 'refuse connection', conn, ...(noSlot ? TOO_MANY : { code: ERRCODE_SYSTEM_ERROR, message }) });
}
