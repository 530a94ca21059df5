// The postmaster's state machine: what it knows, what it is told, what it asks for. Postmaster only.
//
//   loop: wait → event ─▶ step(state, event) ─▶ { state, actions } ─▶ loop: perform, and answer a fork
//
// Types alone live here, so that every room of the machine (schedule, registry, reap, shutdown, connections) can import them without a cycle.
// PostgreSQL: the static variables of src/backend/postmaster/postmaster.c and src/include/postmaster/bgworker_internals.h, REL_15_STABLE.

/** DIFFERS FROM POSTGRES: no PM_SHUTDOWN_2; it waits for the archiver and WAL senders, which we have not. PM_SHUTDOWN waits for the owned database. */
export type PMState =
  | 'PM_INIT'
  | 'PM_STARTUP'
  | 'PM_RECOVERY'
  | 'PM_HOT_STANDBY'
  | 'PM_RUN'
  | 'PM_STOP_BACKENDS'
  | 'PM_WAIT_BACKENDS'
  | 'PM_SHUTDOWN'
  | 'PM_WAIT_DEAD_END'
  | 'PM_NO_CHILDREN';

/**
 * What the startup process sees of the database server; `closed` is a standby that lets nobody in (hot_standby = off). PM states never go back; this does, and
 * holds back workers that connect to it.
 */
export type ServerState = 'away' | 'closed' | 'standby' | 'primary';

/** The status word of `postmaster.pid`. */
export type PostmasterStatus = 'starting' | 'ready' | 'standby' | 'stopping';
/** The word beside it for the database server: `none` is configured; `unknown`, as nobody has seen it yet; or what was seen of it last. */
export type DatabaseStatus = 'none' | 'unknown' | ServerState;
export type ShutdownMode = 'smart' | 'fast' | 'immediate';
export type SignalName = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGKILL' | 'SIGUSR1' | 'SIGUSR2' | 'SIGHUP';

/** The fields of a descriptor that scheduling reads; the others ride along untouched. */
export interface WorkerDescriptor {
  readonly name: string;
  readonly type: string;
  readonly flags: number;
  readonly startTime: number;
  /** Seconds; -1 = never. */
  readonly restartTime: number;
  readonly notifyPid: number;
}

/** One entry of the postmaster's private list. It alone survives a crash cycle; slots are rebuilt from it. */
export interface RegisteredBgWorker {
  /** Private to the postmaster and never given twice, so that an answer to a fork cannot meet the wrong entry. */
  readonly id: number;
  readonly slot: number;
  readonly descriptor: WorkerDescriptor;
  /** Who gets SIGUSR1; cleared when that process dies, which the descriptor's copy in the slot does not show. */
  readonly notifyPid: number;
  /** 0 = not running. */
  readonly pid: number;
  /** When the last exit with a nonzero status was reaped, or the last fork failed. null = no such thing since the last start. */
  readonly crashedAt: number | null;
  /** To be forgotten as soon as it does not run. Never taken back. */
  readonly terminate: boolean;
}

/** What the guard knows of a worker (guard.ts). */
export interface FailureRecord {
  /** In a row. */
  readonly failures: number;
  /** When it was forked; null = it does not run. */
  readonly startedAt: number | null;
  /** The last death was the worker's own doing. */
  readonly failed: boolean;
}

/** What the machine itself keeps of a worker: also what its slot says, since the postmaster reads nothing back from shared memory. */
export interface WorkerEntry extends RegisteredBgWorker, FailureRecord {
  /** -1 = registered, never started (the registrant's store); then whatever we stored last. */
  readonly slotPid: number;
}

/** A live child. `wantsNotify`: some entry names it as its notify pid, so its death has to be looked for there. */
export interface Child {
  readonly pid: number;
  readonly kind: 'startup' | 'bgworker' | 'backend';
  readonly workerId?: number;
  readonly wantsNotify: boolean;
}

/** A slot as the loop read it from shared memory, sanitised. Nothing in it is believed but `inUse` and `terminate`. */
export interface SlotView {
  readonly slot: number;
  readonly inUse: boolean;
  readonly terminate: boolean;
  /** As stored there; nobody has validated it. */
  readonly notifyPid: number;
  readonly parallel: boolean;
  /** null where the worker was on the list when this was read, or where nothing could be read. */
  readonly descriptor: WorkerDescriptor | null;
}

/** One of the two is set; neither is when the kernel reported something else. */
export interface ExitStatus {
  readonly exitCode: number | null;
  readonly signal: number | null;
}

/** What the loop finds when it reaps a child. */
export interface Death {
  readonly pid: number;
  readonly status: ExitStatus;
  /** It had left shared memory in order. */
  readonly detached: boolean;
  /** What it had reported last, for the log alone. Missing or '': nothing is known of it. */
  readonly activity?: string;
}

/** 0 = off; see guard.ts and fold.ts. */
export interface GuardSettings {
  /** Seconds. */
  readonly workerRestartBackoffMax: number;
  readonly workerGiveUpAfter: number;
  /** Seconds. */
  readonly crashCycleBackoffMax: number;
  readonly crashGiveUpAfter: number;
  readonly logFoldRepeats: boolean;
}

export interface PostmasterSettings {
  readonly maxWorkerProcesses: number;
  readonly maxConnections: number;
  readonly restartAfterCrash: boolean;
  /** false: no startup process is forked, and PM_RUN comes at once. */
  readonly hasDatabase: boolean;
  /** We stop it when we end. */
  readonly ownedDatabase: boolean;
  /** Missing: all of it is off. */
  readonly guard?: GuardSettings;
}

