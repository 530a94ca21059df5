// What a worker is: the descriptor as users give it, checked and brought into the form in which it is stored. Any process.
// PostgreSQL: struct BackgroundWorker, src/include/postmaster/bgworker.h.

import { BGW_EXTRALEN, BGW_MAXLEN, MAXPGPATH, RLIMITS_SIZE } from '../constants.js';

/** 64 bits that a worker's main function gets, as an unsigned integer. @pg Datum */
export type Datum = bigint;

/** A worker's main function. Returning, or resolving, is exit status 0; throwing is an ERROR line and status 1. @pg bgworker_main_type */
export type BgworkerMain = (mainArg: Datum) => void | Promise<void>;

/**
 * A background worker, as it is registered.
 * @example
 * const worker: BackgroundWorker = {
 *   name: 'rollup', flags: BGWORKER_SHMEM_ACCESS, startTime: BgWorkerStart_RecoveryFinished, restartTime: 10, main: rollupMain,
 * };
 * @pg BackgroundWorker
 */
export interface BackgroundWorker {
  /** For log messages and process listings; 95 bytes, the rest is cut. @pg bgw_name */
  name: string;
  /** The kind of worker, as views show it; 95 bytes. Left empty it becomes `name`, in this object too. @pg bgw_type */
  type?: string;
  /** Bits of BGWORKER_SHMEM_ACCESS, BGWORKER_BACKEND_DATABASE_CONNECTION, BGWORKER_CLASS_PARALLEL. @pg bgw_flags */
  flags: number;
  /** One of BgWorkerStart_…; others are accepted and never start. @pg bgw_start_time */
  startTime: number;
  /** Seconds from a failure to the restart, 0 to 86,400,000 (0: at once), or BGW_NEVER_RESTART. @pg bgw_restart_time */
  restartTime: number;
  /** The main function. In a dynamic registration it must be an export of a preloaded module. @pg bgw_main */
  main?: BgworkerMain;
  /** The module to load where `main` is not given: a path, or a name along `dynamic_library_path`; 1,023 bytes. @pg bgw_library_name */
  libraryName?: string;
  /** The exported function of that module; 95 bytes. @pg bgw_function_name */
  functionName?: string;
  /** 64 bits for the main function. @pg bgw_main_arg */
  mainArg?: Datum | number;
  /** At most 128 bytes of the user's own; a string is stored as UTF-8. Read as 128 bytes, zero-filled. @pg bgw_extra */
  extra?: Uint8Array | string;
  /** Whom the postmaster sends SIGUSR1 at each start and exit; 0: nobody. @pg bgw_notify_pid */
  notifyPid?: number;
  /** Ours. Limits of this worker's resources, over those of the setting `worker_rlimits` and in its form: `RLIMIT_NOFILE=256, RLIMIT_CPU=60s`; 255 bytes. */
  rlimits?: string;
}

/** A descriptor with every field in its stored form: text cut to its size, `extra` of 128 bytes. */
export interface Descriptor {
  readonly name: string;
  readonly type: string;
  readonly flags: number;
  readonly startTime: number;
  readonly restartTime: number;
  readonly main: BgworkerMain | null;
  readonly libraryName: string;
  readonly functionName: string;
  readonly mainArg: Datum;
  readonly extra: Uint8Array;
  readonly notifyPid: number;
  readonly rlimits: string;
}

/** This worker's own descriptor, as the postmaster stored it; null in a process that is no background worker. @pg MyBgworkerEntry */
export let myBgworkerEntry: Readonly<Descriptor> | null = null;

export function setMyBgworkerEntry(entry: Descriptor): void {
  myBgworkerEntry = Object.freeze(entry);
}

const FIELDS = new Set([
  'name',
  'type',
  'flags',
  'startTime',
  'restartTime',
  'main',
  'libraryName',
  'functionName',
  'mainArg',
  'extra',
  'notifyPid',
  'rlimits',
]);

/** Text as a C string of `size` bytes holds it: up to the first NUL, cut to size - 1 bytes, never inside of a character. */
export function cutText(text: string, size: number): string {
  const nul = text.indexOf('\0');
  const whole = nul < 0 ? text : text.slice(0, nul);
  const bytes = Buffer.from(whole);
  if (bytes.length < size) return whole;
  let end = size - 1;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}

