// The latch protocol of native/core/latch.c, wait_event_set.c and latch_watch.c, and of src/ipc/latch-word.ts, gone through in every interleaving: two setters and an owner that waits in
// blocking calls; one that waits in its event loop, with blocking waits in between; a latch that changes its owner; a wait for two latches at once.
import { expect, test, vi } from 'vitest';
import {
  AS_IT_IS,
  type LoopVariant,
  type Variant,
  briefWait,
  loopOwner,
  owner,
  setter,
  wait,
  when,
  withPoll,
  withWordReset,
  wordSetter,
} from './latch-programs.js';
import { type Op, type Program, type Word, explore } from './machine.js';

// A loaded machine: each takes less than a second of computing.
vi.setConfig({ testTimeout: 60_000 });

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

test('L-05, L-06, L-32: two setters and one owner: no interleaving loses a wake-up', () => {
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

/** Looks at the work between the wait and the reset, and not after it. */
const earlyLook: Program = [
  { op: 'label', name: 'loop' },
  ...wait(AS_IT_IS),
  { op: 'load', word: 'work0', reg: 'a' },
  { op: 'load', word: 'work1', reg: 'b' },
  { op: 'branch', reg: 'a', equals: 0, to: 'reset' },
  { op: 'branch', reg: 'b', equals: 1, to: 'out' },
  { op: 'label', name: 'reset' },
  { op: 'store', word: 'is_set', value: 0 },
  { op: 'fence' },
  { op: 'goto', to: 'loop' },
  { op: 'label', name: 'out' },
  { op: 'end' },
];

test('L-20: who looks between wait and reset, and not after it, loses a wake-up', () => {
  expect(explore([earlyLook, setter('work0', AS_IT_IS), setter('work1', AS_IT_IS)]).stuck).toBeGreaterThan(0);
});

test('L-21: who sets the latch first and publishes then loses a wake-up', () => {
  const [publish, ...set] = setter('work0', AS_IT_IS);
  const late = set.flatMap((op): Op[] => (op.op === 'end' ? [publish as Op, op] : [op]));
  expect(explore([owner(AS_IT_IS), late, setter('work1', AS_IT_IS)]).stuck).toBeGreaterThan(0);
});

const C_OR_JAVASCRIPT: readonly { readonly what: string; readonly programs: readonly Program[] }[] = [
  { what: 'JavaScript that sets and resets', programs: [withWordReset(owner(AS_IT_IS)), wordSetter('work0'), wordSetter('work1')] },
  { what: 'one setter in C and one in JavaScript', programs: [owner(AS_IT_IS), setter('work0', AS_IT_IS), wordSetter('work1')] },
  { what: 'an owner that polls before it sleeps', programs: [withPoll(owner(AS_IT_IS)), setter('work0', AS_IT_IS), wordSetter('work1')] },
  {
    what: 'an event loop that polls, and JavaScript that sets and resets',
    programs: [
      withPoll(withWordReset(loopOwner({ fence: true, looks: true, syncInPoll: false, syncInTurn: false }))),
      wordSetter('work0'),
      wordSetter('work1'),
    ],
  },
];

test.each(C_OR_JAVASCRIPT)('$what: no interleaving loses a wake-up', ({ programs }) => {
  const { states, stuck, trace } = explore(programs);
  expect(trace).toEqual([]);
  expect(stuck).toBe(0);
  expect(states).toBeGreaterThan(1_000);
});

test('L-32: a poll in place of the look after the announcement loses a wake-up', () => {
  const blind = withPoll(loopOwner({ fence: true, looks: false, syncInPoll: false, syncInTurn: false }));
  expect(explore([blind, wordSetter('work0'), wordSetter('work1')]).stuck).toBeGreaterThan(0);
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
