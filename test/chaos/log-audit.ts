// The log of a chaos run, read as the postmaster's account of itself: every start has an end, and every end a reason. Pure.
//
// It knows from the log alone who is registered, and who runs under which pid; the caller tells what it did to whom, before it does it.
//
//   registered   "registering background worker" until "unregistering background worker"
//   running      "starting background worker process" until its exit line, or until a crash cycle has ended everybody
//
// It reads later than things happen, so what it takes for a reason had become one by then: a signal that was sent, a life that was over.

import { BEHAVIOURS, STATIC_WORKERS, type Behaviour } from './behaviours.js';
import type { WorkerPlan } from './schedule.js';

const SIGNAL_OF_DIRTY_END: Readonly<Record<number, NodeJS.Signals>> = { 3: 'SIGQUIT', 9: 'SIGKILL', 15: 'SIGTERM' };
const QUICKDIE_STATUS = 2;

const RECORD = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[(\d+)\] ([A-Z]+\d?): {2}(.*)$/;
/** process.abort() writes what it was doing. The end itself must have a reason like any other. */
const ABORT_TRACE = /^(-{5} (Native|JavaScript) stack trace -{5}$| ?\d+: )/;
const EXIT =
  /^(?:background worker "(?:type of )?(.*)"|(server process)) \(PID (\d+)\) (?:exited with exit code (\d+)|was terminated by signal (\d+): .*)$/;

/** Lines that belong to the record before them. */
const PART_OF_A_RECORD: ReadonlySet<string> = new Set(['DETAIL', 'HINT', 'CONTEXT', 'STATEMENT']);
/** From when on a worker's worker is told to go, or not at all: by the argument of `parent`. */
const PARENT_ENDS_CHILD = 2;

/** How a process ended, as its line says. */
interface End {
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly text: string;
}

export class LogAudit {
  readonly violations: string[] = [];
  /** Names. */
  readonly registered = new Set<string>();
  /** Name → pid, null until the worker has said it. */
  readonly running = new Map<string, number | null>();
  readonly backends = new Set<number>();
  readonly counts = {
    starts: 0,
    said: 0,
    exits: 0,
    sessions: 0,
    sessionEnds: 0,
    crashCycles: 0,
    coveredByCrash: 0,
    escalations: 0,
    failedForks: 0,
    reloads: 0,
  };
  /** The heap of the postmaster after a collection, by its number. */
  readonly heapKb = new Map<number, number>();
  /** Crash cycles that are over. */
  eras = 0;
  inCrashCycle = false;
  /** From now on anybody may return. */
  draining = false;
  /** The last line was that it is shut down. */
  isDown = false;
  /** It said that its end was not in order. */
  abnormal = false;

  /** After a fast or an immediate request. */
  #closed = false;
  /** There is a file that tells everybody who starts to return. */
  #finishing = false;
  readonly #postmaster: number;
  readonly #now: () => number;
  readonly #plans = new Map<string, WorkerPlan>();
  readonly #endsOfLife = new Map<string, number>();
  readonly #starts = new Map<string, number>();
  readonly #terminated = new Set<string>();
  readonly #signalled = new Map<number, Set<NodeJS.Signals>>();
  #lastStart: string | null = null;
  #lastEnd: End | null = null;

  /** @param now the clock by which ends of lives are meant: `steady` */
  constructor(postmaster: number, now: () => number) {
    this.#postmaster = postmaster;
    this.#now = now;
  }

  // --- what the caller does -------------------------------------------------------------------------------------------------------------

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
  planOf(name: string): WorkerPlan | undefined {
    return this.#plans.get(name);
  }

  startsOf(name: string): number {
    return this.#starts.get(name) ?? 0;
  }

  // --- what the log says ----------------------------------------------------------------------------------------------------------------

