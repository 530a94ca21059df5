// One scenario while it runs: its clusters, sessions and workers, what the runner has written down, and where everything else is. Runs in the judge.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, isAlive, titleOf } from '../helpers/processes.js';
import type { Cluster } from './cluster.js';
import { monotonicMs, readEvents, type WorkerEvent } from './event-file.js';
import { registeredWorkers, type Scenario, type Step } from './language.js';
import { logName } from './log-names.js';
import { mergesPossible, toldTo } from './merged-signals.js';
import type { LogRecord } from './server-log.js';
import { RunQueue } from './run-queue.js';
import { OracleSession } from './sessions.js';
import type { RunnerLine, Seen } from './signature.js';
import type { BackgroundWorkerHandle } from '../../dist/bgworker/handle.js';

/** A worker that a session has registered, or has failed to. */
export interface RegisteredWorker {
  readonly session: OracleSession;
  readonly handle: BackgroundWorkerHandle | null;
  /** When it was registered, by the clock of the log. */
  readonly askedMs: number;
}

/** How long a look was repeated until it was the recorded one. */
export interface SlowLook {
  readonly what: string;
  readonly ms: number;
}

/** What an operation of the language does. */
export type StepAction = (run: ScenarioRun, step: Step) => Promise<unknown> | void;

const DEFAULT_CLUSTER = 'm';
const DEFAULT_SESSION = 's1';

