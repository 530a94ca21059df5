// ServerLoop: sleep in one native wait, turn what happened into events, perform what the state machine asks for. Postmaster; it ends in the
// postmaster's exit, or, in a child, in saying what the child is to become.
// PostgreSQL: src/backend/postmaster/postmaster.c (ServerLoop, reaper, sigusr1_handler), contract T-10.
//
// No policy here: what an event means is decided in state.ts, and what it takes to do something is in performer.ts.

import { constants } from 'node:os';

import { ImageKeeper } from './image.js';
import type { ChildRole, Performer } from './performer.js';
import {
  changeSettings,
  deadline,
  lockFileDatabase,
  lockFileStatus,
  step,
  type Action,
  type PostmasterEvent,
  type PostmasterState,
} from './state.js';
import { LOG } from '../elog/error-data.js';
import { elog } from '../elog/elog.js';
import { strerror } from '../elog/file-access.js';
import { check, native } from '../native.js';

/** An event as it is queued: the time is put to it when the machine takes it. */
type Happening = PostmasterEvent extends infer E ? (E extends PostmasterEvent ? Omit<E, 'now'> : never) : never;

const SIGNAL = constants.signals;
const CONNECTION_WAITS = 0x80000000;
/**
 * How long connections are left waiting after one could not be accepted, for want of descriptors mostly: the socket stays readable, and a loop that tries again
 * at once does nothing else. They wait in the kernel's queue meanwhile.
 */
const ACCEPT_PAUSE_MS = 100;
/** T-34: how often the lock file is looked at; the only wake-up of an idle postmaster. */
const LOCK_FILE_INTERVAL_MS = 60_000;

/** Monotonic milliseconds: restart intervals do not follow steps of the clock. */
function now(): number {
  return performance.now();
}

export class ServerLoop {
  #state: PostmasterState;
  readonly #performer: Performer;
  readonly #queue: Happening[] = [];
  readonly #image = new ImageKeeper();
  #nextLockFileCheck: number = now() + LOCK_FILE_INTERVAL_MS;
  /** Where connections could not be accepted: when the next attempt is due. */
  #acceptAgainAt: number | null = null;

  constructor(state: PostmasterState, performer: Performer) {
    this.#state = state;
    this.#performer = performer;
  }

  /** Runs until the postmaster exits. Returns in children only. */
  run(): ChildRole {
    let child = this.#happened({ type: 'initialised' });
    while (child === null) child = this.#turn();
    return child;
  }

  #turn(): ChildRole | null {
    this.#image.look(now);
    const pause = this.#acceptAgainAt !== null && this.#acceptAgainAt > now() ? this.#acceptAgainAt : null;
    const wanted = Math.min(deadline(this.#state) ?? Infinity, this.#nextLockFileCheck, pause ?? Infinity);
    const woken = check(native.postmasterWait(pause === null ? this.#performer.listenFd : -1, Math.max(0, Math.ceil(wanted - now()))), 'ppoll');
    return this.#serve(woken >>> 0);
  }

  // The order of release 15, whose handlers ran one after the other, the lowest number first: shutdown and reload, reasons in shared memory, dead children; then
  // connections. Signals mostly come one a turn and in that order of themselves. But
  //
  //   another thread of ours takes SIGUSR1, to send it on │ this one takes SIGCHLD, and would reap first
  //
  // so the reasons are looked for before the dead are, and served, pass and all, whether their signal is here yet or not.
  #serve(woken: number): ChildRole | null {
    const got = (signo: number): boolean => (woken & (1 << (signo - 1))) !== 0;
    if (got(SIGNAL.SIGQUIT)) this.#queue.push({ type: 'shutdown', mode: 'immediate' });
    else if (got(SIGNAL.SIGINT)) this.#queue.push({ type: 'shutdown', mode: 'fast' });
    else if (got(SIGNAL.SIGTERM)) this.#queue.push({ type: 'shutdown', mode: 'smart' });
    if (got(SIGNAL.SIGHUP)) this.#queue.push({ type: 'reload' });
    if (got(SIGNAL.SIGUSR1) || got(SIGNAL.SIGCHLD)) this.#queue.push(...this.#performer.pmSignals(this.#state.workers));
    if (got(SIGNAL.SIGCHLD)) {
      const child = this.#drain();
      if (child !== null) return child;
      this.#queue.push(...this.#performer.reap(this.#state.children));
    }
    this.#checkLockFile();
    this.#queue.push({ type: 'timeout' });
    let child = this.#drain();
    // One connection at a time: a backend is forked for each, and signals are served in between.
    if (child === null && (woken & CONNECTION_WAITS) !== 0) {
      const conn = this.#accept();
      if (conn !== null) child = this.#happened({ type: 'connection', conn });
    }
    return child;
  }

  // DIFFERS FROM POSTGRES: it sleeps for the pause, and says the same ten times a second. Here signals are served meanwhile, and it is said once.
  #accept(): number | null {
    try {
      const conn = this.#performer.accept();
      this.#acceptAgainAt = null;
      return conn;
    } catch (err) {
      if (this.#acceptAgainAt === null) elog(LOG, `could not accept new connection: ${strerror(err)}`);
      this.#acceptAgainAt = now() + ACCEPT_PAUSE_MS;
      return null;
    }
  }

  #checkLockFile(): void {
    if (now() < this.#nextLockFileCheck) return;
    this.#nextLockFileCheck = now() + LOCK_FILE_INTERVAL_MS;
    if (!this.#performer.lockFileIsValid()) this.#queue.push({ type: 'lock file invalid' });
  }

  #happened(happening: Happening): ChildRole | null {
    this.#queue.push(happening);
    return this.#drain();
  }

  #drain(): ChildRole | null {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { state, actions } = step(this.#state, { ...next, now: now(), more: this.#queue.length > 0 });
      this.#state = state;
      for (const action of inOrder(actions)) {
        const child = this.#perform(action);
        if (child !== null) return child;
      }
      // After the line that says so, as in PostgreSQL: who sees `ready` in the file finds it in the log.
      if (this.#state.forking === null) this.#performer.setStatus(lockFileStatus(this.#state), lockFileDatabase(this.#state));
    }
    return null;
  }

  // An action may bring its answer with it, which the machine takes before anything else.
  #perform(action: Action): ChildRole | null {
    const answer = this.#performer.perform(action, this.#state);
    if (action.type === 'reload configuration') this.#state = changeSettings(this.#state, this.#performer.reloadedSettings());
    if (answer === null) return null;
    if ('role' in answer) return answer;
    this.#queue.unshift(answer);
    return null;
  }
}

/**
 * Slots and signals first, then the log, then what stands last of all (a fork, an exit, a fresh start): nobody waits for a line to be written, and two
 * signals that PostgreSQL sends within a microsecond are not a write apart. Within each kind the order is the machine's; so it is in all of a reload, whose
 * first line comes before those about settings that changed, and may come in another form than they.
 *
 * DIFFERS FROM POSTGRES: a line may stand in the log a moment after what it tells of.
 */
function inOrder(actions: readonly Action[]): Action[] {
  if (actions.some(({ type }) => type === 'reload configuration')) return [...actions];
  const isLog = ({ type }: Action): boolean => type === 'log';
  const isLast = ({ type }: Action): boolean => type === 'fork' || type === 'exit' || type === 'reinitialise';
  return [...actions.filter((action) => !isLog(action) && !isLast(action)), ...actions.filter(isLog), ...actions.filter(isLast)];
}
