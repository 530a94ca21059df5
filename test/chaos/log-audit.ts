// The log of a chaos run, read as the postmaster's account of itself: every start has an end, and every end a reason. Pure.
//
// It knows from the log alone who is registered, and who runs under which pid; the caller tells what it did to whom, before it does it.
//
//   registered   "registering background worker" until "unregistering background worker"
//   running      "starting background worker process" until its exit line, or until a crash cycle has ended everybody
//
// Whether an end has a reason is known in reasons.ts.

import { type End, Reasons, readEnd } from './reasons.js';

const RECORD = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[(\d+)\] ([A-Z]+\d?): {2}(.*)$/;
/** process.abort() writes what it was doing. The end itself must have a reason like any other. */
const ABORT_TRACE = /^(-{5} (Native|JavaScript) stack trace -{5}$| ?\d+: )/;

/** Lines that belong to the record before them. */
const PART_OF_A_RECORD: ReadonlySet<string> = new Set(['DETAIL', 'HINT', 'CONTEXT', 'STATEMENT']);
/** What the postmaster says before it ends with status 1, where it was not asked to end at all, or a crash was in between. */
const ABNORMAL_ENDS: ReadonlySet<string> = new Set([
  'abnormal database system shutdown',
  'aborting startup due to startup process failure',
  'shutting down due to startup process failure',
]);

export class LogAudit extends Reasons {
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
    startupEnds: 0,
    databaseEnds: 0,
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
  /** The last line was that it is shut down. */
  isDown = false;
  /** It said that its end was not in order. */
  abnormal = false;

  /** After a fast or an immediate request. */
  #closed = false;
  readonly #postmaster: number;
  readonly #starts = new Map<string, number>();
  /** Backends that have said that their application went while a call was under way. */
  readonly #clientLost = new Set<number>();
  #lastStart: string | null = null;
  #lastEnd: End | null = null;

  /** @param now the clock by which ends of lives are meant: `steady` */
  constructor(postmaster: number, now: () => number) {
    super(now);
    this.#postmaster = postmaster;
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
    if (level === 'FATAL' && message === 'connection to client lost') this.#clientLost.add(pid);
    const start = /^@(.*) start$/.exec(message)?.[1];
    if (start === undefined) return;
    this.counts.said++;
    if (!this.running.has(start)) this.#violation(`worker "${start}" runs as ${pid}, and the log has no start of it`);
    else if (this.running.get(start) !== null) this.#violation(`worker "${start}" runs twice: ${this.running.get(start)} and ${pid}`);
    else this.running.set(start, pid);
  }

  #postmasterSays(level: string, message: string): void {
    if (this.isDown) this.#violation(`the postmaster is down and says: ${message}`);
    const end = readEnd(message);
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
    else if (ABNORMAL_ENDS.has(message)) this.#endsAbnormally(message);
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

  #ended(end: End): void {
    this.#lastEnd = end;
    if (end.kind === 'worker') this.#workerEnded(end);
    // A crash says it twice, at two levels.
    else if (end.kind === 'server process') {
      if (!this.backends.delete(end.pid)) return;
      this.counts.sessionEnds++;
      if (this.#clientLost.delete(end.pid) && end.exitCode === 1) return;
    } else this.counts[end.kind === 'startup process' ? 'startupEnds' : 'databaseEnds']++;
    if (!this.mayEnd(end)) this.#violation(`without a reason: ${end.text}`);
  }

  #workerEnded({ name, pid, text }: End): void {
    this.counts.exits++;
    const known = this.running.get(name);
    if (known === undefined) this.#violation(`worker "${name}" ended, and did not run: ${text}`);
    else if (known !== null && known !== pid) this.#violation(`worker "${name}" ran as ${known}, and the log has: ${text}`);
    this.running.delete(name);
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
    if (this.#lastEnd === null) this.#violation('a crash cycle without a crash: nobody ended');
    else if (!isCrash(this.#lastEnd)) this.#violation(`a crash cycle without a crash: ${this.#lastEnd.text}`);
  }

  /** Where it gives up while it starts, who runs by then is left to notice it: there will be no line of his end. */
  #endsAbnormally(message: string): void {
    this.abnormal = true;
    if (message === 'abnormal database system shutdown') return;
    this.inCrashCycle = true;
    const { kind, text } = this.#lastEnd ?? { kind: null, text: 'nobody ended' };
    if (kind !== 'startup process' && kind !== 'database server') this.#violation(`${message}: ${text}`);
  }

  #crashCycleEnds(): void {
    this.counts.coveredByCrash += this.running.size;
    this.running.clear();
    this.backends.clear();
    this.#clientLost.clear();
    this.inCrashCycle = false;
    this.eras++;
  }
}

/** The startup process and the database server may end in no way while the server is open. */
function isCrash({ kind, exitCode, signal }: End): boolean {
  return kind === 'startup process' || kind === 'database server' || signal !== null || (exitCode !== null && exitCode > 1);
}

const EXPECTED_REFUSAL =
  /^(the database system is (in recovery mode|starting up|shutting down|not yet accepting connections)|sorry, too many clients already)$/;
