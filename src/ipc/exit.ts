// Leaving a process: the callback lists and their order. Any process of ours.
// PostgreSQL: src/backend/storage/ipc/ipc.c (proc_exit, shmem_exit), contract 10.5.
//
//   before_shmem_exit, LIFO   the system is still whole
//   dynamic shared memory     each segment is detached, after its on_dsm_detach callbacks, LIFO
//   on_shmem_exit, LIFO       low-level release; after it the process has left shared memory (native procDetach)
//   on_proc_exit, LIFO        what is not shared

import { dsmBackendShutdown, dsmForget } from './dsm-segment.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_PROGRAM_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { ERROR, FATAL } from '../elog/error-data.js';
import { emitErrorReport, ereport, setExitProcess } from '../elog/elog.js';
import { setProcExitInprogress } from '../globals.js';
import { check, native } from '../native.js';

/** `code` is the exit status, or -1 when the process leaves by `process.exit` (C: plain exit). `arg` is what was registered. */
export type ExitCallback = (code: number, arg: unknown) => void;

interface Entry {
  readonly callback: ExitCallback;
  readonly arg: unknown;
}

/** The most callbacks that one list takes. */
export const MAX_ON_EXITS = 20;

const beforeShmemExitList: Entry[] = [];
const onShmemExitList: Entry[] = [];
const onProcExitList: Entry[] = [];

function add(list: Entry[], name: string, callback: ExitCallback, arg: unknown): void {
  if (typeof callback !== 'function') throw new TypeError(`the callback must be a function, not ${typeof callback}`);
  if (list.length >= MAX_ON_EXITS) {
    ereport(FATAL, { code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: `out of ${name} slots` });
  }
  list.push({ callback, arg });
  check(native.deferDie(), 'timer_create'); // SIGTERM's default action is to find time for it
}

/**
 * Registers a callback for the time before this process leaves shared memory, while everything still works.
 *
 * It runs on every orderly way out: return, error, `procExit`, `process.exit`, an uncaught exception, an unhandled rejection, SIGTERM. It does not run at SIGQUIT or SIGKILL, nor where the default
 * SIGTERM action finds the process in a computation that reaches no safe point for a tenth of a second. It must be synchronous. The last
 * registered runs first.
 * @example beforeShmemExit(() => myQueue.release());
 * @pg before_shmem_exit
 */
export function beforeShmemExit(callback: ExitCallback, arg?: unknown): void {
  add(beforeShmemExitList, 'before_shmem_exit', callback, arg);
}

/**
 * Registers a callback for low-level release, after all `beforeShmemExit` callbacks.
 * @example onShmemExit((code) => counters.leave(code));
 * @pg on_shmem_exit
 */
export function onShmemExit(callback: ExitCallback, arg?: unknown): void {
  add(onShmemExitList, 'on_shmem_exit', callback, arg);
}

/**
 * Registers a callback that runs last of all, when the process has left shared memory.
 * @example onProcExit(() => closeSync(fd));
 * @pg on_proc_exit
 */
export function onProcExit(callback: ExitCallback, arg?: unknown): void {
  add(onProcExitList, 'on_proc_exit', callback, arg);
}

/**
 * Takes back what `beforeShmemExit` was called with last: a part of the program that is over needs its callback no more. The last one only, since who
 * registered after it relies on it.
 * @throws ErrorData XX000 `before_shmem_exit callback … is not the latest entry`
 * @example beforeShmemExit(abandon, job); try { work(job); } finally { cancelBeforeShmemExit(abandon, job); }
 * @pg cancel_before_shmem_exit
 */
export function cancelBeforeShmemExit(callback: ExitCallback, arg?: unknown): void {
  const latest = beforeShmemExitList.at(-1);
  if (latest?.callback !== callback || latest.arg !== arg) {
    const name = typeof callback === 'function' && callback.name !== '' ? callback.name : 'anonymous';
    ereport(ERROR, { code: ERRCODE_INTERNAL_ERROR, message: `before_shmem_exit callback (${name},${String(arg)}) is not the latest entry` });
  }
  beforeShmemExitList.pop();
}

/** In a fresh child: what the parent registered is not ours (M-53). */
export function onExitReset(): void {
  beforeShmemExitList.length = 0;
  onShmemExitList.length = 0;
  onProcExitList.length = 0;
  dsmForget();
}

// An entry is taken off before it is called, so that a failing one is not repeated (M-50).
function run(list: Entry[], code: number): number {
  let status = code;
  for (let entry = list.pop(); entry !== undefined; entry = list.pop()) {
    try {
      entry.callback(status, entry.arg);
    } catch (err) {
      emitErrorReport(err, FATAL); // acts as FATAL: the status becomes 1, the exit goes on with the next (C-29)
      status = 1;
    }
  }
  return status;
}

/** All callbacks in order, and out of shared memory. Again is harmless. Returns the status, which a failing callback changes. */
export function procExitPrepare(code: number): number {
  setProcExitInprogress();
  native.disarmDie(); // a SIGTERM now would cut the exit short and change its status (C-29)
  native.lwLockReleaseAll(); // before any callback, as since 18: they may want locks themselves
  let status = run(beforeShmemExitList, code);
  status = dsmBackendShutdown(status); // M-14
  status = run(onShmemExitList, status);
  native.procDetach();
  return run(onProcExitList, status);
}

/**
 * Ends the process in order: exit callbacks, then out of shared memory, then the exit status. For a worker, status 0 means "done, forget
 * me" and 1 "failed, start me again after the interval"; any other is a crash. Does not return.
 * @param code exit status, 0 to 255
 * @example if (nothingLeft) procExit(0);
 * @pg proc_exit
 */
export function procExit(code: number): never {
  return native.exitNow(procExitPrepare(code));
}

/**
 * In a fresh child: our way out for FATAL errors, and for whoever leaves by Node's. What is left of the callbacks runs, however deep in one of them somebody
 * calls process.exit: Node emits 'exit' once and calls process.reallyExit each time, so both are ours. What goes past them, into the handler of
 * native/binding/exit.cc, is a failure that Node itself ends the process for.
 */
export function installExits(): void {
  setExitProcess(procExit);
  process.on('exit', () => {
    const status = procExitPrepare(-1);
    if (status !== -1) process.exitCode = status; // a callback failed
  });
  const leave = (code: number | string = 0): never => {
    const status = procExitPrepare(-1);
    return native.exitNow(status === -1 ? Number(code) : status);
  };
  Object.defineProperty(process, 'reallyExit', { value: leave, configurable: true, writable: true });
}
