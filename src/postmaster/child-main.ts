// What a fresh child becomes. Runs in the child, right after the fork; returns to the child's event loop.
// PostgreSQL: the end of src/backend/postmaster/postmaster.c's StartChildProcess, BackendStartup and do_start_bgworker.

import { closeLockFile } from './lock-file.js';
import type { ChildRole } from './performer.js';
import { BGWORKER_SHMEM_ACCESS } from '../constants.js';
import { databaseConninfo } from '../database/conninfo.js';
import { startupProcessMain } from '../database/startup.js';
import { emitErrorReport, ereport } from '../elog/elog.js';
import { dataDir, myProcPid } from '../globals.js';
import { getConfigOption } from '../guc/guc.js';
import { procExit } from '../ipc/exit.js';
import { WL_EXIT_ON_PM_DEATH, myLatch, setMyLatch, waitLatch } from '../ipc/latch.js';
import { PMSIGNAL_BEGIN_HOT_STANDBY, PMSIGNAL_RECOVERY_FINISHED, PMSIGNAL_RECOVERY_STARTED, sendPostmasterSignal } from '../ipc/pmsignal.js';
import { initProcess } from '../ipc/proc.js';
import { reportServerState } from '../ipc/server-state.js';
import { initPsDisplay } from '../ipc/ps-status.js';
import { SIG_DFL, SIG_IGN, backgroundWorkerUnblockSignals, pqsignal } from '../ipc/signals.js';
import { backendMain } from '../session/backend.js';
import { backgroundWorkerMain } from '../worker/main.js';

const PMSIGNAL = {
  'recovery started': PMSIGNAL_RECOVERY_STARTED,
  'begin hot standby': PMSIGNAL_BEGIN_HOT_STANDBY,
  'recovery finished': PMSIGNAL_RECOVERY_FINISHED,
} as const;

function startupMain(procIndex: number): void {
  setMyLatch(initProcess(procIndex, { pid: myProcPid, kind: 'startup', name: 'startup', type: 'startup', workerSlot: -1 }));
  initPsDisplay('startup');
  pqsignal('SIGTERM', () => procExit(1));
  pqsignal('SIGCHLD', SIG_DFL);
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGPWR'] as const) pqsignal(signal, SIG_IGN);
  backgroundWorkerUnblockSignals();
  // Its waits are the client's, which know nothing of the postmaster: with allow_orphan_workers it would stay, and keep the next postmaster out.
  void waitLatch(myLatch, WL_EXIT_ON_PM_DEATH, -1, { waitEventInfo: 0 });
  const database = getConfigOption('database');
  const conninfo = () => databaseConninfo(database, dataDir) ?? procExit(0);
  const fail = (err: unknown): never => {
    emitErrorReport(err);
    return procExit(1);
  };
  startupProcessMain({
    conninfo,
    raise: (reason) => sendPostmasterSignal(PMSIGNAL[reason]),
    report: reportServerState,
    log: ereport,
    lookForPooler: database !== 'owned',
    // The end of an owned server's connection is known to the kernel, and an owned server is a child of our parent's.
    checkIntervalMs: database === 'owned' ? 0 : getConfigOption('database_check_interval') * 1000,
  }).then(() => procExit(0), fail);
}

/** Starts the child's own life. */
export function becomeChild(child: ChildRole): void {
  switch (child.role) {
    case 'startup':
      return startupMain(child.procIndex);
    case 'backend':
      return backendMain(child.procIndex, child.client);
    case 'bgworker':
      // The lock stands for shared memory: who has none of it does not keep the next postmaster out.
      if ((child.descriptor.flags & BGWORKER_SHMEM_ACCESS) === 0) closeLockFile();
      return backgroundWorkerMain(child.descriptor, child.slot, child.procIndex);
  }
}
