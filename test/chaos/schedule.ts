// What the chaos run does, and when: a function of the seed and of nothing else. Pure.
//
// Whom an action meets (which session, which worker) cannot be: that depends on who is alive. So an action carries selectors, numbers from 0 to 1 that
// pick among those that are there when its time has come; drawing them takes the same numbers from the generator whatever happens.

import { BEHAVIOURS, NEVER_STARTS } from './behaviours.js';
import { Random } from './random.js';

const SHMEM_ACCESS = 1;
const DATABASE_CONNECTION = 2;
const CLASS_PARALLEL = 0x10;

/** A worker as it is to be registered. */
export interface WorkerPlan {
  /** `w` and a number; unique in the run. */
  readonly name: string;
  /** Empty: filled with the name. */
  readonly type: string;
  readonly behaviour: string;
  readonly arg: number;
  readonly flags: number;
  readonly restartTime: number;
  readonly startTime: number;
  readonly notify: boolean;
  /** Started later than this after its registration it returns at once: what restarts comes to an end. */
  readonly lifeMs: number;
}

/** Whom a signal meets: `startup` and `server` are there where there is a database of the postmaster's own. */
export type Whom = 'worker' | 'backend' | 'newest' | 'startup' | 'server';

export type Action =
  | { readonly do: 'register'; readonly session: number; readonly workers: readonly WorkerPlan[] }
  | { readonly do: 'register badly'; readonly session: number; readonly fault: number }
  | { readonly do: 'register in backend'; readonly session: number; readonly worker: WorkerPlan; readonly sync: boolean }
  | { readonly do: 'terminate' | 'poll' | 'wait startup' | 'wait shutdown'; readonly session: number; readonly handle: number }
  | { readonly do: 'terminate many'; readonly session: number; readonly from: number; readonly count: number }
  | { readonly do: 'activity' | 'type by pid'; readonly session: number; readonly child: number }
  | { readonly do: 'open'; readonly count: number }
  | { readonly do: 'close'; readonly session: number }
  /** One of its own process, which is killed. */
  | { readonly do: 'application'; readonly sessions: number; readonly workers: readonly WorkerPlan[]; readonly killAfterMs: number }
  | { readonly do: 'signal'; readonly whom: Whom; readonly child: number; readonly signal: NodeJS.Signals }
  | { readonly do: 'stop'; readonly whom: Whom; readonly child: number; readonly ms: number }
  | { readonly do: 'stop postmaster'; readonly ms: number }
  | { readonly do: 'signal postmaster'; readonly signal: NodeJS.Signals }
  /** How wrong the wall clock is from now on. */
  | { readonly do: 'step clock'; readonly ms: number };

/** An action and how long to wait before it. */
export interface Step {
  readonly pauseMs: number;
  readonly action: Action;
}

export class Schedule {
  readonly #random: Random;
  readonly #whom: readonly Whom[];
  /** Such a postmaster lives for seconds: left to the signals of everybody, its server would hardly ever die. */
  readonly #killsOfDatabase: number;
  readonly #behaviours: readonly (readonly [weight: number, name: string])[];
  #workers = 0;

  /** @param withDatabase the postmaster owns a database server, which is a target like others */
  constructor(seed: number, withDatabase = false) {
    this.#random = new Random(seed);
    this.#whom = withDatabase ? [...WHOM, 'startup', 'server'] : WHOM;
    this.#killsOfDatabase = withDatabase ? 1.5 : 0;
    this.#behaviours = Object.entries(BEHAVIOURS)
      .filter(([, { database = false }]) => withDatabase || !database)
      .map(([name, { weight }]) => [weight, name]);
  }

