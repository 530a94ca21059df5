// Wait event sets: one wait for a latch, the postmaster's death and any number of sockets. Any child of the postmaster.
// PostgreSQL: src/backend/storage/ipc/latch.c (CreateWaitEventSet … WaitEventSetWait), REL_15_STABLE.
//
// A socket is a file descriptor: whatever epoll takes, so sockets, pipes and terminals, but no regular files. It must be one that the event loop does not
// read itself: a net.Socket of Node's has its data taken away as soon as it comes, and its own events to wait for.

import { procExit } from './exit.js';
import { type Latch, RECORDED, WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, WL_POSTMASTER_DEATH, checkTimeout, latchName } from './latch.js';
import { whileWaitingFor } from './own-words.js';
import { processSignals } from './signals.js';
import { checkWaitEventInfo } from './wait-event.js';
import {
  type BlockingWaitOptions,
  NO_LATCH,
  type WaitOptions,
  Waiter,
  checkWaitResult,
  refuseForeignLatch,
  waitAsync,
  waitError,
} from './waiters.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { native, systemError } from '../native.js';

/** The socket can be read from, has reached its end, or is broken. @pg WL_SOCKET_READABLE */
export const WL_SOCKET_READABLE = 2;
/** The socket can be written to, or is broken. @pg WL_SOCKET_WRITEABLE */
export const WL_SOCKET_WRITEABLE = 4;
/** A connection that was begun is made, or has failed: on Unix the same as WL_SOCKET_WRITEABLE. @pg WL_SOCKET_CONNECTED */
export const WL_SOCKET_CONNECTED = 4;
/** The other side has closed the connection, or will write no more; unread data does not hide it. @pg WL_SOCKET_CLOSED */
export const WL_SOCKET_CLOSED = 128;
/** All events of sockets. @pg WL_SOCKET_MASK */
export const WL_SOCKET_MASK: number = WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE | WL_SOCKET_CONNECTED | WL_SOCKET_CLOSED;

/** A socket: a file descriptor. @pg pgsocket */
export type pgsocket = number;
/** No socket. @pg PGINVALID_SOCKET */
export const PGINVALID_SOCKET = -1;

/** What occurred. @pg WaitEvent */
export interface WaitEvent {
  /** The position that {@link addWaitEventToSet} gave. */
  readonly pos: number;
  /** Which of the events. */
  readonly events: number;
  /** The socket; PGINVALID_SOCKET for a latch and for the postmaster's death. */
  readonly fd: pgsocket;
  /** What was given with the event. */
  readonly userData: unknown;
}

interface Member {
  events: number;
  readonly fd: pgsocket;
  readonly userData: unknown;
}

const EEXIST = -17;
const EINTR = -4;

/** What is waited for. Opaque; keeps a file descriptor until {@link freeWaitEventSet}. @pg WaitEventSet */
export class WaitEventSet {
  /** @internal */ readonly members: Member[] = [];
  /** @internal */ readonly capacity: number;
  /** @internal Below 0: freed. */ id: number;
  /** @internal */ latch: Latch | null = null;
  /** @internal */ latchPos = -1;
  /** @internal */ exitOnPostmasterDeath = false;
  /** @internal Asynchronous waits that are under way. */ waits = 0;

  /** @internal */ constructor(capacity: number) {
    this.capacity = capacity;
    this.id = checkWaitResult(native.waitEventSetCreate(capacity), 'epoll_create1');
  }
}

/** A set that may be looked at; and, to be changed, that nobody waits on. */
function open(set: WaitEventSet, change: string | null = null): WaitEventSet {
  if (!(set instanceof WaitEventSet)) throw new TypeError(`set must be a WaitEventSet, not ${set === null ? 'null' : typeof set}`);
  if (set.id < 0) throw waitError('wait event set has been freed');
  if (change !== null && set.waits > 0) throw waitError(`cannot ${change} a wait event set while waiting on it`);
  return set;
}

/**
 * Makes an empty set.
 * @param nevents how many events it has room for
 * @throws RangeError; ErrorData 55000 in a process that is no child of a postmaster; a system error where descriptors are out
 * @example const set = createWaitEventSet(3);
 * @pg CreateWaitEventSet
 */
export function createWaitEventSet(nevents: number): WaitEventSet {
  if (!Number.isInteger(nevents) || nevents < 1 || nevents > 0xffff) throw new RangeError(`nevents must be 1 to 65535, not ${String(nevents)}`);
  return new WaitEventSet(nevents);
}

/**
 * Gives the set's descriptor back. The sockets in it stay open.
 * @throws ErrorData XX000 while an asynchronous wait on it is under way
 * @example freeWaitEventSet(set);
 * @pg FreeWaitEventSet
 */
export function freeWaitEventSet(set: WaitEventSet): void {
  native.waitEventSetFree(open(set, 'free').id);
  set.id = -1;
}

