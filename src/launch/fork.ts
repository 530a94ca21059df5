// The only caller of fork. Postmaster; and the first lines of every child.
// PostgreSQL: src/backend/postmaster/fork_process.c, miscinit.c (InitPostmasterChild), contract 7.1.

import { constants } from 'node:os';

import { type Family, keepFamily } from './credentials.js';
import { renewIdentity } from './identity.js';
import { type BackendType, myProcPid, setMyBackendType } from '../globals.js';
import { getConfigOption } from '../guc/guc.js';
import { installExits, onExitReset, procExitPrepare } from '../ipc/exit.js';
import { forgetSignalHandlers, pqsignal, signalHandlerForCrashExit } from '../ipc/signals.js';
import { initializeLatchSupport } from '../ipc/waiters.js';
import { check, native } from '../native.js';

/** What the postmaster holds and a child must not: closed first thing. */
export interface PostmasterPorts {
  readonly listenFd: number;
}

/**
 * Forks a child. Returns its pid in the parent and 0 in the child, which is then set up as far as every kind of child is alike, with signals
 * blocked and SIGQUIT ready.
 * @throws a system error (`EAGAIN`, `ENOMEM`; `EBUSY` where another thread of the postmaster did not come to rest)
 */
export function forkProcess(kind: BackendType, ports: PostmasterPorts): number {
  // DIFFERS FROM POSTGRES: no child outlives the postmaster unless `allow_orphan_workers` is on. The kernel kills it, whatever it is doing.
  const parentDeathSignal = getConfigOption('allow_orphan_workers') ? constants.signals.SIGPWR : constants.signals.SIGKILL;
  const parent = myProcPid;
  const pid = check(native.fork(parentDeathSignal), 'fork');
  if (pid === 0) initPostmasterChild(kind, ports, { parent, parentDeathSignal });
  return pid;
}

// Everything is still blocked here, and the parent-death signal is asked for. The order: first what makes an exit right, then what others may rely on.
function initPostmasterChild(kind: BackendType, ports: PostmasterPorts, family: Family): void {
  native.procForget();
  native.signalsInit();
  forgetSignalHandlers();
  onExitReset();
  renewIdentity();
  setMyBackendType(kind);
  if (!native.takeExits(true, () => void procExitPrepare(-1))) native.exitNow(1); // cannot happen: the postmaster looked before it forked anything
  installExits();
  keepFamily(family);
  if (ports.listenFd >= 0) native.close(ports.listenFd);
  check(native.setSid(), 'setsid');
  pqsignal('SIGQUIT', signalHandlerForCrashExit);
  initializeLatchSupport();
  native.blockSignals();
}
