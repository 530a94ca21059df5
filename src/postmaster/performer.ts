// What the state machine asks for, done: forks, signals, slots, the database server, the lock file. Postmaster.
// PostgreSQL: src/backend/postmaster/postmaster.c (do_start_bgworker, BackendStartup, signal_child, ExitPostmaster).

import { constants } from 'node:os';

import type {
  Action,
  Child,
  DatabaseStatus,
  ForkTarget,
  PostmasterEvent,
  PostmasterState,
  PostmasterStatus,
  SignalName,
  RegisteredBgWorker,
  ReloadableSettings,
} from './state.js';
import { readSlots } from './slot-views.js';
import { decodeWaitStatus } from './wait-status.js';
import type { Descriptor } from '../bgworker/background-worker.js';
import { countTerminatedParallelWorker, freeSlot, initializeSlot, setSlotPid, setSlotTerminate } from '../bgworker/slots.js';
import { ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION } from '../elog/errcodes.js';
import { ErrorData, FATAL } from '../elog/error-data.js';
import { emitErrorReport, ereport } from '../elog/elog.js';
import { strerror } from '../elog/file-access.js';
import { myProcPid } from '../globals.js';
import { processShmemStartup } from '../ipc/ipci.js';
import { assignChildSlot, forgetChildSlots, releaseChildSlot } from '../ipc/proc.js';
import {
  PMSIGNAL_BACKGROUND_WORKER_CHANGE,
  PMSIGNAL_BEGIN_HOT_STANDBY,
  PMSIGNAL_RECOVERY_FINISHED,
  PMSIGNAL_RECOVERY_STARTED,
  PMSIGNAL_SERVER_STATE,
  checkPostmasterSignal,
} from '../ipc/pmsignal.js';
import { seenServerState } from '../ipc/server-state.js';
import { forkProcess } from '../launch/fork.js';
import { native, systemError } from '../native.js';
import { encodeFrame } from '../session/protocol.js';
import { HEADER } from '../shmem/layout.js';
import { resetSharedMemory, sharedMemory } from '../shmem/shmem.js';

/** Who is at the other end of a connection. */
export interface Client {
  readonly fd: number;
  readonly pid: number;
  readonly uid: number;
}

/** What a fresh child is to become. */
export type ChildRole =
  | { readonly role: 'bgworker'; readonly descriptor: Descriptor; readonly slot: number; readonly procIndex: number }
  | { readonly role: 'backend'; readonly client: Client; readonly procIndex: number }
  | { readonly role: 'startup'; readonly procIndex: number };

type Happening = PostmasterEvent extends infer E ? (E extends PostmasterEvent ? Omit<E, 'now'> : never) : never;
/** %m of a fork that failed. EBUSY is not fork(2)'s (launch/fork.ts). */
const forkFailure = (err: unknown): string =>
  (err as NodeJS.ErrnoException).code === 'EBUSY' ? 'another thread of the postmaster did not come to rest' : strerror(err);

type DatabaseHappening = Extract<Happening, { type: 'database stopped' | 'database lost' }>;

/** The owned database server. Each call may bring what the machine must hear next. */
export interface OwnedDatabase {
  start(): DatabaseHappening | null;
  stop(mode: 'fast' | 'immediate'): DatabaseHappening | null;
  reap(): DatabaseHappening | null;
  stopAndWait(): void;
}

export interface PerformerOptions {
  readonly listenFd: number;
  readonly database: OwnedDatabase | null;
  readonly onState: (pmState: PostmasterState['pmState']) => void;
  readonly setStatus: (status: PostmasterStatus, database: DatabaseStatus) => void;
  readonly onReload: () => void;
  readonly reloadedSettings: () => ReloadableSettings;
  readonly onExit: (status: 0 | 1) => never;
  readonly lockFileIsValid: () => boolean;
}

export class Performer {
  readonly listenFd: number;
  readonly lockFileIsValid: () => boolean;
  readonly reloadedSettings: () => ReloadableSettings;
  readonly setStatus: (status: PostmasterStatus, database: DatabaseStatus) => void;
  readonly #options: PerformerOptions;
  /** The entry in shared memory of each live child. */
  readonly #procIndexes = new Map<number, number>();
  /** Clients whose backend is not forked yet, by descriptor. */
  readonly #clients = new Map<number, Client>();