  next(): Step {
    const random = this.#random;
    const pauseMs = random.weighted<() => number>([
      [6, () => random.int(0, 8)],
      [3, () => random.int(8, 60)],
      [1, () => random.int(60, 250)],
    ])();
    return { pauseMs, action: this.#action() };
  }

  #action(): Action {
    const random = this.#random;
    const session = random.next();
    return random.weighted<() => Action>([
      [26, () => ({ do: 'register', session, workers: [this.#worker()] })],
      [2, () => ({ do: 'register', session, workers: Array.from({ length: random.int(2, 12) }, () => this.#worker()) })],
      [2, () => ({ do: 'register badly', session, fault: random.int(0, 5) })],
      [2, () => ({ do: 'register in backend', session, worker: { ...this.#worker(), ...LIVELY }, sync: random.chance(0.5) })],
      [12, () => ({ do: 'terminate', session, handle: random.next() })],
      [2, () => ({ do: 'terminate many', session, from: random.next(), count: random.int(2, 12) })],
      [12, () => ({ do: 'poll', session, handle: random.next() })],
      [5, () => ({ do: 'wait startup', session, handle: random.next() })],
      [6, () => ({ do: 'wait shutdown', session, handle: random.next() })],
      [4, () => ({ do: 'activity', session, child: random.next() })],
      [2, () => ({ do: 'type by pid', session, child: random.next() })],
      [5, () => ({ do: 'open', count: random.chance(0.15) ? random.int(3, 8) : 1 })],
      [4, () => ({ do: 'close', session })],
      [1, () => ({ do: 'application', sessions: random.int(1, 2), workers: [{ ...this.#worker(), ...LIVELY }], killAfterMs: random.int(0, 1500) })],
      [9, () => ({ do: 'signal', whom: random.pick(this.#whom), child: random.next(), signal: random.weighted(SIGNALS) })],
      [
        2.5,
        () => ({
          do: 'stop',
          whom: random.pick(this.#whom),
          child: random.next(),
          ms: random.chance(0.06) ? random.int(4000, 8000) : random.int(1, 900),
        }),
      ],
      [
        this.#killsOfDatabase,
        () => ({ do: 'signal', whom: random.pick(['startup', 'server', 'server']), child: random.next(), signal: random.pick(FATAL_SIGNALS) }),
      ],
      [1, () => ({ do: 'stop postmaster', ms: random.int(1, 300) })],
      [2, () => ({ do: 'signal postmaster', signal: random.pick(POSTMASTER_SIGNALS) })],
      [1, () => ({ do: 'step clock', ms: random.int(-1, 1) * random.pick([200, 5000, 3_600_000, 40 * 86_400_000]) })],
    ])();
  }

  #worker(): WorkerPlan {
    const random = this.#random;
    const name = `w${++this.#workers}`;
    const behaviour = random.weighted(this.#behaviours);
    const { arg, shmem = false, database = false } = BEHAVIOURS[behaviour] as (typeof BEHAVIOURS)[string];
    const drawn = random.weighted<'plain' | 'detached' | 'database' | 'parallel'>([
      [10, 'plain'],
      [4, 'detached'],
      [3, 'database'],
      [2, 'parallel'],
    ]);
    const kind = database ? 'database' : drawn;
    const restartTime = random.pick([-1, -1, 0, 1, 2]);
    const startTime = random.weighted([
      [10, 2],
      [3, 1],
      [3, 0],
      [1, NEVER_STARTS],
    ]);
    const flags = FLAGS[kind === 'detached' && shmem ? 'plain' : kind];
    return {
      name,
      type: random.chance(0.5) ? '' : `type of ${name}`,
      behaviour,
      arg: random.int(...arg),
      flags,
      // Parallel workers may not be restarted. And after a crash nobody has a handle to end those with which have no life that could be limited.
      restartTime: kind === 'parallel' || startTime === NEVER_STARTS || behaviour === 'noSuchFunction' ? -1 : restartTime,
      startTime: kind === 'database' && startTime === 0 ? 1 : startTime,
      notify: random.chance(0.7),
      // Whoever crashes is started again at once when the cycle is over.
      lifeMs: CRASHES.has(behaviour) ? random.int(20, 400) : random.int(500, 6000),
    };
  }
}

const CRASHES: ReadonlySet<string> = new Set(['exitsDirty', 'aborts', 'killsItself', 'segfaults']);

const FLAGS = { plain: SHMEM_ACCESS, detached: 0, database: SHMEM_ACCESS | DATABASE_CONNECTION, parallel: SHMEM_ACCESS | CLASS_PARALLEL } as const;

/** For a wait in the backend itself: one that is sure to start, and to end when asked. */
const LIVELY = { behaviour: 'idles', startTime: 2, restartTime: -1, flags: SHMEM_ACCESS, notify: true } as const;

const WHOM: readonly Whom[] = ['worker', 'worker', 'worker', 'backend', 'newest'];

/** SIGKILL and SIGQUIT of anyone with shared memory begin a crash cycle. */
const SIGNALS: readonly (readonly [number, NodeJS.Signals])[] = [
  [30, 'SIGTERM'],
  [5, 'SIGKILL'],
  [3, 'SIGQUIT'],
  [8, 'SIGINT'],
  [14, 'SIGUSR1'],
  [12, 'SIGHUP'],
  [8, 'SIGUSR2'],
  [4, 'SIGCHLD'],
  [4, 'SIGCONT'],
  [4, 'SIGURG'],
  [4, 'SIGPIPE'],
];

const FATAL_SIGNALS = ['SIGKILL', 'SIGKILL', 'SIGQUIT', 'SIGINT'] as const;

/** None of them ends it. SIGHUP reloads. */
const POSTMASTER_SIGNALS = ['SIGHUP', 'SIGHUP', 'SIGUSR1', 'SIGCHLD', 'SIGUSR2', 'SIGURG', 'SIGPIPE', 'SIGALRM'] as const;
