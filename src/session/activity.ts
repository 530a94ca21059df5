// The listing of a postmaster's processes and workers, as a backend sees it in shared memory. What `bgworker ps` prints.
// PostgreSQL: pg_stat_activity (src/backend/utils/adt/pgstatfuncs.c).

import { copySlotDescriptor, slotInUse, slotPid, slotTerminate, totalSlots } from '../bgworker/slots.js';
import { InvalidPid } from '../constants.js';
import { type BackendType, pgStartTime, postmasterPid } from '../globals.js';
import { withBackgroundWorkerLock } from '../ipc/lwlock.js';
import type { BackendStatus } from '../ipc/backend-status.js';
import { type ProcEntry, procArray } from '../ipc/proc.js';

/** One process, or one worker that has none at the moment; with what it reported last (`pgstatReportActivity`). */
export interface ActivityEntry extends BackendStatus {
  /** null: not running. */
  readonly pid: number | null;
  readonly kind: BackendType;
  readonly name: string;
  readonly type: string;
  /** `running`, `waiting to start`, `stopped` (a restart may be due), `terminating`. */
  readonly state: string;
  /** The worker's slot; null for other processes. */
  readonly slot: number | null;
  /** Milliseconds since the epoch; null: not running. */
  readonly startedAt: number | null;
  /** Seconds, -1 never; null for other processes. */
  readonly restartTime: number | null;
  /** What it waits for at this moment, as pg_stat_activity has it: `Extension`, `WorkerSpiMain`. null: it runs, or waits for nothing that has a name. */
  readonly waitEventType: string | null;
  readonly waitEvent: string | null;
}

function workerState(pid: number, terminate: boolean): string {
  if (pid > 0) return terminate ? 'terminating' : 'running';
  return pid === InvalidPid ? 'waiting to start' : 'stopped';
}

const NOT_REPORTED: BackendStatus = { backendState: null, query: null, queryStart: null, stateChange: null };

function statusOf(proc: BackendStatus | undefined): BackendStatus {
  if (proc === undefined) return NOT_REPORTED;
  const { backendState, query, queryStart, stateChange } = proc;
  return { backendState, query, queryStart, stateChange };
}

function described({ pid, kind, name, type, startedAt, waitEventType, waitEvent }: ProcEntry): Omit<ActivityEntry, keyof BackendStatus> {
  return { pid, kind, name, type, state: 'running', slot: null, startedAt, restartTime: null, waitEventType, waitEvent };
}

/** Everything that the postmaster has, itself first, workers by slot. Any backend. */
export function bgStatGetActivity(): ActivityEntry[] {
  const procs = procArray();
  const self: ActivityEntry = {
    pid: postmasterPid,
    kind: 'postmaster',
    name: 'postmaster',
    type: 'postmaster',
    state: 'running',
    slot: null,
    startedAt: pgStartTime,
    restartTime: null,
    waitEventType: null,
    waitEvent: null,
    ...NOT_REPORTED,
  };
  const others = procs.filter(({ kind }) => kind !== 'background worker').map((proc) => ({ ...statusOf(proc), ...described(proc) }));
  const workers: ActivityEntry[] = withBackgroundWorkerLock(() => {
    const entries: ActivityEntry[] = [];
    for (let slot = 0; slot < totalSlots(); slot++) {
      if (!slotInUse(slot)) continue;
      const { name, type, restartTime } = copySlotDescriptor(slot);
      const pid = slotPid(slot);
      const proc = procs.find((candidate) => candidate.pid === pid);
      entries.push({
        pid: pid > 0 ? pid : null,
        kind: 'background worker',
        name,
        type,
        state: workerState(pid, slotTerminate(slot)),
        slot,
        startedAt: proc?.startedAt ?? null,
        restartTime,
        waitEventType: proc?.waitEventType ?? null,
        waitEvent: proc?.waitEvent ?? null,
        ...statusOf(proc),
      });
    }
    return entries;
  });
  return [self, ...others, ...workers];
}