/** What the postmaster makes of text from shared memory: anything outside of printable ASCII, newline, return and tab becomes `?` (S-10). */
export function asciiSafeText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    if (byte === 0) break;
    text += (byte >= 32 && byte <= 127) || byte === 9 || byte === 10 || byte === 13 ? String.fromCharCode(byte) : '?';
  }
  return text;
}

function typeName(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

function textField(worker: BackgroundWorker, field: 'name' | 'type' | 'libraryName' | 'functionName', size: number): string {
  const value = worker[field] ?? (field === 'name' ? undefined : '');
  if (typeof value !== 'string') throw new TypeError(`background worker field "${field}" must be a string, not ${typeName(value)}`);
  return cutText(value, size);
}

function intField(worker: BackgroundWorker, field: 'flags' | 'startTime' | 'restartTime' | 'notifyPid'): number {
  const value = worker[field] ?? (field === 'notifyPid' ? 0 : undefined);
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw new TypeError(`background worker field "${field}" must be an integer, not ${typeof value === 'number' ? value : typeName(value)}`);
  }
  if (value < -0x80000000 || value > 0x7fffffff) throw new RangeError(`background worker field "${field}" must fit 32 bits, not ${value}`);
  return value;
}

function mainArgField(value: unknown): Datum {
  if (typeof value === 'bigint') return BigInt.asUintN(64, value);
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt.asUintN(64, BigInt(value));
  throw new TypeError(
    `background worker field "mainArg" must be a bigint or a safe integer, not ${typeof value === 'number' ? value : typeName(value)}`,
  );
}

function extraField(value: unknown): Uint8Array {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`background worker field "extra" must be a Uint8Array or a string, not ${typeName(value)}`);
  if (bytes.length > BGW_EXTRALEN) throw new RangeError(`background worker field "extra" must be at most ${BGW_EXTRALEN} bytes, not ${bytes.length}`);
  const stored = new Uint8Array(BGW_EXTRALEN);
  stored.set(bytes);
  return stored;
}

// Cut, the limits would be other ones.
function rlimitsField(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`background worker field "rlimits" must be a string, not ${typeName(value)}`);
  const size = Buffer.byteLength(value);
  if (size >= RLIMITS_SIZE) throw new RangeError(`background worker field "rlimits" must be at most ${RLIMITS_SIZE - 1} bytes, not ${size}`);
  return value;
}

/**
 * A user's object as a descriptor. Checks types and names of fields; the values' rules are the sanity check's.
 * @throws TypeError for a wrong type, an unrecognized field, or a missing one; RangeError for a number or bytes that do not fit
 */
export function toDescriptor(worker: BackgroundWorker): Descriptor {
  if (typeof worker !== 'object' || worker === null) throw new TypeError(`background worker must be an object, not ${typeName(worker)}`);
  for (const field of Object.keys(worker)) {
    if (!FIELDS.has(field)) throw new TypeError(`unrecognized background worker field "${field}"${suggestion(field)}`);
  }
  if (worker.main !== undefined && worker.main !== null && typeof worker.main !== 'function') {
    throw new TypeError(`background worker field "main" must be a function, not ${typeName(worker.main)}`);
  }
  return {
    name: textField(worker, 'name', BGW_MAXLEN),
    type: textField(worker, 'type', BGW_MAXLEN),
    flags: intField(worker, 'flags'),
    startTime: intField(worker, 'startTime'),
    restartTime: intField(worker, 'restartTime'),
    main: worker.main ?? null,
    libraryName: textField(worker, 'libraryName', MAXPGPATH),
    functionName: textField(worker, 'functionName', BGW_MAXLEN),
    mainArg: mainArgField(worker.mainArg ?? 0n),
    extra: extraField(worker.extra ?? ''),
    notifyPid: intField(worker, 'notifyPid'),
    rlimits: rlimitsField(worker.rlimits ?? ''),
  };
}

// C spelling, or another case: `bgw_restart_time` and `restart_time` mean `restartTime`.
function suggestion(field: string): string {
  const plain = (name: string): string => name.replace(/^bgw_/, '').replace(/_/g, '').toLowerCase();
  const meant = [...FIELDS].find((known) => plain(known) === plain(field));
  return meant === undefined ? '' : `; did you mean "${meant}"?`;
}
