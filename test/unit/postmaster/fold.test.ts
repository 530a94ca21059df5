// Lines that repeat: src/postmaster/fold.ts.
import { describe, expect, test } from 'vitest';
import { step, type GuardSettings, type WorkerDescriptor } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, World } from './world.js';

const GUARD: GuardSettings = { workerRestartBackoffMax: 0, workerGiveUpAfter: 0, crashCycleBackoffMax: 0, crashGiveUpAfter: 0, logFoldRepeats: true };
const folding = (...workers: WorkerDescriptor[]): World => World.running({ guard: GUARD, workers });
const lines = (trace: readonly string[]): string[] => trace.filter((line) => /^(LOG|DEBUG)/.test(line));
/** Its worker dies and is back at once. */
const flap = (world: World, name: string, code = 1): string[] => lines(world.exit(world.worker(name).pid, EXIT(code)));

const w = descriptor('w', { restartTime: 0, flags: 0 });
const v = descriptor('v', { restartTime: 0, flags: 0 });

describe('log_fold_repeats', () => {
  test('off: every line is written', () => {
    const world = World.running({ workers: [w] });
    flap(world, 'w');
    expect(flap(world, 'w')).toEqual(['LOG background worker "w" (PID 102) exited with exit code 1', 'DEBUG starting background worker process "w"']);
    expect(world.deadline).toBeNull();
  });

  test('the first line is written, its repetitions and the restarts are counted for ten seconds', () => {
    const world = folding(w);
    expect(flap(world, 'w')).toEqual(['LOG background worker "w" (PID 101) exited with exit code 1']);
    expect(world.deadline, 'nothing has been kept back').toBeNull();
    for (let n = 0; n < 4; n++) expect(flap(world, 'w')).toEqual([]);
    expect(world.deadline).toBe(11_000);
    expect(world.timeout(10_999)).toEqual([]);
    const { actions } = step(world.state, { type: 'timeout', now: 11_000 });
    expect(actions).toEqual([
      {
        type: 'log',
        level: 15,
        message: 'last message repeated 4 times',
        detail: 'The last one was: background worker "w" (PID 105) exited with exit code 1.',
      },
    ]);
    world.timeout(11_000);
    expect(world.deadline).toBeNull();
    expect(flap(world, 'w')).toEqual(['LOG background worker "w" (PID 106) exited with exit code 1']);
  });

  test('another status is another line', () => {
    const world = folding(w);
    flap(world, 'w');
    flap(world, 'w');
    expect(flap(world, 'w', 3)).toEqual(['LOG last message repeated 1 times', 'LOG background worker "w" (PID 103) exited with exit code 3']);
    expect(flap(world, 'w', 3)).toEqual([]);
  });

  test('two workers that fail in turns do not unfold each other', () => {
    const world = folding(v, w);
    expect([flap(world, 'v'), flap(world, 'w')].flat()).toHaveLength(2);
    for (let n = 0; n < 3; n++) expect([flap(world, 'v'), flap(world, 'w')]).toEqual([[], []]);
    expect(lines(world.timeout(11_000))).toEqual(['LOG last message repeated 3 times', 'LOG last message repeated 3 times']);
  });

  test('forks that fail are folded, too', () => {
    const world = folding({ ...w, restartTime: 1 });
    world.forkOutcomes = ['no memory', 'no memory', 'no memory'];
    world.exit(101, EXIT(0));
    world.register({ ...w, restartTime: 1 });
    const seen: string[] = [];
    while (world.worker('w').pid === 0) seen.push(...lines(world.timeout(Math.max(world.now, world.deadline!))));
    expect(seen).toEqual([]);
    expect(lines(world.timeout(11_000))).toEqual(['LOG last message repeated 2 times']);
  });

  test('any other line of the postmaster’s comes after the count: a shutdown, whose own lines are not folded', () => {
    const world = folding(w);
    flap(world, 'w');
    flap(world, 'w');
    expect(lines(world.tell({ type: 'shutdown', mode: 'fast' }))).toEqual([
      'LOG last message repeated 1 times',
      'LOG received fast shutdown request',
      'LOG aborting any active transactions',
    ]);
    expect(lines(world.exit(world.worker('w').pid, EXIT(1)))).toEqual([
      'LOG background worker "w" (PID 103) exited with exit code 1',
      'LOG database system is shut down',
    ]);
  });

  test('a line that only DEBUG shows leaves the count alone', () => {
    const world = folding(w);
    flap(world, 'w');
    flap(world, 'w');
    expect(lines(world.connect())).toEqual(['DEBUG forked new backend, pid=104 socket=1']);
  });

  test('a worker that is unregistered leaves nothing behind', () => {
    const world = folding(w);
    flap(world, 'w');
    flap(world, 'w');
    world.terminate(0);
    expect(lines(world.exit(103, EXIT(1)))).toEqual([
      'LOG last message repeated 1 times',
      'DEBUG unregistering background worker "w"',
      'LOG background worker "w" (PID 103) exited with exit code 1',
    ]);
    expect(world.state.folds).toEqual([]);
    expect(world.deadline).toBeNull();
  });
});
