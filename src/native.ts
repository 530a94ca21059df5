// The only file that loads the addon: its functions and their types. Any process.
//
// A result below zero is minus an errno, as in native/core; `check` turns one into an error. Latches are named by their offset in shared
// memory, or by a number below zero (in the process's own memory; -1 is always there); locks and flags by their offset.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getSystemErrorName } from 'node:util';
import { nodeFacts, unsupportedRuntime } from './node-support.js';

/** Of a TCP connection; see native/core/tcp.h. Seconds, number, milliseconds; 0 leaves the system's default. */
export interface Keepalives {
  readonly idle: number;
  readonly interval: number;
  readonly count: number;
  readonly userTimeout: number;
}

/** What a program is started with; see native/core/process.h. */
export interface SpawnOptions {
  readonly file: string;
  readonly argv: readonly string[];
  /** `NAME=value` strings. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Descriptors that become 0, 1 and 2. */
  readonly stdio: readonly [number, number, number];
  /** Signal that the kernel sends it when we die; 0: none. */
  readonly parentDeathSignal: number;
}

/** An entry of the system's user database. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** See native/core/lwlock.h. */
export interface VarResult {
  readonly result: number;
  readonly value: bigint;
}
/** See native/core/condition_variable.h. */
export interface BarrierResult {
  readonly error: number;
  readonly phase: number;
  readonly done: boolean;
  readonly elected: boolean;
}

export interface Native {
  /** The child closes its end of the death pipe and asks the kernel for the signal (0: none) before anything else. */
  fork(parentDeathSignal: number): number;
  undoDontFork(): number;
  otherThreadsRest(): number;
  /** Of the event loop's, those that have no answer yet. */
  activeRequests(): number;
  /** Threads are born with every signal blocked from here on, memory is there to be forked, and V8's pages lie side by side. How many slots were ours to change. */
  patchImports(): number;
  /** Of the C library, where it is glibc. */
  glibcVersion(): string | null;
  /** V8 is told that its platform has no threads, now or later: it posts nothing to those that a child does not have. */
  emptyPlatform(): number;
  /** V8 collects, and gives back at once what it keeps for later. -ENOSYS where it cannot be told to. */
  giveBackMemory(): number;

  signalsInit(): void;
  /** Dispositions: see `Disposition` in src/ipc/signals.ts. */
  signal(signo: number, disposition: number): number;
  blockSignals(): void;
  unblockSignals(): void;
  blockAllSignals(): void;
  /** Bit signo-1 for each recorded signal; forgets them. */
  takeRecorded(): number;
  signalCount(signo: number): number;
  /** `times`: offset in bytes and form, again and again; see native/core/last_words.h. */
  setLastWords(why: number, text: Uint8Array, times: Int32Array): void;
  /** SIGTERM's default action lets exit callbacks in JavaScript run, for a tenth of a second at most until they begin. */
  deferDie(): number;
  /** What a session's client is told when SIGQUIT ends its backend, by the reason at that offset. */
  setQuitMessages(fd: number, messages: readonly Uint8Array[], reason: number): number;
  holdInterrupts(): void;
  resumeInterrupts(): void;
  interruptHoldoffCount(): number;
  /** How many bytes were written until the milliseconds were over, or -errno; see native/core/server_log.h. */
  writeLog(fd: number, bytes: Uint8Array, timeoutMs: number): number;
  /** SIGTERM's default action does nothing any more: the process is leaving. */
  disarmDie(): void;

  /** With an offset: a shared latch, 0. Without: a private one, its name. */
  initLatch(offset?: number): number;
  freeLatch(latch: number): void;
  setLatch(latch: number): number;
  /** Of a latch that JavaScript has set by itself (src/ipc/latch-word.ts). */
  wakeLatchOwner(latch: number): void;
  /** 1 when it was set; -EPERM: it is somebody else's. */
  resetLatch(latch: number): number;
  /** 0, or the pid of the owner that stands in the way. */
  ownLatch(latch: number): number;
  disownLatch(latch: number): number;
  ownsLatch(latch: number): boolean;
  /** Looks for a latch for 20 microseconds at most, and only where that has paid of late; says whether it is set then. Announces nothing. */
  pollLatch(latch: number): boolean;
  /** -EPERM: it is somebody else's. */
  latchIsSet(latch: number): number;