function checkLatchEvent(set: WaitEventSet, events: number, latch: Latch | null): void {
  if (latch === null) {
    if ((events & WL_LATCH_SET) !== 0) throw waitError('cannot wait on latch without a specified latch');
    return;
  }
  if (!native.ownsLatch(latchName(latch))) refuseForeignLatch();
  if (set.latchPos >= 0) throw waitError('cannot wait on more than one latch');
  if (events !== WL_LATCH_SET) throw waitError('latch events only support being set');
}

function checkSocketEvent(events: number, fd: pgsocket): void {
  if (events === WL_LATCH_SET || events === WL_POSTMASTER_DEATH) return;
  if (events === 0 || (events & ~WL_SOCKET_MASK) !== 0) {
    throw waitError(`unrecognized wait events ${events}`, 'An event is WL_LATCH_SET, WL_POSTMASTER_DEATH, WL_EXIT_ON_PM_DEATH, or WL_SOCKET_… bits.');
  }
  if (fd === PGINVALID_SOCKET) throw waitError('cannot wait on socket event without a socket');
}

/** An error of epoll_ctl's, in PostgreSQL's words. */
function checkControl(result: number): number {
  if (result >= 0) return result;
  const cause = systemError(result, 'epoll_ctl');
  const why = result === EEXIST ? 'The descriptor is in the set already.' : undefined;
  const message = `epoll_ctl() failed: ${cause.code ?? ''}`;
  throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message, ...(why === undefined ? {} : { detail: why }), cause });
}

/**
 * Adds what is to be waited for: WL_LATCH_SET with a latch of this process's (one a set), WL_POSTMASTER_DEATH or WL_EXIT_ON_PM_DEATH, or a mixture of
 * WL_SOCKET_… with a file descriptor.
 *
 * @param fd the socket; PGINVALID_SOCKET for the others. One descriptor can be in a set once
 * @param latch null but for WL_LATCH_SET
 * @param userData comes back with the event
 * @returns the position
 * @throws ErrorData XX000 for what cannot be waited for; TypeError
 * @example addWaitEventToSet(set, WL_SOCKET_READABLE, fd, null, 'client');
 * @pg AddWaitEventToSet
 */
export function addWaitEventToSet(
  set: WaitEventSet,
  events: number,
  fd: pgsocket = PGINVALID_SOCKET,
  latch: Latch | null = null,
  userData: unknown = null,
): number {
  const { id, members, capacity } = open(set, 'change');
  if (!Number.isInteger(events)) throw new TypeError(`events must be WL_… bits, not ${String(events)}`);
  if (!Number.isInteger(fd)) throw new TypeError(`fd must be a file descriptor, an integer, not ${typeof fd}`);
  if (members.length === capacity) throw waitError(`wait event set has room for ${capacity} events only`);
  const exits = events === WL_EXIT_ON_PM_DEATH;
  const wanted = exits ? WL_POSTMASTER_DEATH : events;
  checkLatchEvent(set, wanted, latch);
  checkSocketEvent(wanted, fd);
  const pos = checkControl(native.waitEventSetAdd(id, wanted, fd, latch === null ? NO_LATCH : latchName(latch)));
  members.push({ events: wanted, fd: wanted === WL_LATCH_SET || wanted === WL_POSTMASTER_DEATH ? PGINVALID_SOCKET : fd, userData });
  if (wanted === WL_LATCH_SET) {
    set.latch = latch;
    set.latchPos = pos;
  }
  if (exits) set.exitOnPostmasterDeath = true;
  return pos;
}

/**
 * Changes what a socket is waited for, or which latch (null: none for now) the latch's event means. Cheap where nothing changes.
 * @throws ErrorData XX000
 * @example modifyWaitEvent(set, pos, WL_SOCKET_WRITEABLE);
 * @pg ModifyWaitEvent
 */
export function modifyWaitEvent(set: WaitEventSet, pos: number, events: number, latch: Latch | null = null): void {
  const { id, members } = open(set, 'change');
  const member = members[pos];
  if (member === undefined) throw new RangeError(`pos must be 0 to ${members.length - 1}, not ${String(pos)}`);
  const isLatch = member.events === WL_LATCH_SET;
  if (events === member.events && !isLatch) return;
  if (isLatch && events !== WL_LATCH_SET) throw waitError('cannot modify latch event');
  if (member.events === WL_POSTMASTER_DEATH) throw waitError('cannot modify postmaster death event');
  if (isLatch) {
    if (latch !== null && !native.ownsLatch(latchName(latch))) refuseForeignLatch();
    set.latch = latch;
  } else checkSocketEvent(events & (WL_LATCH_SET | WL_POSTMASTER_DEATH) ? 0 : events, member.fd);
  checkControl(native.waitEventSetModify(id, pos, events, latch === null ? NO_LATCH : latchName(latch)));
  member.events = events;
}

/**
 * How many events were added to the set.
 * @example getNumRegisteredWaitEvents(set) // 3
 * @pg GetNumRegisteredWaitEvents
 */
export function getNumRegisteredWaitEvents(set: WaitEventSet): number {
  return open(set).members.length;
}

