// What the chaos run knows: its postmaster, the sessions that it has open, the handles that it was given, what is under way. No actions and no checks here.

import { dirname, join } from 'node:path';
import type { BackgroundWorkerHandle } from '../../dist/bgworker/handle.js';
import type { Session } from '../../dist/session/client.js';
import type { Postmaster } from '../helpers/postmaster.js';
import { Applications } from './applications.js';
import { childrenOf, isAlive, parentOf, startTimeOf, titleOf } from '../helpers/processes.js';
import { steady } from './clock.js';
import { LogAudit } from './log-audit.js';
import { LogTail } from './log-tail.js';
import type { Whom, WorkerPlan } from './schedule.js';

export interface OpenSession {
  readonly session: Session;
  /** How many crash cycles were over when it was opened: handles of another era mean nothing to it. */
  readonly era: number;
  closing: boolean;
}

export interface KnownHandle {
  readonly handle: BackgroundWorkerHandle;
  readonly plan: WorkerPlan;
  readonly era: number;
  /** Who is notified, and so may wait; null: nobody. */
  readonly waiter: OpenSession | null;
}

/** Errors that an application has to expect while backends are killed, cancelled and ended by crashes. */
const EXPECTED_ERRORS = new Set(['08006', '57P01', '57P02', '57P03', '57014', '53300']);
const LAST_ACTIONS = 100;
const LOG_LINES = 200;

export class World {
  readonly pm: Postmaster;
  /** max_worker_processes */
  readonly workers: number;
  readonly audit: LogAudit;
  readonly tail: LogTail;
  readonly violations: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly lastActions: string[] = [];
  readonly applications: Applications = new Applications();
  sessions: OpenSession[] = [];
  /** Those to come. */
  opening = 0;
  /** So many crash cycles there had been when the checks under way began. */
  checkedSince = 0;
  /** The postmaster has been told to end: no new sessions. */
  leaving = false;
  /** The applications have left: whoever gets a session after that leaves at once, or a smart shutdown would wait for it. */
  hasLeft = false;
  handles: KnownHandle[] = [];
  /** A failure of the program itself, or the end of the postmaster: no use in going on. */
  fatal: string | null = null;
  evidence: string | null = null;

  readonly #started: number = performance.now();
  #ended: { opened: OpenSession; error: string }[] = [];
  readonly #underWay = new Set<string>();
  readonly #stopped = new Map<number, number | null>();
  #postmasterStopped = false;

  constructor(pm: Postmaster, workers: number) {
    this.pm = pm;
    this.workers = workers;
    this.audit = new LogAudit(pm.pid, steady);
    this.tail = new LogTail(join(dirname(pm.dir), 'log'), (line) => this.audit.line(line));
  }

  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  slowest(what: string, ms: number): void {
    this.counts[what] = Math.max(this.counts[what] ?? 0, Math.round(ms));
  }

  note(action: string): void {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(3);
    this.lastActions.push(`${seconds.padStart(8)}  ${action}`);
    if (this.lastActions.length > LAST_ACTIONS) this.lastActions.shift();
  }

  /** The first one keeps what led to it: the end of the run writes over the last actions and the last lines. */
  violation(text: string): void {
    this.violations.push(text);
    this.tail.read();
    this.evidence ??= `--- last actions\n${this.lastActions.join('\n')}\n--- log\n${this.tail.last(LOG_LINES).join('\n')}\n`;
    this.note(`VIOLATION ${text}`);
  }

  takeAuditViolations(): void {
    this.audit.violations.splice(0).forEach((text) => this.violation(`the log: ${text}`));
  }

  // --- what is under way ------------------------------------------------------------------------------------------------------------------

