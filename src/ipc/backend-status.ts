// What each process says that it is doing: its state, and the command or whatever it works at. Any child that is attached to shared memory.
// PostgreSQL: src/backend/utils/activity/backend_status.c (PgBackendStatus, pgstat_report_activity), REL_15_STABLE.
//
// Each process writes its own entry and no other; anybody reads. There is no lock: a change count tells a reader that it read in the middle of a change.
//
//   writer  count odd ─ state, times, text ─ count even       reader  count even? ─ copies ─ the same count still? it is whole; else again
//
// The bad interleaving: a reader copies the new state and the old text. Its second look at the count differs from its first, or its first was odd.
// All of it goes through Atomics, a word at a time, so that no processor may move a part of the copy beyond either look at the count.

import { hasSharedMemory, sharedMemory } from '../shmem/shmem.js';
import { STATUS, STATUS_ACTIVITY_SIZE, STATUS_SIZE } from '../shmem/layout.js';

/** Nothing was reported. @pg STATE_UNDEFINED */
export const STATE_UNDEFINED = 0;
/** Waits for something to do. @pg STATE_IDLE */
export const STATE_IDLE = 1;
/** At work. @pg STATE_RUNNING */
export const STATE_RUNNING = 2;
/** Waits in a transaction. @pg STATE_IDLEINTRANSACTION */
export const STATE_IDLEINTRANSACTION = 3;
/** Executes a fast-path function; of no use here. @pg STATE_FASTPATH */
export const STATE_FASTPATH = 4;
/** Waits in a transaction that has failed. @pg STATE_IDLEINTRANSACTION_ABORTED */
export const STATE_IDLEINTRANSACTION_ABORTED = 5;
/** Does not report. @pg STATE_DISABLED */
export const STATE_DISABLED = 6;

/** As pg_stat_activity spells them. */
const STATE_NAMES = [null, 'idle', 'active', 'idle in transaction', 'fastpath function call', 'idle in transaction (aborted)', 'disabled'];

/** What a process reported last. */
export interface BackendStatus {
  /** `active`, `idle`, `idle in transaction` …; null where it reported none. */
  readonly backendState: string | null;
  /** The text that it reported last, of at most 1,023 bytes; null where it reported none. */
  readonly query: string | null;
  /** When it reported the text, and when the state, in milliseconds since the epoch; null where it reported none. */
  readonly queryStart: number | null;
  readonly stateChange: number | null;
}

const NOTHING: BackendStatus = { backendState: null, query: null, queryStart: null, stateChange: null };

/** A reader gives up after so many changes in a row, or on a writer that died in the middle of one. */
const MAX_TRIES = 1000;

let myEntry = -1;

function entryOf(procIndex: number): number {
  return sharedMemory().layout.statusOffset + procIndex * STATUS_SIZE;
}

/** In a fresh child, before it shows itself: the entry is its own, and empty, whatever its last owner left. */
export function initBackendStatus(procIndex: number): void {
  const memory = sharedMemory();
  myEntry = entryOf(procIndex);
  for (let at = 0; at < STATUS.activity; at += 4) memory.store(myEntry + at, 0);
}

/**
 * Reports what this process is doing, for `bgworker ps` and the session's activity(): a few stores to shared memory. In a worker without shared memory
 * it does nothing. (What its queries do, the database server knows by itself.)
 *
 * @param state one of STATE_…
 * @param cmdStr what it works at; null leaves what was there, as an idle process shows what it did last
 * @throws RangeError for no such state; TypeError for what is no text
 * @example
 * pgstatReportActivity(STATE_RUNNING, 'rolling up yesterday');
 * pgstatReportActivity(STATE_IDLE, null);
 * @pg pgstat_report_activity
 */
export function pgstatReportActivity(state: number, cmdStr: string | null): void {
  if (!Number.isInteger(state) || state < 0 || state >= STATE_NAMES.length)
    throw new RangeError(`state must be one of STATE_…, not ${String(state)}`);
  if (cmdStr !== null && typeof cmdStr !== 'string') throw new TypeError(`cmdStr must be a string or null, not ${typeof cmdStr}`);
  if (myEntry < 0 || !hasSharedMemory()) return;
  const memory = sharedMemory();
  const now = BigInt(Date.now());
  memory.add(myEntry + STATUS.changeCount, 1);
  memory.store(myEntry + STATUS.state, state);
  memory.storeLong(myEntry + STATUS.stateStart, now);
  if (cmdStr !== null) {
    memory.storeLong(myEntry + STATUS.activityStart, now);
    storeActivity(Buffer.from(cmdStr));
  }
  // Pairs with the second look at the count in readBackendStatus.
  memory.add(myEntry + STATUS.changeCount, 1);
}

/** Cut between characters. */
function storeActivity(text: Buffer): void {
  const memory = sharedMemory();
  let length = Math.min(text.length, STATUS_ACTIVITY_SIZE - 1);
  if (length < text.length) while (length > 0 && ((text[length] as number) & 0xc0) === 0x80) length--;
  const padded = Buffer.alloc(STATUS_ACTIVITY_SIZE);
  text.copy(padded, 0, 0, length);
  memory.store(myEntry + STATUS.activityLength, length);
  const words = new Int32Array(padded.buffer, padded.byteOffset, STATUS_ACTIVITY_SIZE / 4);
  for (let i = 0; i * 4 < length; i++) memory.store(myEntry + STATUS.activity + i * 4, words[i] as number);
}

/** As many bytes as there may be, whatever the entry says. */
function loadActivity(entry: number): Buffer {
  const memory = sharedMemory();
  const length = Math.min(Math.max(memory.load(entry + STATUS.activityLength), 0), STATUS_ACTIVITY_SIZE - 1);
  const words = new Int32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = memory.load(entry + STATUS.activity + i * 4);
  return Buffer.from(words.buffer, 0, length);
}

/** What the process of an entry reported last: all of one moment. Who calls this looks again whether the entry is still the same process's. */
export function readBackendStatus(procIndex: number): BackendStatus {
  const memory = sharedMemory();
  const entry = entryOf(procIndex);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const before = memory.load(entry + STATUS.changeCount);
    if ((before & 1) !== 0) continue;
    const state = memory.load(entry + STATUS.state);
    const stateStart = memory.loadLong(entry + STATUS.stateStart);
    const activityStart = memory.loadLong(entry + STATUS.activityStart);
    const text = loadActivity(entry);
    // Pairs with the stores of the count in pgstatReportActivity.
    if (memory.load(entry + STATUS.changeCount) !== before) continue;
    const reported = activityStart > 0n;
    return {
      backendState: STATE_NAMES[state] ?? null,
      query: reported ? text.toString() : null,
      queryStart: reported ? Number(activityStart) : null,
      stateChange: stateStart > 0n ? Number(stateStart) : null,
    };
  }
  return NOTHING;
}

/**
 * The text that a process had reported last which died without leaving shared memory; '' where there is none. For the postmaster's log, which believes nothing of
 * it: only printable ASCII and white space pass, each other byte as `?`. The count is not looked at: nobody changes the entry any more, and who died in the
 * middle of a change has left it odd for ever. Such a text may be of two reports.
 *
 * C: pgstat_get_crashed_backend_activity, ascii_safe_strlcpy.
 */
export function crashedBackendActivity(procIndex: number): string {
  const bytes = loadActivity(entryOf(procIndex));
  const zero = bytes.indexOf(0);
  return bytes
    .subarray(0, zero < 0 ? bytes.length : zero)
    .toString('latin1')
    .replaceAll(/[^\t\n\r\x20-\x7f]/g, '?');
}