/**
 * Can WL_SOCKET_CLOSED be waited for? On Linux always.
 * @example if (waitEventSetCanReportClosed()) addWaitEventToSet(set, WL_SOCKET_CLOSED, fd);
 * @pg WaitEventSetCanReportClosed
 */
export function waitEventSetCanReportClosed(): boolean {
  return true;
}

function checkSetWait(set: WaitEventSet, timeoutMs: number, nevents: number): Int32Array {
  open(set);
  if (!(timeoutMs === -1)) checkTimeout(timeoutMs);
  if (!Number.isInteger(nevents) || nevents < 1) throw new RangeError(`nevents must be 1 or more, not ${String(nevents)}`);
  // C checks when the latch is put in; it may have been given up since.
  if (set.latch !== null && !native.ownsLatch(set.latch.offset)) refuseForeignLatch();
  return new Int32Array(2 * Math.min(nevents, set.capacity));
}

function eventsOf(set: WaitEventSet, occurred: Int32Array, count: number): WaitEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const [pos, events] = [occurred[2 * i] as number, occurred[2 * i + 1] as number];
    if (events === WL_POSTMASTER_DEATH && set.exitOnPostmasterDeath) procExit(1);
    const { fd, userData } = set.members[pos] as Member;
    return Object.freeze({ pos, events, fd, userData });
  });
}

/**
 * Waits until something of the set occurs, without blocking the event loop. Several waits on one set may be under way; each gets what it finds.
 *
 * @param timeoutMs milliseconds, 0 to 2,147,483,647; -1: without limit
 * @param nevents how many events are reported at most; the others are there for the next wait
 * @param options `signal` ends the wait: the promise is rejected with its reason
 * @returns what occurred, at least one; none: the time is over. A latch that was set before the wait is reported alone. The postmaster's death, where
 * it was added as WL_EXIT_ON_PM_DEATH, ends the process with status 1
 * @throws ErrorData XX000, RangeError, TypeError
 * @example for (const { userData } of await waitEventSetWait(set, 1000, 8)) serve(userData);
 * @pg WaitEventSetWait
 */
export function waitEventSetWait(set: WaitEventSet, timeoutMs: number, nevents: number, options?: WaitOptions): Promise<WaitEvent[]> {
  return waitAsync(() => new SetWaiter(set, timeoutMs, nevents, options));
}

class SetWaiter extends Waiter<WaitEvent[]> {
  readonly #set: WaitEventSet;
  readonly #occurred: Int32Array;

  constructor(set: WaitEventSet, timeoutMs: number, nevents: number, options: WaitOptions | undefined) {
    const occurred = checkSetWait(set, timeoutMs, nevents);
    super(set.latch === null ? NO_LATCH : latchName(set.latch), timeoutMs, options);
    this.#set = set;
    this.#occurred = occurred;
  }

  override look(): WaitEvent[] | null {
    if (this.#set.latch !== null && !native.ownsLatch(this.#set.latch.offset)) refuseForeignLatch(); // its memory may have been detached
    const count = checkWaitResult(native.waitEventSetPoll(this.#set.id, this.#occurred), 'epoll_wait');
    return count === 0 ? null : eventsOf(this.#set, this.#occurred, count);
  }

  override latchSet(): WaitEvent[] {
    return eventsOf(this.#set, Int32Array.of(this.#set.latchPos, WL_LATCH_SET), 1);
  }

  override timedOut(): WaitEvent[] {
    return [];
  }

  override sleeps(begins: boolean): void {
    this.#set.waits += begins ? 1 : -1;
    if (!this.#set.members.some(({ events }) => (events & WL_SOCKET_MASK) !== 0)) return;
    if (this.#set.waits === (begins ? 1 : 0)) checkWaitResult(native.waitEventSetWatch(this.#set.id, begins), 'epoll_ctl');
  }
}

/**
 * Waits until something of the set occurs, and blocks the thread; handlers of signals run. Parameters, results and errors as {@link waitEventSetWait}.
 * @example const [event] = waitEventSetWaitSync(set, -1, 1);
 * @pg WaitEventSetWait
 */
export function waitEventSetWaitSync(set: WaitEventSet, timeoutMs: number, nevents: number, options?: BlockingWaitOptions): WaitEvent[] {
  const occurred = checkSetWait(set, timeoutMs, nevents);
  const deadline = timeoutMs < 0 ? -1 : performance.now() + timeoutMs;
  const info = checkWaitEventInfo(options?.waitEventInfo);
  for (let left = Math.ceil(timeoutMs); ; left = deadline < 0 ? -1 : Math.max(0, Math.ceil(deadline - performance.now()))) {
    const result = whileWaitingFor(info, () => native.waitEventSetWait(set.id, left, occurred));
    if (result === EINTR) {
      processSignals();
      continue;
    }
    checkWaitResult(result, 'epoll_wait');
    if ((result & RECORDED) !== 0) processSignals();
    return eventsOf(set, occurred, result & ~RECORDED);
  }
}