  /** Does something without waiting for it. Errors that nobody has to expect are violations; `settles`: at a quiet point it must be done. */
  start(what: string, promise: Promise<unknown>, { settles = true }: { settles?: boolean } = {}): void {
    const key = `${what} #${(this.counts['operations'] ?? 0) + 1}`;
    this.count('operations');
    if (settles) this.#underWay.add(key);
    promise
      .catch((err: Error & { code?: string }) => {
        this.count(`error ${err.code ?? err.name}`);
        if (!EXPECTED_ERRORS.has(err.code ?? '')) this.violation(`${what}: ${err.stack ?? err.message}`);
      })
      .finally(() => this.#underWay.delete(key))
      .catch(() => {});
  }

  underWay(): string[] {
    return [...this.#underWay];
  }

  // --- sessions ---------------------------------------------------------------------------------------------------------------------------

  /** A session, or null where a crash came in between: then nobody knows in which era it began. */
  async open(): Promise<OpenSession | null> {
    this.tail.read();
    const { eras } = this.audit;
    this.opening++;
    const session = await this.pm.connect().finally(() => this.opening--);
    this.tail.read();
    const opened: OpenSession = { session, era: eras, closing: false };
    if (this.audit.eras !== eras || this.hasLeft) {
      await session.close();
      return null;
    }
    this.sessions.push(opened);
    this.count('sessions');
    void session.closed.then((error) => {
      this.sessions = this.sessions.filter((other) => other !== opened);
      this.count(opened.closing ? 'sessions closed' : `sessions ended by ${error?.code ?? 'nobody'}`);
      if (!opened.closing) this.#ended.push({ opened, error: String(error) });
    });
    return opened;
  }

  async close(opened: OpenSession): Promise<void> {
    // Off the list first: nobody is to use it from here on.
    this.sessions = this.sessions.filter((other) => other !== opened);
    opened.closing = true;
    await opened.session.close();
  }

  /** Sessions that ended, and neither a crash nor a signal of ours was the reason. Looked at when the crash cycle is over. */
  endedWithoutReason(): string[] {
    const without = this.#ended.filter(
      ({ opened }) => opened.era === this.audit.eras && !this.audit.wasSignalled(opened.session.backendPid, 'SIGTERM', 'SIGKILL', 'SIGQUIT'),
    );
    this.#ended = [];
    return without.map(({ opened, error }) => `session ${opened.session.backendPid} ended: ${error}`);
  }

  /** Handles that still mean something, and forgets the others. */
  currentHandles(): KnownHandle[] {
    this.handles = this.handles.filter(({ era }) => era === this.audit.eras);
    return this.handles;
  }

  forgetHandle(known: KnownHandle): void {
    this.handles = this.handles.filter((other) => other !== known);
  }

  // --- processes --------------------------------------------------------------------------------------------------------------------------

  children(whom: Whom | 'any'): number[] {
    const all = childrenOf(this.pm.pid).filter(isAlive);
    if (whom === 'any') return all;
    if (whom === 'newest') return all.slice(-1);
    return all.filter((pid) => kindOf(pid) === whom);
  }

  signal(pid: number, signal: NodeJS.Signals): void {
    this.audit.willSignal(pid, signal);
    if (kindOf(pid) === 'server') this.audit.willSignalDatabase(signal);
    if (parentOf(pid) !== this.pm.pid) return;
    this.count(`signal ${signal}`);
    kill(pid, signal);
  }

  stop(pid: number, ms: number): void {
    this.#stopped.set(pid, startTimeOf(pid));
    this.signal(pid, 'SIGSTOP');
    setTimeout(() => this.#continue(pid), ms).unref();
  }

  #continue(pid: number): void {
    const startTime = this.#stopped.get(pid);
    if (this.#stopped.delete(pid) && startTime !== null && startTimeOf(pid) === startTime) kill(pid, 'SIGCONT');
  }

  stopPostmaster(ms: number): void {
    if (this.#postmasterStopped) return;
    this.#postmasterStopped = true;
    this.pm.signal('SIGSTOP');
    setTimeout(() => this.continuePostmaster(), ms).unref();
  }

  continuePostmaster(): void {
    // Another signal may have let it go before, and then it may have ended.
    if (this.#postmasterStopped && this.fatal === null && isAlive(this.pm.pid)) this.pm.signal('SIGCONT');
    this.#postmasterStopped = false;
  }

  continueAll(): void {
    this.continuePostmaster();
    for (const pid of this.#stopped.keys()) this.#continue(pid);
  }
}

/** By its title, which a newborn child has not: it counts as a worker. The database server alone is called by its path. */
function kindOf(pid: number): Whom {
  const title = titleOf(pid);
  if (title.includes(': session of PID ')) return 'backend';
  if (title.startsWith('postgres: startup')) return 'startup';
  return /^\/.*\/postgres /.test(title) ? 'server' : 'worker';
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
  }
}
