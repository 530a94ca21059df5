// The latch protocol of native/core/latch.c, wait_event_set.c and latch_watch.c, gone through in every interleaving: two setters and an owner that waits in
// blocking calls; one that waits in its event loop, with blocking waits in between; a latch that changes its owner; a wait for two latches at once.
import { expect, test, vi } from 'vitest';
import { type Op, type Program, type Word, explore } from './machine.js';

// A loaded machine: each takes less than a second of computing.
vi.setConfig({ testTimeout: 60_000 });

/** Which parts of the protocol are left in: each model takes away one. */
interface Variant {
  readonly setterFence: boolean;
  readonly sleepFence: boolean;
  readonly resetFence: boolean;
  readonly publishFence: boolean;
}
const AS_IT_IS: Variant = { setterFence: true, sleepFence: true, resetFence: true, publishFence: true };

const when = (condition: boolean, op: Op): Op[] => (condition ? [op] : []);

/** BgwSetLatch, after storing what the latch is about. */
function setter(work: Word, variant: Variant): Program {
  return [
    { op: 'store', word: work, value: 1 },
    ...when(variant.publishFence, { op: 'fence' }),
    { op: 'load', word: 'is_set', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 1, to: 'out' },
    { op: 'store', word: 'is_set', value: 1 },
    ...when(variant.setterFence, { op: 'fence' }),
    { op: 'load', word: 'maybe_sleeping', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 0, to: 'out' },
    { op: 'kill' },
    { op: 'label', name: 'out' },
    { op: 'end' },
  ];
}

/** BgwWaitLatch without a timeout, inlined; `done` is where it returns LATCH_SET. */
function wait(variant: Variant): Op[] {
  return [
    { op: 'load', word: 'is_set', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 1, to: 'done' },
    { op: 'label', name: 'again' },
    { op: 'store', word: 'maybe_sleeping', value: 1 },
    ...when(variant.sleepFence, { op: 'fence' }),
    { op: 'load', word: 'is_set', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 1, to: 'withdraw' },
    { op: 'sleep' },
    { op: 'store', word: 'maybe_sleeping', value: 0 },
    { op: 'load', word: 'is_set', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 0, to: 'again' },
    { op: 'goto', to: 'done' },
    { op: 'label', name: 'withdraw' },
    { op: 'store', word: 'maybe_sleeping', value: 0 },
    { op: 'label', name: 'done' },
  ];
}

/** The canonical loop: reset, look at the work, wait; until both pieces of work have been seen. */
function owner(variant: Variant): Program {
  return [
    { op: 'label', name: 'loop' },
    { op: 'store', word: 'is_set', value: 0 },
    ...when(variant.resetFence, { op: 'fence' }),
    { op: 'load', word: 'work0', reg: 'a' },
    { op: 'load', word: 'work1', reg: 'b' },
    { op: 'branch', reg: 'a', equals: 0, to: 'wait' },
    { op: 'branch', reg: 'b', equals: 1, to: 'out' },
    { op: 'label', name: 'wait' },
    ...wait(variant),
    { op: 'goto', to: 'loop' },
    { op: 'label', name: 'out' },
    { op: 'end' },
  ];
}

/** What of an owner with an event loop is left in. `looks`: before it sleeps, at the latch; `syncInPoll`, `syncInTurn`: where a blocking wait is. */
interface LoopVariant {
  readonly fence: boolean;
  readonly looks: boolean;
  readonly syncInPoll: boolean;
  readonly syncInTurn: boolean;
}

/** waitLatchSync with a time that passes: announce, look, sleep for a moment, withdraw. `at` makes its labels its own. */
function briefWait(at: string): Op[] {
  return [
    { op: 'store', word: 'maybe_sleeping', value: 1 },
    { op: 'fence' },
    { op: 'load', word: 'is_set', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 1, to: `${at}-over` },
    { op: 'drain' },
    { op: 'label', name: `${at}-over` },
    { op: 'store', word: 'maybe_sleeping', value: 0 },
  ];
}

/** The canonical loop with asynchronous waits: the event loop announces and looks (prepare), sleeps (poll), withdraws and looks (check). */
function loopOwner({ fence, looks, syncInPoll, syncInTurn }: LoopVariant): Program {
  return [
    { op: 'goto', to: 'turn' },
    { op: 'label', name: 'prepare' },
    { op: 'store', word: 'maybe_sleeping', value: 1 },
    ...when(fence, { op: 'fence' }),
    ...when(looks, { op: 'load', word: 'is_set', reg: 'r' }),
    ...when(looks, { op: 'branch', reg: 'r', equals: 1, to: 'no-sleep' }),
    { op: 'sleep' },
    ...(syncInPoll ? briefWait('poll') : []),
    { op: 'goto', to: 'check' },
    { op: 'label', name: 'no-sleep' },
    { op: 'drain' },
    { op: 'label', name: 'check' },
    { op: 'store', word: 'maybe_sleeping', value: 0 },
    { op: 'load', word: 'is_set', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 0, to: 'prepare' },
    // JavaScript: reset, look at the work, wait again; a wait that finds the latch set does not need the loop.
    { op: 'label', name: 'turn' },
    { op: 'store', word: 'is_set', value: 0 },
    { op: 'fence' },
    { op: 'load', word: 'work0', reg: 'a' },
    { op: 'load', word: 'work1', reg: 'b' },
    { op: 'branch', reg: 'a', equals: 0, to: 'await' },
    { op: 'branch', reg: 'b', equals: 1, to: 'out' },
    { op: 'label', name: 'await' },
    { op: 'load', word: 'is_set', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 1, to: 'turn' },
    ...(syncInTurn ? briefWait('turn') : []),
    { op: 'goto', to: 'prepare' },
    { op: 'label', name: 'out' },
    { op: 'end' },
  ];
}