  line(text: string): void {
    const record = RECORD.exec(text);
    if (record === null) {
      // Continuation lines of a record begin with a tab; whatever else is there, somebody wrote past the log.
      if (text !== '' && !text.startsWith('\t') && !ABORT_TRACE.test(text)) this.#violation(`a line that is no record of the log: ${text}`);
      return;
    }
    const [, pid, level, message] = record as unknown as [string, string, string, string];
    if (PART_OF_A_RECORD.has(level)) return;
    if (Number(pid) === this.#postmaster) this.#postmasterSays(level, message);
    else this.#childSays(Number(pid), level, message);
  }

  /** At the end of a long run: was anything heard at all? Otherwise nothing was judged, and an expression above has gone blind. */
  expectEvidence(): void {
    for (const what of ['starts', 'said', 'exits', 'sessions', 'sessionEnds'] as const) {
      if (this.counts[what] === 0) this.#violation(`there was nothing to judge: no ${what}`);
    }
  }

  #violation(text: string): void {
    this.violations.push(text);
  }

  #childSays(pid: number, level: string, message: string): void {
    if (level === 'PANIC') this.#violation(`PANIC of ${pid}: ${message}`);
    const start = /^@(.*) start$/.exec(message)?.[1];
    if (start === undefined) return;
    this.counts.said++;
    if (!this.running.has(start)) this.#violation(`worker "${start}" runs as ${pid}, and the log has no start of it`);
    else if (this.running.get(start) !== null) this.#violation(`worker "${start}" runs twice: ${this.running.get(start)} and ${pid}`);
    else this.running.set(start, pid);
  }

  #postmasterSays(level: string, message: string): void {
    if (this.isDown) this.#violation(`the postmaster is down and says: ${message}`);
    const end = EXIT.exec(message);
    if (end !== null) return this.#ended(end);
    const quoted = /"(.*)"$/.exec(message)?.[1] ?? '';
    const heap = /^@heap (\d+): (\d+) KB$/.exec(message);
    if (heap !== null) this.heapKb.set(Number(heap[1]), Number(heap[2]));
    else if (message.startsWith('registering background worker "')) this.#registering(quoted);
    else if (message.startsWith('unregistering background worker "')) this.#unregistering(quoted);
    else if (message.startsWith('starting background worker process "')) this.#starting(quoted);
    else if (/^(could not fork worker process|no slot available for new worker process)/.test(message)) this.#forkFailed();
    else if (message.startsWith('forked new backend, pid=')) this.#forkedBackend(Number(/pid=(\d+)/.exec(message)?.[1]));
    else if (message === 'terminating any other active server processes') this.#crashCycleBegins();
    else if (message === 'all server processes terminated; reinitializing') this.#crashCycleEnds();
    else if (message === 'issuing SIGKILL to recalcitrant children') this.counts.escalations++;
    else if (message.startsWith('received SIGHUP')) this.counts.reloads++;
    else if (message.endsWith(' shutdown request')) this.#shutdownBegins(message);
    else if (message === 'abnormal database system shutdown') this.abnormal = true;
    else if (message === 'database system is shut down') this.isDown = true;
    else if (!/^(DEBUG|LOG)$/.test(level) && !(level === 'FATAL' && EXPECTED_REFUSAL.test(message)))
      this.#violation(`the postmaster says: ${level}: ${message}`);
  }

  #registering(name: string): void {
    if (this.registered.has(name)) this.#violation(`worker "${name}" is registered again`);
    this.registered.add(name);
  }

  // Of a worker that has just ended, its exit line comes after this one.
  #unregistering(name: string): void {
    if (!this.registered.delete(name)) this.#violation(`worker "${name}" is unregistered, and was not registered`);
  }

  #starting(name: string): void {
    this.counts.starts++;
    this.#starts.set(name, this.startsOf(name) + 1);
    this.#lastStart = name;
    if (!this.registered.has(name)) this.#violation(`worker "${name}" is started, and is not registered`);
    if (this.running.has(name)) this.#violation(`worker "${name}" is started while it runs as ${this.running.get(name)}`);
    if (this.inCrashCycle) this.#violation(`worker "${name}" is started in a crash cycle`);
    if (this.#closed) this.#violation(`worker "${name}" is started in a fast or an immediate shutdown`);
    this.running.set(name, null);
  }

  #forkFailed(): void {
    this.counts.failedForks++;
    if (this.#lastStart !== null) this.running.delete(this.#lastStart);
  }

  #forkedBackend(pid: number): void {
    this.counts.sessions++;
    this.backends.add(pid);
  }

  #ended([text, name, server, pid, exitCode, signal]: RegExpExecArray): void {
    const number = (digits: string | undefined): number | null => (digits === undefined ? null : Number(digits));
    const end: End = { pid: Number(pid), exitCode: number(exitCode), signal: number(signal), text };
    this.#lastEnd = end;
    if (server !== undefined) {
      // A crash says it twice, at two levels.
      if (!this.backends.delete(end.pid)) return;
      this.counts.sessionEnds++;
      if (!this.#backendMayEnd(end)) this.#violation(`without a reason: ${text}`);
      return;
    }
    this.counts.exits++;
    const worker = name as string;
    const known = this.running.get(worker);
    if (known === undefined) this.#violation(`worker "${worker}" ended, and did not run: ${text}`);
    else if (known !== null && known !== end.pid) this.#violation(`worker "${worker}" ran as ${known}, and the log has: ${text}`);
    this.running.delete(worker);
    if (!this.#workerMayEnd(worker, end)) this.#violation(`without a reason: ${text}`);
  }

  wasSignalled(pid: number, ...signals: NodeJS.Signals[]): boolean {
    return signals.some((signal) => this.#signalled.get(pid)?.has(signal) === true);
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

  #workerMayEnd(name: string, end: End): boolean {
    const plan = this.#plans.get(name);
    if (plan !== undefined) return endsByItself(BEHAVIOURS[plan.behaviour], plan.arg, end) || this.#toldToEnd(name, end);
    if (STATIC_WORKERS.some((worker) => worker.name === name)) return this.#toldToEnd(name, end);
    // A worker's worker has its parent's name and pid for a name, idles, and is ended by its parent, or is not.
    const parent = this.#plans.get(/^(.*)\.\d+$/.exec(name)?.[1] ?? '');
    if (parent === undefined) return false;
    return end.exitCode === 0 || (end.exitCode === 1 && parent.arg >= PARENT_ENDS_CHILD) || this.#toldToEnd(name, end);
  }

  #toldToEnd(name: string, end: End): boolean {
    if (end.exitCode === 0) return this.#finishing || (this.#endsOfLife.get(name) ?? Infinity) < this.#now();
    if (end.exitCode !== 1) return this.#dirtyEndHasReason(end);
    return this.draining || this.inCrashCycle || this.#terminated.has(name) || this.wasSignalled(end.pid, 'SIGTERM', 'SIGINT');
  }

  /** SIGTERM to everybody, sooner or later. Of an immediate one the exits are not in the log, as in a crash cycle. */
  #shutdownBegins(message: string): void {
    this.draining = true;
    this.#closed ||= !message.includes('smart');
    if (message.includes('immediate')) this.inCrashCycle = true;
  }

  #crashCycleBegins(): void {
    this.counts.crashCycles++;
    this.inCrashCycle = true;
    const { exitCode, signal, text } = this.#lastEnd ?? { exitCode: null, signal: null, text: 'nobody ended' };
    if (signal === null && (exitCode === null || exitCode <= 1)) this.#violation(`a crash cycle without a crash: ${text}`);
  }

  #crashCycleEnds(): void {
    this.counts.coveredByCrash += this.running.size;
    this.running.clear();
    this.backends.clear();
    this.inCrashCycle = false;
    this.eras++;
  }
}

function endsByItself(behaviour: Behaviour | undefined, arg: number, { exitCode, signal }: End): boolean {
  if (behaviour === undefined) return false;
  if (signal !== null) return behaviour.signals?.includes(signal) === true;
  return exitCode !== null && (behaviour.exits === 'argument' ? exitCode === arg : behaviour.exits.includes(exitCode));
}

const EXPECTED_REFUSAL =
  /^(the database system is (in recovery mode|starting up|shutting down|not yet accepting connections)|sorry, too many clients already)$/;
