// The protocol of LWLocks (native/core/lwlock_queue.c, lwlock.c), gone through in every interleaving of its atomic steps: writers, readers, one who is
// terminated in the queue, one who only waits until the lock is free, one who waits for a word.
import { expect, test, vi } from 'vitest';
import { type Op, type Variant, explore } from './lwlock-machine.js';

// A loaded machine: each takes a second or two of computing.
vi.setConfig({ testTimeout: 120_000 });

const take = (mode: Op['mode'], kind: Op['kind'] = 'acquire'): Op => ({ kind, mode });
const W = take('exclusive');
const R = take('shared');
const OR_WAIT = take('exclusive', 'or wait');
const VAR = take('exclusive', 'var');
const UPDATE = take('exclusive', 'update');
const LEAVES = take('exclusive', 'steps');
const LEAVES_SHARED = take('shared', 'steps');

const SYSTEMS: readonly (readonly [string, readonly (readonly Op[])[]])[] = [
  ['three writers', [[W], [W], [W]]],
  [
    'two writers, each twice',
    [
      [W, W],
      [W, W],
    ],
  ],
  ['a writer and two readers', [[W], [R], [R]]],
  [
    'readers and writers in turns',
    [
      [W, R],
      [R, W],
    ],
  ],
  ['a waiter that is terminated, a writer, another', [[LEAVES], [W], [W]]],
  ['a reader that is terminated among writers', [[LEAVES_SHARED], [W], [R]]],
  ['one who waits until it is free', [[OR_WAIT], [W], [W]]],
  ['two who wait until it is free', [[OR_WAIT], [OR_WAIT], [W]]],
  ['one who waits until it is free, and readers', [[OR_WAIT, OR_WAIT], [R], [W]]],
  ['one who waits for a word', [[VAR], [UPDATE], [W]]],
  ['two who wait for a word', [[VAR], [VAR], [UPDATE]]],
  ['one who waits for a word, and one until it is free', [[VAR], [OR_WAIT], [UPDATE]]],
];

test.each(SYSTEMS)('%s: nobody meets, nobody is forgotten', (_, programs) => {
  const { states, stuck, met } = explore(programs);
  expect({ stuck, met }).toEqual({ stuck: 0, met: 0 });
  expect(states).toBeGreaterThan(100);
});

// That the model finds each of these shows that it would find them in the protocol as it is.
test.each<[string, Variant, string]>([
  ['sleeps without another try', { noSecondTry: true }, 'three writers'],
  ['sets the flag of a wake-up after it has marked somebody', { wakingLate: true }, 'three writers'],
  ['leaves the flag of its wake-up', { wakingStays: true }, 'three writers'],
  ['does not pass a wake-up on when it leaves', { leavesQuietly: true }, 'a waiter that is terminated, a writer, another'],
  ['refuses who stands in the queue, though nobody will come by', { queuedTryRefused: true }, 'three writers'],
  ['believes that who waits until it is free comes for it', { untilFreeCounts: true }, 'one who waits until it is free'],
  ['sleeps without another look at the word', { noSecondLook: true }, 'one who waits for a word'],
  ['takes the lock without comparing', { tornSwap: true }, 'two writers, each twice'],
])('a protocol that %s is found wrong', (_, variant, system) => {
  const { stuck, met } = explore(SYSTEMS.find(([name]) => name === system)?.[1] ?? [], variant);
  expect(stuck + met).toBeGreaterThan(0);
});