const OWNERS = { none: 0, first: 1, second: 2 } as const;

/** Owns the latch, waits for a moment, and gives it up. Its wake-up may come late, or not at all: that is what disowning means. */
const formerOwner: Program = [...briefWait('former'), { op: 'fence' }, { op: 'store', word: 'owner', value: OWNERS.none }, { op: 'end' }];

/** Takes the latch once nobody owns it (BgwOwnLatch, a locked instruction), and goes on as any owner. */
const nextOwner: Program = [
  { op: 'label', name: 'taken' },
  { op: 'load', word: 'owner', reg: 'o' },
  { op: 'branch', reg: 'o', equals: OWNERS.first, to: 'taken' },
  { op: 'store', word: 'owner', value: OWNERS.second },
  { op: 'fence' },
  ...owner(AS_IT_IS),
];

/** As `setter`, signalling whoever owns the latch. */
const ownedSetter = (work: Word): Program =>
  setter(work, AS_IT_IS).flatMap((op): Op[] =>
    op.op === 'kill'
      ? [
          { op: 'load', word: 'owner', reg: 'o' },
          { op: 'branch', reg: 'o', equals: OWNERS.none, to: 'out' },
          { op: 'kill', reg: 'o' },
        ]
      : [op],
  );

/** An event loop with asynchronous waits for two latches, of which the second is set. `together`: all announcements, one fence, then all looks. */
function twoLatches(together: boolean): Program {
  const announce = (word: Word): Op => ({ op: 'store', word, value: 1 });
  const look = (word: Word): Op[] => [
    { op: 'load', word, reg: 'r' },
    { op: 'branch', reg: 'r', equals: 1, to: 'no-sleep' },
  ];
  const fence: Op = { op: 'fence' };
  const first = [announce('maybe_sleeping'), ...(together ? [announce('maybe_sleeping_2')] : []), fence, ...look('is_set'), ...look('is_set_2')];
  return [
    { op: 'label', name: 'prepare' },
    ...first,
    ...when(!together, announce('maybe_sleeping_2')),
    { op: 'sleep' },
    { op: 'goto', to: 'check' },
    { op: 'label', name: 'no-sleep' },
    { op: 'drain' },
    { op: 'label', name: 'check' },
    { op: 'store', word: 'maybe_sleeping', value: 0 },
    { op: 'store', word: 'maybe_sleeping_2', value: 0 },
    { op: 'load', word: 'is_set_2', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 0, to: 'prepare' },
    { op: 'end' },
  ];
}

const SECOND: Partial<Record<Word, Word>> = { is_set: 'is_set_2', maybe_sleeping: 'maybe_sleeping_2' };
/** A setter of the second latch. */
const secondSetter: Program = setter('work1', AS_IT_IS).map((op) => ('word' in op ? { ...op, word: SECOND[op.word] ?? op.word } : op));

const system = (variant: Variant): readonly Program[] => [owner(variant), setter('work0', variant), setter('work1', variant)];

test('two setters and one owner: no interleaving loses a wake-up', () => {
  const { states, stuck, trace } = explore(system(AS_IT_IS));
  expect(trace).toEqual([]);
  expect(stuck).toBe(0);
  expect(states).toBeGreaterThan(1_000);
});

// Each of the four fences alone is missed by somebody. That the model finds these shows that it would find them in the protocol as it is.
test.each([
  ['the second fence of SetLatch', { ...AS_IT_IS, setterFence: false }],
  ['the fence before the sleep', { ...AS_IT_IS, sleepFence: false }],
  ['the fence of ResetLatch', { ...AS_IT_IS, resetFence: false }],
  ['the first fence of SetLatch', { ...AS_IT_IS, publishFence: false }],
])('without %s a wake-up is lost', (_, variant) => {
  const { stuck, trace } = explore(system(variant));
  expect(stuck).toBeGreaterThan(0);
  expect(trace.length).toBeGreaterThan(0);
});

const loopSystem = (variant: LoopVariant): readonly Program[] => [loopOwner(variant), setter('work0', AS_IT_IS), setter('work1', AS_IT_IS)];
const LOOP: LoopVariant = { fence: true, looks: true, syncInPoll: false, syncInTurn: false };

test.each([
  ['alone', LOOP],
  ['with a blocking wait inside of the poll', { ...LOOP, syncInPoll: true }],
  ['with a blocking wait in a turn', { ...LOOP, syncInTurn: true }],
  ['with both', { ...LOOP, syncInPoll: true, syncInTurn: true }],
])('an event loop %s: no interleaving loses a wake-up', (_, variant) => {
  const { states, stuck, trace } = explore(loopSystem(variant));
  expect(trace).toEqual([]);
  expect(stuck).toBe(0);
  expect(states).toBeGreaterThan(1_000);
});

test.each([
  ['a fence between announcement and look', { ...LOOP, fence: false }],
  ['a look before it sleeps', { ...LOOP, looks: false }],
  ['a look before it sleeps, where a blocking wait takes the signal', { ...LOOP, looks: false, syncInTurn: true }],
])('an event loop without %s loses a wake-up', (_, variant) => {
  expect(explore(loopSystem(variant)).stuck).toBeGreaterThan(0);
});

test('a latch that changes its owner: the next one misses nothing', () => {
  const { stuck, trace } = explore([formerOwner, nextOwner, ownedSetter('work0')], { owner: OWNERS.first, work1: 1 });
  expect(trace).toEqual([]);
  expect(stuck).toBe(0);
});

test('asynchronous waits for two latches: one fence serves both, a late announcement loses one', () => {
  expect(explore([twoLatches(true), secondSetter]).trace).toEqual([]);
  expect(explore([twoLatches(false), secondSetter]).stuck).toBeGreaterThan(0);
});
