// What the workers of the chaos run do, as the schedule draws it and as the audit of the log judges it. Pure. The functions are in library.ts.

export interface Behaviour {
  /** How often it is drawn. */
  readonly weight: number;
  /** Bounds of `mainArg`: milliseconds mostly, an exit status for those that exit. */
  readonly arg: readonly [low: number, high: number];
  /** Exit statuses that it brings about by itself. 1 for errors; `argument`: its argument. */
  readonly exits: readonly number[] | 'argument';
  /** Signals that it dies of by itself. */
  readonly signals?: readonly number[];
  /** It registers workers, or waits for such, so it needs BGWORKER_SHMEM_ACCESS. */
  readonly shmem?: boolean;
  /** It connects to a database server, so it is drawn where there is one, and may fail with 1 when that one has been hurt. */
  readonly database?: boolean;
}

const SIGABRT = 6;
const SIGSEGV = 11;
const SIGKILL = 9;

/** All ends are within reach: whoever resists SIGTERM does so for as long as its argument says. */
export const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  // Stay for a while.
  idles: { weight: 14, arg: [200, 15_000], exits: [0] },
  waitsSync: { weight: 8, arg: [200, 10_000], exits: [0] },
  sleepsBlocked: { weight: 3, arg: [50, 2500], exits: [0] },
  blocksAgain: { weight: 4, arg: [50, 2500], exits: [0] },
  busy: { weight: 3, arg: [50, 1500], exits: [0] },
  busyBlocked: { weight: 2, arg: [50, 800], exits: [0] },
  ignoresTerm: { weight: 3, arg: [50, 2500], exits: [0] },
  polite: { weight: 5, arg: [200, 8000], exits: [0] },
  timers: { weight: 4, arg: [50, 3000], exits: [0] },
  pool: { weight: 4, arg: [1, 12], exits: [0] },
  mixesWaits: { weight: 4, arg: [100, 4000], exits: [0] },
  // Ask a database server.
  queries: { weight: 12, arg: [50, 3000], exits: [0], database: true },
  // End.
  returns: { weight: 6, arg: [0, 0], exits: [0] },
  procExits: { weight: 6, arg: [0, 1], exits: 'argument' },
  processExits: { weight: 4, arg: [0, 1], exits: 'argument' },
  callsBack: { weight: 4, arg: [0, 1], exits: 'argument' },
  throws: { weight: 4, arg: [0, 0], exits: [1] },
  rejects: { weight: 4, arg: [0, 50], exits: [1] },
  throwsLater: { weight: 3, arg: [0, 300], exits: [1] },
  rejectsUnhandled: { weight: 3, arg: [0, 0], exits: [1] },
  reportsFatal: { weight: 3, arg: [0, 0], exits: [1] },
  neverSettles: { weight: 2, arg: [0, 0], exits: [1] },
  noSuchFunction: { weight: 2, arg: [0, 0], exits: [1] },
  // Register others.
  parent: { weight: 5, arg: [0, 3], exits: [0], shmem: true },
  parentSync: { weight: 3, arg: [0, 3], exits: [0], shmem: true },
  // Crash: a cycle each, where they have shared memory.
  exitsDirty: { weight: 0.5, arg: [2, 9], exits: 'argument' },
  aborts: { weight: 0.3, arg: [0, 0], exits: [], signals: [SIGABRT] },
  killsItself: { weight: 0.3, arg: [0, 0], exits: [], signals: [SIGKILL] },
  segfaults: { weight: 0.3, arg: [0, 0], exits: [], signals: [SIGSEGV] },
};

/** What the postmaster starts by itself; they stay. */
export const STATIC_WORKERS: readonly { readonly name: string; readonly flags: number; readonly restartTime: number }[] = [
  { name: 'static one', flags: 1, restartTime: 1 },
  { name: 'static two', flags: 0, restartTime: 0 },
];

/** A start time that is accepted and never comes. */
export const NEVER_STARTS = 9;

/** In the data directory, where workers are: with this file there everybody who starts returns. */
export const FINISH_FILE = 'finish';

/** The end of a life, in milliseconds of the steady clock, is all that `extra` holds. */
export const extraOf = (endOfLife: number): string => String(Math.round(endOfLife));