  waitersInit(offset: number, count: number): void;
  waitersAttach(index: number): number;
  /** 0, or 1 where it had to wait. */
  lwLockAcquire(lock: number, mode: number): number;
  lwLockConditionalAcquire(lock: number, mode: number): number;
  /** 0: acquired; above 0: a waiter's number. */
  lwLockBegin(lock: number, mode: number): number;
  lwLockBeginOrWait(lock: number, mode: number): number;
  /** 0: not yet, 1: acquired, 2: it was free, or the word has changed. */
  lwLockContinue(waiter: number): number;
  lwLockCancel(waiter: number): void;
  /** 1: acquired, 0: not, and it was let go meanwhile. */
  lwLockAcquireOrWait(lock: number, mode: number): number;
  lwLockWaitForVar(lock: number, word: number, old: bigint): VarResult;
  /** -EINPROGRESS: the value is a waiter's number. */
  lwLockBeginWaitForVar(lock: number, word: number, old: bigint): VarResult;
  lwLockUpdateVar(lock: number, word: number, value: bigint): number;
  /** How many are held now. */
  lwLockRelease(lock: number): number;
  /** Mode below 0: any. */
  lwLockHeldByMe(lock: number, mode: number): number;
  lwLockHeldCount(): number;
  lwLockReleaseAll(): void;
  lwLockInitialize(lock: number, tranche: number): number;
  lwLockTranche(lock: number): number;

  conditionVariableInit(cv: number): number;
  /** A waiter's number. */
  conditionVariablePrepare(cv: number): number;
  conditionVariableWoken(waiter: number): number;
  conditionVariableCancel(waiter: number): number;
  conditionVariableSignal(cv: number): number;
  conditionVariableBroadcast(cv: number): number;

  barrierInit(barrier: number, participants: number): number;
  barrierArrive(barrier: number): BarrierResult;
  barrierLook(barrier: number, phase: number): BarrierResult;
  barrierAttach(barrier: number): BarrierResult;
  barrierDetach(barrier: number, arrive: boolean): BarrierResult;
  barrierDetachExceptLast(barrier: number): BarrierResult;
  barrierPhase(barrier: number): BarrierResult;
  barrierParticipants(barrier: number): number;

  shmemCreate(size: number): ArrayBuffer | number;
  /** A buffer over a part of the mapping: a SharedArrayBuffer on Node 22 and later. */
  shmemBuffer(offset: number, size: number): ArrayBufferLike | number;
  /** Empties an ArrayBuffer; leaves a SharedArrayBuffer alone. */
  detachBuffer(buffer: ArrayBufferLike): void;
  /** Zeroes the mapping. */
  shmemReset(): number;
  shmemUnmap(): number;

  dsmMap(limit: number): number;
  dsmUnmap(): number;
  /** Offset of the control structure in shared memory, how many segments, how many bytes they may have in all. */
  dsmReset(control: number, maxItems: number, limit: number): number;
  /** The index of a segment, which is what the other functions name it by. */
  dsmCreate(size: number): number;
  dsmAttach(handle: number): number;
  /** Its region goes, and the locks in it are released. */
  dsmDetach(index: number, region: number): number;
  dsmPin(index: number): number;
  dsmUnpin(handle: number): number;
  /** `region` times 2^32 is the address of its first byte. */
  dsmSegment(index: number): { handle: number; buffer: ArrayBuffer; region: number };

  /** The way out of this process marks the queue that begins there detached. */
  shmMqTrack(queue: Uint8Array): number;
  shmMqUntrack(queue: Uint8Array): void;

  /** 0, or the pid of the latch's owner that stands in the way. */
  procAttach(flag: number, latch: number): number;
  /** Where others see what this process waits for. */
  setWaitEventStorage(offset: number): number;
  procDetach(): void;
  procForget(): void;

  deathPipeCreate(): number;
  /** Asks for the parent-death signal again, and leaves where the parent is gone. */
  deathPipeChild(parent: number, signo: number): number;
  /** 1 alive, 0 dead. */
  postmasterIsAlive(): number;