export type ForkTarget =
  { readonly kind: 'bgworker'; readonly id: number } | { readonly kind: 'startup' } | { readonly kind: 'backend'; readonly conn: number };

/**
 * Something happened at `now`, in monotonic milliseconds. While a fork is outstanding nothing but its answer may be told. `more`: others of the same turn of
 * the loop follow, so no worker is started yet: PostgreSQL reaps all of its dead, and serves all signals, before it looks who may start. Where one of two
 * dead has crashed, the other is not restarted in between only to be killed.
 */
export type PostmasterEvent = { readonly now: number; readonly more?: boolean } & (
  | { readonly type: 'initialised' }
  | { readonly type: 'pmsignal'; readonly reason: 'recovery started' | 'begin hot standby' | 'recovery finished' }
  | { readonly type: 'server state'; readonly server: ServerState }
  | { readonly type: 'slots'; readonly totalSlots: number; readonly slots: readonly SlotView[] }
  | { readonly type: 'connection'; readonly conn: number }
  | { readonly type: 'forked'; readonly target: ForkTarget; readonly pid: number }
  | { readonly type: 'fork failed'; readonly target: ForkTarget; readonly reason: string; readonly noSlot?: boolean }
  | ({ readonly type: 'exited' } & Death)
  | { readonly type: 'shutdown'; readonly mode: ShutdownMode }
  | { readonly type: 'reload' }
  | { readonly type: 'reinitialised' }
  | { readonly type: 'database stopped' }
  | { readonly type: 'database lost'; readonly message: string }
  | { readonly type: 'lock file invalid' }
  | { readonly type: 'timeout' }
);

/**
 * To be performed in order. 'fork', 'reinitialise' and 'exit' only ever stand last, at most one of them in a list.
 * Every connection is answered by exactly one of 'close connection' (a backend has it now) and 'refuse connection' (report, then close).
 */
export type Action =
  | {
      readonly type: 'log';
      readonly level: number;
      readonly message: string;
      readonly code?: string;
      readonly detail?: string;
      readonly hint?: string;
    }
  | { readonly type: 'fork'; readonly target: ForkTarget }
  | { readonly type: 'set slot pid'; readonly slot: number; readonly pid: number }
  | { readonly type: 'set slot terminate'; readonly slot: number }
  | { readonly type: 'free slot'; readonly slot: number }
  | { readonly type: 'count terminated parallel worker' }
  | { readonly type: 'kill'; readonly pid: number; readonly signal: SignalName; readonly group: boolean }
  | { readonly type: 'close connection'; readonly conn: number }
  | { readonly type: 'refuse connection'; readonly conn: number; readonly code: string; readonly message: string; readonly detail?: string }
  | { readonly type: 'reinitialise'; readonly workers: readonly RegisteredBgWorker[] }
  | { readonly type: 'state'; readonly state: PMState }
  | { readonly type: 'reload configuration' }
  | { readonly type: 'start database' }
  | { readonly type: 'stop database'; readonly mode: 'fast' | 'immediate' }
  | { readonly type: 'exit'; readonly status: 0 | 1 };

/** A scheduling pass under way. It outlives a step, because each fork is performed and answered between two steps. */
export interface Pass {
  /** Ids of the entries not looked at yet, in list order. */
  readonly queue: readonly number[];
  readonly launched: number;
  /** The pass reads the clock once. */
  readonly now: number;
  /** What the pass was for: nothing more, PM_RUN next (no database), or the line that says we are open for business. */
  readonly then: 'nothing' | 'enter run' | 'announce';
}

/** A line about a worker that was written, and how often it has been kept back since. */
export interface Fold {
  readonly workerId: number;
  /** The line without the pid. */
  readonly key: string;
  readonly times: number;
  readonly last: string;
  readonly until: number;
}

export interface PostmasterState {
  readonly settings: PostmasterSettings;
  readonly pmState: PMState;
  /** Only ever raised. */
  readonly shutdown: ShutdownMode | null;
  /** A crash cycle is unresolved: nothing is started. */
  readonly fatalError: boolean;
  /** false: smart shutdown waits for the sessions that are there. */
  readonly connsAllowed: boolean;
  /** Since when children have been dying of SIGQUIT; null = the stopwatch is off, or has struck. */
  readonly abortStartTime: number | null;
  readonly startupStatus: 'not running' | 'running' | 'signaled' | 'crashed';
  readonly startWorkerNeeded: boolean;
  readonly haveCrashedWorker: boolean;
  /** Head first: newest registration first. */
  readonly workers: readonly WorkerEntry[];
  /** Newest first. */
  readonly children: readonly Child[];
  readonly nextWorkerId: number;
  /** The fork whose answer is awaited. */
  readonly forking: ForkTarget | null;
  readonly pass: Pass | null;
  readonly database: 'none' | 'running' | 'stopping' | 'stopped';
  /** null = the startup process has said nothing yet since we began, or began again. */
  readonly server: ServerState | null;
  /** The startup process failed before there was anything to stop in order: exit 1 as soon as the database is down. */
  readonly aborting: boolean;
  /** 'reinitialise' was asked for and not answered. */
  readonly reinitialising: boolean;
  /** Crash cycles in a row, the one under way included. */
  readonly crashes: number;
  /** Since when the server has been open; null = it is not, or a crash cycle is unresolved. */
  readonly servingSince: number | null;
  /** Since when everybody has been gone, and the guard has kept us from beginning again. */
  readonly pausedSince: number | null;
  readonly folds: readonly Fold[];
  readonly lastWakeup: number;
  readonly exitStatus: 0 | 1 | null;
}

export interface StepResult {
  readonly state: PostmasterState;
  readonly actions: readonly Action[];
}