  constructor(options: PerformerOptions) {
    this.#options = options;
    this.listenFd = options.listenFd;
    this.lockFileIsValid = options.lockFileIsValid;
    this.reloadedSettings = options.reloadedSettings;
    this.setStatus = options.setStatus;
  }

  // --- what happened ----------------------------------------------------------------------------------------------------------------

  /** Dead children of ours, each asked for by its pid; the oldest first, as the kernel would name them. The list has the newest first. */
  reap(children: readonly Child[]): Happening[] {
    const exits: Happening[] = [];
    for (const { pid } of children.toReversed()) {
      const status = native.waitPid(pid);
      if (status === null) continue;
      exits.push({ type: 'exited', pid, status: decodeWaitStatus(status), ...this.#releaseChild(pid) });
    }
    const server = this.#options.database?.reap() ?? null;
    if (server !== null) exits.push(server);
    return exits;
  }

  #releaseChild(pid: number): { detached: boolean; activity: string } {
    const index = this.#procIndexes.get(pid);
    this.#procIndexes.delete(pid);
    return index === undefined ? { detached: true, activity: '' } : releaseChildSlot(index);
  }

  /** The reasons raised in shared memory: recovery progress first, then worker changes (T-12). What the server is comes before what follows from it. */
  pmSignals(workers: readonly RegisteredBgWorker[]): Happening[] {
    const happened: Happening[] = [];
    const server = checkPostmasterSignal(PMSIGNAL_SERVER_STATE) ? seenServerState() : null;
    if (server !== null) happened.push({ type: 'server state', server });
    if (checkPostmasterSignal(PMSIGNAL_RECOVERY_STARTED)) happened.push({ type: 'pmsignal', reason: 'recovery started' });
    if (checkPostmasterSignal(PMSIGNAL_BEGIN_HOT_STANDBY)) happened.push({ type: 'pmsignal', reason: 'begin hot standby' });
    if (checkPostmasterSignal(PMSIGNAL_RECOVERY_FINISHED)) happened.push({ type: 'pmsignal', reason: 'recovery finished' });
    if (checkPostmasterSignal(PMSIGNAL_BACKGROUND_WORKER_CHANGE)) {
      happened.push({ type: 'slots', ...readSlots(workers) });
    }
    return happened;
  }

  /** A connection as the machine knows it, or null: nobody there after all, or somebody who may not. @throws a system error: it is there still */
  accept(): number | null {
    const client = native.accept(this.listenFd);
    if (client === -constants.errno.EAGAIN) return null;
    if (typeof client === 'number') throw systemError(client, 'accept4');
    const self = process.geteuid?.() ?? -1;
    if (client.uid !== self && client.uid !== 0) {
      const message = `peer authentication failed: process ${client.pid} of user ${client.uid} is not a process of user ${self}`;
      this.#refuse(client.fd, { code: ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, message });
      return null;
    }
    this.#clients.set(client.fd, client);
    return client.fd;
  }

  // PostgreSQL forks a child that reports the refusal, to the log as well; one message needs no process here.
  #refuse(fd: number, error: { code: string; message: string; detail?: string }): void {
    emitErrorReport(new ErrorData({ ...error, severity: 'FATAL' }), FATAL);
    native.sendOnce(fd, encodeFrame({ type: 'fatal', error: { ...error, severity: 'FATAL' } }));
    this.#closeClient(fd);
  }