  /** `onWake` is called once a turn of the event loop in which there is news for asynchronous waits. */
  waitEventSupportInit(onWake: (pipeError: number) => void): number;
  /** An asynchronous wait begins, for a latch or for what is none; it keeps the event loop alive. And is over. */
  waitBegins(latch: number): number;
  waitEnds(latch: number): void;
  /** See src/ipc/own-words.ts. */
  ownWords(): ArrayBuffer;
  /** Events; bit 30: signals were recorded. */
  waitLatch(latch: number, events: number, timeoutMs: number): number;
  waitEventSetCreate(capacity: number): number;
  waitEventSetFree(set: number): number;
  /** The position. */
  waitEventSetAdd(set: number, events: number, fd: number, latch: number): number;
  waitEventSetModify(set: number, pos: number, events: number, latch: number): number;
  /** How many pairs (position, events) it stored in `occurred`; bit 30: signals were recorded; -EINTR: nothing but these. */
  waitEventSetWait(set: number, timeoutMs: number, occurred: Int32Array): number;
  waitEventSetPoll(set: number, occurred: Int32Array): number;
  /** Is the event loop to watch its sockets? */
  waitEventSetWatch(set: number, watch: boolean): number;
  /** Bits 0 to 30: recorded signals; bit 31: a connection waits. */
  postmasterWait(listenFd: number, timeoutMs: number): number;

  listen(path: string): number;
  /** With who is at the other end, as the kernel knows it. */
  connect(path: string): { fd: number; pid: number; uid: number } | number;
  accept(listenFd: number): { fd: number; pid: number; uid: number } | number;
  sendOnce(fd: number, bytes: Uint8Array): void;
  close(fd: number): void;
  setKeepalives(fd: number, keepalives: Keepalives): number;

  /** null while it lives, else its wait status. */
  waitPid(pid: number): number | null;
  kill(pid: number, signo: number): number;
  setSid(): number;
  setName(name: string): number;
  getPid(): number;
  getPpid(): number;
  random32(): number;
  flock(fd: number): number;
  exec(file: string, argv: readonly string[], env: readonly string[]): number;
  spawn(options: SpawnOptions): number;

  /** By name, or by number as text; null: there is none. */
  lookUpUser(name: string): User | null | number;
  /** For good, and the way back is tried; see native/core/privileges.h. After a failure the process must end. null: no groups but `gid`. */
  becomeUser(name: string | null, uid: number, gid: number): number;
  /** Real and effective ids are the same. */
  idsMatch(): boolean;
  /** Effective ids alone, to read a file as its owner would. */
  setEffective(uid: number, gid: number): number;

  /** By the number of the resource; -1: no limit. -EPERM: above the hard one of before. */
  setLimit(resource: number, soft: number, hard: number): number;
  getLimit(resource: number): [soft: number, hard: number] | number;
  /** Bytes of the old generation of V8's heap. When it is used up the prepared last words are written. */
  setHeapLimit(bytes: number): number;

  /** Can this Node's exits be taken over? With `install` they are, for good; `runCallbacks` runs where Node itself ends the process. */
  takeExits(install: boolean, runCallbacks: () => void): boolean;
  /** What a spinner does between two looks; the result is the argument of the next one, 0 of the first. Aborts where it has lasted too long. */
  spinDelay(waits: number): number;

  exitNow(status: number): never;
  exitDirty(status: number): never;
  abort(): never;
}

function load(): Native {
  const complaint = unsupportedRuntime(nodeFacts());
  if (complaint !== null) throw new Error(`${complaint.message}\nDETAIL:  ${complaint.detail}\nHINT:  ${complaint.hint}`);
  const root = join(dirname(fileURLToPath(import.meta.url)), '..');
  const candidates = ['build/Debug/bgworker.node', 'build/Release/bgworker.node'].map((path) => join(root, path));
  const found = candidates.find((path) => existsSync(path));
  const where = `${process.platform}-${process.arch}, Node ${process.version}; looked for ${candidates.join(', ')}`;
  if (found === undefined) {
    throw new Error(`the bgworker addon has not been built (${where})\nHINT:  Run: npm rebuild bgworker (in a checkout: npm run build).`);
  }
  try {
    return createRequire(import.meta.url)(found) as Native;
  } catch (err) {
    const denied = (err as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED';
    const hint = denied ? '\nHINT:  With --permission, Node 22 and later need --allow-addons as well; Node 20 cannot load an addon then.' : '';
    throw new Error(`could not load the bgworker addon: ${(err as Error).message} (${where})${hint}`, { cause: err });
  }
}

export const native: Native = load();

/** A system error in Node's own shape. */
export function systemError(errno: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno);
  const err: NodeJS.ErrnoException = new Error(`${code}: ${syscall}`);
  return Object.assign(err, { code, errno, syscall });
}

/** The result of a native call, or a system error where it is one. */
export function check(result: number, syscall: string): number {
  if (result < 0) throw systemError(result, syscall);
  return result;
}
