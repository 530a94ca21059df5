// The only caller of fork: how a running Node is forked, step by step. Postmaster; and the first lines of every child.
// PostgreSQL: src/backend/postmaster/fork_process.c, miscinit.c (InitPostmasterChild), contract 7.1.
//
// Each step names the hazards that it closes, by their numbers in docs/fork-safety.md, whose table has all of them with their tests. Steps 11 to 22 are in this
// file and in the one native call that it makes; the others say where they are. A test holds this list and that table together.
//
// Once, in the postmaster; src/postmaster/main.ts does it in this order, for the reasons that it gives:
//    1  V1 V2 V3 U1   Node is executed again, with V8's flags and without io_uring: late flags crash (reexecuteIfNeeded, node-flags.ts)
//    2  P6            a channel of child_process.fork is closed
//    3  F1 T1 T3 M1   Node's imports lead to ours: no page is marked MADV_DONTFORK any more, what was marked is unmarked, pages lie side by side, threads are born
//                     with every signal blocked, and an addon's threads too; before anything is loaded that could start one (checkNode; native/core/imports.c)
//    4  V4 V6         V8 is told that its platform has no threads, now or later (checkNode; native/core/platform.c)
//    5  I1 I2 I3 I4   what every process of ours must have of its own is prepared, before anybody can keep a reference to Node's (identity.ts)
//    6  P5 P7 I5      what is loaded is looked at for what does not survive a fork (postmaster/preload-audit.ts)
//    7  P4            the pipe by which children learn of the postmaster's death
//    8  P8            a connection to a database is rehearsed, so that children share what was compiled for it (database/rehearsal.ts)
//    9  V5 V7         the heap is collected and compacted, and kept small from then on: each child copies less when it collects (postmaster/image.ts)
//   10  P1            from here on the postmaster's event loop does not turn: it forks from one immediate, with nothing else under way
// For each child, in one native call: between 11 and 15 nothing allocates on V8's heap, in either process (native/core/fork.c, native/binding/fork.cc):
//   11  F3            every signal is blocked
//   12  F2            every other thread is seen asleep where it holds no lock
//   13                fork(2)
//   14  P2 P4         the child asks for its parent-death signal, looks whether the parent is still there, and closes the pipe's other end
//   15  F4 U2         libuv makes the event loop's descriptors anew; its thread pool has begun anew at the fork
// In the child, with every signal still blocked: initPostmasterChild, below
//   16  P3 T1         what the postmaster had recorded, and its handlers, listeners and callbacks, are forgotten; the main thread is this one
//   17  I1 I2 I3 I4 I5  its own pid, beginning and randomness
//   18  E1            every way out leads to ours
//   19  P4            a change of credentials does not lose the parent-death signal
//   20  P2            the postmaster's socket is closed
//   21  T2            SIGURG is blocked, before a thread of the child's is born
//   22  F3            handlers are in place: the mask is PostgreSQL's, as at the entry of each of its processes
// In the child, by what it is to be:
//   23  P2            other sessions' sockets, and the lock file where shared memory is not attached, are closed (postmaster/performer.ts, child-main.ts)
//   24  T4            SIGUSR1 is PostgreSQL's, and no longer the inspector's (worker/main.ts, session/backend.ts, child-main.ts)
//   25  R1            limits of resources are set, right before the user's code (worker/rlimits.ts)
// And for as long as they live:
//   26  P9            the log, which all of them share, is waited for where it is full (elog/server-log.ts)

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
  const pid = check(native.fork(parentDeathSignal), 'fork'); // steps 11 to 15
  if (pid === 0) initPostmasterChild(kind, ports, { parent, parentDeathSignal });
  return pid;
}

// Steps 16 to 22: first what makes an exit right, then what others may rely on.
function initPostmasterChild(kind: BackendType, ports: PostmasterPorts, family: Family): void {
  // 16: P3, T1
  native.procForget();
  native.signalsInit();
  forgetSignalHandlers();
  onExitReset();
  // 17: I1 to I5
  renewIdentity();
  setMyBackendType(kind);
  // 18: E1
  if (!native.takeExits(true, () => void procExitPrepare(-1))) native.exitNow(1); // cannot happen: the postmaster looked before it forked anything
  installExits();
  // 19: P4
  keepFamily(family);
  // 20: P2
  if (ports.listenFd >= 0) native.close(ports.listenFd);
  check(native.setSid(), 'setsid');
  pqsignal('SIGQUIT', signalHandlerForCrashExit);
  // 21: T2
  initializeLatchSupport();
  // 22: F3
  native.blockSignals();
}