export class ScenarioRun {
  readonly scenario: Scenario;
  readonly base: string;
  readonly eventFolder: string;
  readonly eventFile: string;
  readonly clusters = new Map<string, Cluster>();
  readonly workers = new Map<string, RegisteredWorker>();
  /** Over when the scenario's time is, or when the judge is told to stop. */
  readonly signal: AbortSignal;
  /** What a reader of a failure should know besides. */
  readonly notes: string[] = [];
  /** How long the postmasters waited for a processor. */
  readonly runQueue = new RunQueue(() => this.#postmasters());
  /** How long their children did: a crash cycle takes as long as the slowest of them takes to end. */
  readonly childrenRunQueue = RunQueue.ofChildren(() => this.#postmasters());
  #slowestLook: SlowLook | null = null;
  readonly #sessions = new Map<string, OracleSession>();
  readonly #backends = new Map<number, string>();
  readonly #merges = new Map<string, readonly number[]>();
  readonly #lines: RunnerLine[] = [];
  readonly #extraEvents: WorkerEvent[] = [];

  constructor(scenario: Scenario, base: string, signal: AbortSignal) {
    this.scenario = scenario;
    this.base = base;
    this.signal = signal;
    this.eventFolder = join(base, 'ev');
    this.eventFile = join(this.eventFolder, 'events');
    mkdirSync(this.eventFolder, { mode: 0o700 });
  }

  /** What a look was to show came so long after the first one. */
  tookToShow(what: string, ms: number): void {
    if (ms > (this.#slowestLook?.ms ?? 0)) this.#slowestLook = { what: what.trim(), ms: Math.round(ms) };
  }

  get slowestLook(): SlowLook | null {
    return this.#slowestLook;
  }

  say(text: string): void {
    this.#lines.push({ timeMs: monotonicMs(), text });
  }

  /** What the log shows, and a session whose looks came before and after it did not see. */
  sayUnseen(text: string): void {
    this.#lines.push({ timeMs: monotonicMs(), text, unseen: true });
  }

  linesSaid(): number {
    return this.#lines.filter(({ unseen }) => unseen !== true).length;
  }

  get lastSaid(): string | undefined {
    return this.#lines.at(-1)?.text;
  }

  /** A line of a session's backend, as if it stood in the event file. */
  sayEvent(session: string, text: string): void {
    const pid = this.pidOf(`sess:${session}`) ?? 0;
    this.#extraEvents.push({ timeMs: monotonicMs(), pid, tag: session, text });
  }

  #postmasters(): number[] {
    return [...this.clusters.values()].flatMap(({ pid }) => pid ?? []);
  }

  cluster(name = DEFAULT_CLUSTER): Cluster {
    const cluster = this.clusters.get(name);
    if (cluster === undefined) throw new Error(`there is no cluster "${name}"`);
    return cluster;
  }

  /** The session of that name, open or not. */
  session(name = DEFAULT_SESSION, on = DEFAULT_CLUSTER): OracleSession {
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    const say = (text: string): void => this.say(text);
    const onBackend = (pid: number): void => void this.#backends.set(pid, name);
    const session = new OracleSession(name, this.cluster(on), { say, onBackend });
    this.#sessions.set(name, session);
    return session;
  }

  /** The name of the session that a backend serves. */
  sessionOf(pid: number): string | null {
    return this.#backends.get(pid) ?? null;
  }

  /** How many SIGUSR1 that a session was sent its backend may not have counted: the machine's doing. */
  mergesPossible(session: string): number {
    const backend = [...this.#backends].findLast(([, name]) => name === session)?.[0];
    if (backend === undefined) return 0;
    const told = toldTo(session, this.scenario, this.session(session).cluster.log().records);
    return mergesPossible(told, {
      backend: (fromMs, toMs) => this.childrenRunQueue.mayHaveWaitedThrough(backend, fromMs, toMs),
      postmaster: (fromMs, toMs) => this.runQueue.waitedMs(fromMs, toMs),
    });
  }

  /** A session has counted: so many may be missing, of those that it was sent until now. */
  sayCounted(session: string, mergesPossible: number): void {
    this.#merges.set(session, [...(this.#merges.get(session) ?? []), mergesPossible]);
  }

  /** When it counted for the n-th time, from 0. */
  mergesPossibleAt(session: string, nth: number): number {
    return this.#merges.get(session)?.[nth] ?? 0;
  }

  get sessions(): Iterable<OracleSession> {
    return this.#sessions.values();
  }

  events(): WorkerEvent[] {
    return readEvents(this.eventFile);
  }

  /** Lines that the worker wrote; `a.kid` is the child of worker a. */
  eventsOf(worker: string): WorkerEvent[] {
    const tag = `${this.scenario.id}.${worker}`;
    return this.events().filter((event) => event.tag === tag);
  }

  /** What the log calls a worker, as livesOf has it. */
  logNameOf(worker: string): string {
    const { id, setup } = this.scenario;
    const fields = registeredWorkers(setup).find(({ w = 'w' }) => w === worker) ?? { w: worker };
    return logName(id, fields);
  }

  /** The process that a scenario means: a worker's latest, `postmaster`, `sess:NAME`, `aux:TEXT`. Null where there has been none. */
  pidOf(who: string, on?: string): number | null {
    if (who === 'postmaster') return this.cluster(on).pid;
    if (who.startsWith('aux:')) return this.#auxiliary(who.slice('aux:'.length), on);
    if (who.startsWith('sess:')) {
      const name = who.slice('sess:'.length);
      return [...this.#backends].findLast(([, session]) => session === name)?.[0] ?? null;
    }
    const events = this.eventsOf(who);
    return (events.findLast(({ text }) => text.startsWith('main run=')) ?? events.at(-1))?.pid ?? null;
  }

  /** A postmaster's child whose title has the text. */
  #auxiliary(text: string, on?: string): number | null {
    const { pid } = this.cluster(on);
    return pid === null ? null : (childrenOf(pid).find((child) => titleOf(child).includes(text)) ?? null);
  }

  isAlive(who: string, on?: string): boolean {
    const pid = this.pidOf(who, on);
    return pid !== null && isAlive(pid);
  }

  /** The log of each cluster. */
  logs(): LogRecord[][] {
    return [...this.clusters.values()].map((cluster) => cluster.log().records);
  }

  /** All clusters' logs, oldest line first. */
  log(): { records: LogRecord[]; noise: string[] } {
    const logs = [...this.clusters.values()].map((cluster) => cluster.log());
    return { records: logs.flatMap(({ records }) => records).toSorted((a, b) => a.epochMs - b.epochMs), noise: logs.flatMap(({ noise }) => noise) };
  }

  seen(): Seen {
    return {
      id: this.scenario.id,
      base: this.base,
      events: [...this.events(), ...this.#extraEvents],
      log: this.log().records,
      runner: this.#lines,
      sessions: this.#backends,
      clockOffsetMs: this.clockOffsetMs(),
    };
  }

  /** What to add to the log's times to have the time of events. */
  clockOffsetMs(): number {
    return monotonicMs() - Date.now();
  }
}