  #closeClient(fd: number): void {
    this.#clients.delete(fd);
    native.close(fd);
  }

  // --- what is asked for --------------------------------------------------------------------------------------------------------------

  /** Does it. The result is what the machine must hear next, or what this process is now, where it is a new child. */
  perform(action: Action, state: PostmasterState): Happening | ChildRole | null {
    switch (action.type) {
      case 'log':
        ereport(action.level, action);
        return null;
      case 'fork':
        return this.#fork(action.target, state);
      case 'set slot pid':
        setSlotPid(action.slot, action.pid);
        return null;
      case 'set slot terminate':
        setSlotTerminate(action.slot);
        return null;
      case 'free slot':
        freeSlot(action.slot);
        return null;
      case 'count terminated parallel worker':
        countTerminatedParallelWorker();
        return null;
      case 'kill':
        if (action.signal === 'SIGQUIT') setQuitReason(state);
        signalChild(action.pid, action.signal, action.group);
        return null;
      case 'close connection':
        this.#closeClient(action.conn);
        return null;
      case 'refuse connection':
        this.#refuse(action.conn, { code: action.code, message: action.message, ...(action.detail === undefined ? {} : { detail: action.detail }) });
        return null;
      case 'reinitialise':
        return this.#reinitialise(action.workers);
      case 'state':
        this.#options.onState(action.state);
        return null;
      case 'reload configuration':
        this.#options.onReload();
        return null;
      case 'start database':
        return this.#options.database?.start() ?? null;
      case 'stop database':
        return this.#options.database === null ? { type: 'database stopped' } : this.#options.database.stop(action.mode);
      case 'exit':
        return this.#options.onExit(action.status);
    }
  }

  // A hook that throws ends the server, as errors in PostgreSQL's postmaster do.
  #reinitialise(workers: readonly RegisteredBgWorker[]): Happening {
    resetSharedMemory(myProcPid);
    this.#procIndexes.clear();
    forgetChildSlots();
    try {
      processShmemStartup();
    } catch (err) {
      emitErrorReport(err, FATAL);
      this.#options.database?.stopAndWait();
      return this.#options.onExit(1);
    }
    for (const { slot, descriptor } of workers) initializeSlot(slot, descriptor as Descriptor);
    return { type: 'reinitialised' };
  }

  #fork(target: ForkTarget, state: PostmasterState): Happening | ChildRole {
    const procIndex = assignChildSlot();
    if (procIndex < 0) return { type: 'fork failed', target, reason: 'no slot available', noSlot: true };
    const kind = target.kind === 'bgworker' ? 'background worker' : target.kind === 'backend' ? 'client backend' : 'startup';
    let pid: number;
    try {
      pid = forkProcess(kind, { listenFd: this.listenFd });
    } catch (err) {
      releaseChildSlot(procIndex);
      return { type: 'fork failed', target, reason: forkFailure(err) };
    }
    if (pid === 0) return this.#childRole(target, state, procIndex);
    this.#procIndexes.set(pid, procIndex);
    return { type: 'forked', target, pid };
  }

  // In the child. Other clients' descriptors are not ours to keep: their applications would not see the end of their sessions.
  #childRole(target: ForkTarget, state: PostmasterState, procIndex: number): ChildRole {
    for (const fd of this.#clients.keys()) if (target.kind !== 'backend' || fd !== target.conn) native.close(fd);
    switch (target.kind) {
      case 'startup':
        return { role: 'startup', procIndex };
      case 'backend':
        return { role: 'backend', client: this.#clients.get(target.conn) as Client, procIndex };
      case 'bgworker': {
        const { descriptor, notifyPid, slot } = state.workers.find(({ id }) => id === target.id) as RegisteredBgWorker;
        // The worker sees its notify pid as the postmaster validated it (C-40).
        return { role: 'bgworker', descriptor: { ...(descriptor as Descriptor), notifyPid }, slot, procIndex };
      }
    }
  }
}

/** Why SIGQUIT is sent, for what a session's backend tells its client: 1 a crash, 2 an immediate shutdown. 0: nobody said (contract X-20, T-23). */
function setQuitReason(state: PostmasterState): void {
  sharedMemory().store(HEADER.quitReason, state.shutdown === 'immediate' ? 2 : 1);
}

function signalChild(pid: number, signal: SignalName, group: boolean): void {
  const signo = constants.signals[signal];
  // Its session's group has it, too, and once: after a kill for each, a handler that was fast enough would run twice. ESRCH before it has called setsid.
  if (!group || native.kill(-pid, signo) < 0) native.kill(pid, signo);
}
