// When the postmaster may fork, and whom: written down anew from the contract (3.2, S-20, S-24, 5.1, T-03) and from docs/database.md, so that the machine's own
// tables are on trial in every test that forks, and judge nothing.

import { expect } from 'vitest';
import type { ForkTarget, PMState, PostmasterState, ShutdownMode, WorkerDescriptor } from '../../../src/postmaster/state.js';

const DATABASE_CONNECTION = 0x0002;

/** 3.2: PostmasterStart 0, ConsistentState 1, RecoveryFinished 2. */
const LETS_START: Record<PMState, readonly number[]> = {
  PM_INIT: [0],
  PM_STARTUP: [0],
  PM_RECOVERY: [0],
  PM_HOT_STANDBY: [0, 1],
  PM_RUN: [0, 1, 2],
  PM_STOP_BACKENDS: [],
  PM_WAIT_BACKENDS: [],
  PM_SHUTDOWN: [],
  PM_WAIT_DEAD_END: [],
  PM_NO_CHILDREN: [],
};

/** Who connects waits, too, while the database server is away; and for its promotion, if the end of recovery was asked for. */
export function isGated({ pmState, server }: PostmasterState, { flags, startTime }: WorkerDescriptor): boolean {
  if (!LETS_START[pmState].includes(startTime)) return true;
  if ((flags & DATABASE_CONNECTION) === 0) return false;
  return server === 'away' || server === 'closed' || (server === 'standby' && startTime === 2);
}

/** What the machine was told, and who lives: nothing of it is its own account. */
export interface Known {
  readonly state: PostmasterState;
  readonly alive: ReadonlyMap<number, ForkTarget>;
  /** The most severe shutdown that was asked for. */
  readonly asked: ShutdownMode | null;
}

/** Fails where this fork must not be. */
export function expectForkAllowed(target: ForkTarget, { state, alive, asked }: Known): void {
  const living = (kind: ForkTarget['kind']): number => [...alive.values()].filter((other) => other.kind === kind).length;
  expect(['fast', 'immediate'], 'nobody is forked after a fast or an immediate request').not.toContain(asked);
  if (target.kind === 'startup') {
    expect(state.pmState, 'the startup process is forked in PM_STARTUP').toBe('PM_STARTUP');
    expect(living('startup'), 'there is one startup process').toBe(0);
    expect(state.settings.hasDatabase, 'without a database there is nothing to watch').toBe(true);
    expect(asked, 'nothing is recovered on the way out').toBeNull();
    return;
  }
  expect(state.fatalError, 'no fork in a crash cycle').toBe(false);
  if (target.kind === 'backend') {
    expect(['PM_RUN', 'PM_HOT_STANDBY'], 'sessions are let in when the server is open').toContain(state.pmState);
    expect(asked, 'no new session once a shutdown was asked for').toBeNull();
    expect(living('backend'), 'no more sessions than max_connections').toBeLessThan(state.settings.maxConnections);
    return;
  }
  const worker = state.workers.find((each) => each.id === target.id);
  expect(worker, 'only a registered worker is forked').toBeDefined();
  if (worker === undefined) return;
  const runs = [...alive.values()].some((other) => other.kind === 'bgworker' && other.id === target.id);
  expect(worker.pid !== 0 || runs, 'a running worker is not forked').toBe(false);
  expect(worker.terminate, 'a terminated worker is not forked').toBe(false);
  expect(isGated(state, worker.descriptor), 'its gates are open').toBe(false);
}
