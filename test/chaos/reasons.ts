// Why a process may end: what the chaos run did to it, what it was made for, and what is under way. Pure.
//
// It is asked when the log has been read, which is later than things happen: what it takes for a reason had become one by then (a signal that was sent, a life
// that was over).

import { BEHAVIOURS, STATIC_WORKERS, type Behaviour } from './behaviours.js';
import type { WorkerPlan } from './schedule.js';

const EXIT =
  /^(?:background worker "(?:type of )?(.*)"|(server process|startup process|database server)) \(PID (\d+)\) (?:exited with exit code (\d+)|was terminated by signal (\d+)(?:: .*)?)$/;

/** How a process ended, as its line says. */
export interface End {
  readonly kind: 'worker' | 'server process' | 'startup process' | 'database server';
  /** Of a worker. */
  readonly name: string;
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly text: string;
}

/** null: the line says something else. */
export function readEnd(line: string): End | null {
  const found = EXIT.exec(line);
  if (found === null) return null;
  const [text, name = '', kind = 'worker', pid, exitCode, signal] = found;
  const number = (digits: string | undefined): number | null => (digits === undefined ? null : Number(digits));
  return { kind: kind as End['kind'], name, pid: Number(pid), exitCode: number(exitCode), signal: number(signal), text };
}

const SIGNAL_OF_DIRTY_END: Readonly<Record<number, NodeJS.Signals>> = { 3: 'SIGQUIT', 9: 'SIGKILL', 15: 'SIGTERM' };
const QUICKDIE_STATUS = 2;
/** From when on a worker's worker is told to go, or not at all: by the argument of `parent`. */
const PARENT_ENDS_CHILD = 2;
/** What ends the database server, or keeps it from answering. */
const HURTS_DATABASE: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGQUIT', 'SIGINT', 'SIGTERM', 'SIGSTOP']);

export class Reasons {
  inCrashCycle = false;
  /** From now on anybody may be told to go. */
  draining = false;
  /** There is a file that tells everybody who starts to return. */
  #finishing = false;
  /** From then on whoever needs the server may fail. */
  #databaseHurt = false;
  readonly #now: () => number;
  readonly #plans = new Map<string, WorkerPlan>();
  readonly #endsOfLife = new Map<string, number>();
  readonly #terminated = new Set<string>();
  readonly #signalled = new Map<number, Set<NodeJS.Signals>>();

  /** @param now the clock by which ends of lives are meant: `steady` */
  constructor(now: () => number) {
    this.#now = now;
  }

  // --- what the caller does, said before it does it ---------------------------------------------------------------------------------------

  /** From `endOfLife` on it returns when it is started. */
  willRegister(plan: WorkerPlan, endOfLife: number): void {
    this.#plans.set(plan.name, plan);
    this.#endsOfLife.set(plan.name, endOfLife);
  }
  willFinish(): void {
    this.#finishing = true;
  }
  willTerminate(name: string): void {
    this.#terminated.add(name);
  }
  willSignal(pid: number, signal: NodeJS.Signals): void {
    const signals = this.#signalled.get(pid) ?? new Set();
    this.#signalled.set(pid, signals.add(signal));
  }
  /** The database server itself; willSignal is told as well. */
  willSignalDatabase(signal: NodeJS.Signals): void {
    this.#databaseHurt ||= HURTS_DATABASE.has(signal);
  }

  planOf(name: string): WorkerPlan | undefined {
    return this.#plans.get(name);
  }
  wasSignalled(pid: number, ...signals: NodeJS.Signals[]): boolean {
    return signals.some((signal) => this.#signalled.get(pid)?.has(signal) === true);
  }

  // --- may it have ended so? --------------------------------------------------------------------------------------------------------------

  mayEnd(end: End): boolean {
    if (end.kind === 'worker') return this.#workerMayEnd(end);
    if (end.kind === 'server process') return this.#backendMayEnd(end);
    // Neither ends by itself; the server ends in order, with 0, where it is asked to.
    return this.inCrashCycle || this.wasSignalled(end.pid, 'SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGKILL');
  }

  #dirtyEndHasReason({ pid, exitCode, signal }: End): boolean {
    if (this.inCrashCycle) return true;
    if (signal !== null) return SIGNAL_OF_DIRTY_END[signal] !== undefined && this.wasSignalled(pid, SIGNAL_OF_DIRTY_END[signal]);
    return exitCode === QUICKDIE_STATUS && this.wasSignalled(pid, 'SIGQUIT');
  }

  #backendMayEnd(end: End): boolean {
    if (end.exitCode === 1) return this.inCrashCycle || this.draining || this.wasSignalled(end.pid, 'SIGTERM');
    return end.exitCode === 0 || this.#dirtyEndHasReason(end);
  }

  #workerMayEnd(end: End): boolean {
    const plan = this.#plans.get(end.name);
    if (plan !== undefined) return this.#endsByItself(plan, end) || this.#toldToEnd(end);
    if (STATIC_WORKERS.some((worker) => worker.name === end.name)) return this.#toldToEnd(end);
    // A worker's worker has its parent's name and pid for a name, idles, and is ended by its parent, or is not.
    const parent = this.#plans.get(/^(.*)\.\d+$/.exec(end.name)?.[1] ?? '');
    if (parent === undefined) return false;
    return end.exitCode === 0 || (end.exitCode === 1 && parent.arg >= PARENT_ENDS_CHILD) || this.#toldToEnd(end);
  }

  #endsByItself({ behaviour, arg }: WorkerPlan, { exitCode, signal }: End): boolean {
    const { exits, signals = [], database = false } = BEHAVIOURS[behaviour] as Behaviour;
    if (signal !== null) return signals.includes(signal);
    if (exitCode === null) return false;
    if (database && exitCode === 1 && this.#databaseHurt) return true;
    return exits === 'argument' ? exitCode === arg : exits.includes(exitCode);
  }

  #toldToEnd(end: End): boolean {
    const { name, pid, exitCode } = end;
    if (exitCode === 0) return this.#finishing || (this.#endsOfLife.get(name) ?? Infinity) < this.#now();
    if (exitCode !== 1) return this.#dirtyEndHasReason(end);
    return this.draining || this.inCrashCycle || this.#terminated.has(name) || this.wasSignalled(pid, 'SIGTERM', 'SIGINT');
  }
}
