// What must hold of the guard and of folded lines, whatever a worker does. That the guard keeps the world's invariants is in properties.test.ts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GuardSettings } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const OFF: GuardSettings = { workerRestartBackoffMax: 0, workerGiveUpAfter: 0, crashCycleBackoffMax: 0, crashGiveUpAfter: 0, logFoldRepeats: false };
const params = { numRuns: 400 };

describe('random lives', () => {
  test('with the guard on no worker starts before its delay is over, none beyond its limit lives, and every delay has its deadline', () => {
    const lives = fc.array(fc.record({ ms: fc.constantFrom(0, 10, 59_999, 60_000, 100_000), status: fc.constantFrom(EXIT(1), SIGNAL(9)) }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        fc.constantFrom(0, 1, 7, 60),
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 9 }),
        lives,
        (restartTime, max, limit, list) => {
          const guard = { ...OFF, workerRestartBackoffMax: max, workerGiveUpAfter: limit };
          const world = World.running({ guard, workers: [descriptor('w', { restartTime })] });
          let failures = 0;
          for (const { ms, status } of list) {
            world.now += ms;
            failures = ms >= 60_000 ? 1 : failures + 1;
            world.exit(world.worker('w').pid, status);
            if (failures >= limit) {
              expect(world.names()).toEqual([]);
              return;
            }
            const delay = Math.max(restartTime, Math.min(max, Math.max(1, restartTime) * 2 ** (failures - 1)));
            expect(world.worker('w').pid).toBe(0);
            expect(world.deadline).toBe(world.now + delay * 1000);
            world.timeout(world.now + delay * 1000 - 1);
            expect(world.worker('w').pid).toBe(0);
            world.timeout(world.now + 1);
            expect(world.worker('w').pid).not.toBe(0);
          }
        },
      ),
      params,
    );
  });

  test('no exit is lost by folding: written and counted make up what happened', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ ms: fc.nat(4000), code: fc.constantFrom(1, 1, 1, 3) }), { maxLength: 40 }), (list) => {
        const worker = descriptor('w', { restartTime: 0, flags: 0 });
        const world = World.running({ guard: { ...OFF, logFoldRepeats: true }, workers: [worker] });
        const log: string[] = [];
        for (const { ms, code } of list) {
          while (world.deadline !== null && world.deadline <= world.now + ms) log.push(...world.timeout(world.deadline));
          world.now += ms;
          log.push(...world.exit(world.worker('w').pid, EXIT(code)));
        }
        log.push(...world.tell({ type: 'shutdown', mode: 'immediate' }));
        const counted = log.map((line) => Number(/^LOG last message repeated (\d+) times$/.exec(line)?.[1] ?? 0));
        const written = log.filter((line) => line.includes('exited with exit code'));
        expect(written.length + counted.reduce((sum, n) => sum + n, 0)).toBe(list.length);
      }),
      params,
    );
  });
});
