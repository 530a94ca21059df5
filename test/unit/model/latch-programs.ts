// The latch protocol as programs for the model's machine: setters and owners, in C and in JavaScript. For latch-model.test.ts. Pure.
import type { Op, Program, Word } from './machine.js';

/** Which parts of the protocol are left in: each model takes away one. */
export interface Variant {
  readonly setterFence: boolean;
  readonly sleepFence: boolean;
  readonly resetFence: boolean;
  readonly publishFence: boolean;
}
export const AS_IT_IS: Variant = { setterFence: true, sleepFence: true, resetFence: true, publishFence: true };

export const when = (condition: boolean, op: Op): Op[] => (condition ? [op] : []);

/** BgwSetLatch, after storing what the latch is about. */
export function setter(work: Word, variant: Variant): Program {
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
export function wait(variant: Variant): Op[] {
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
export function owner(variant: Variant): Program {
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
export interface LoopVariant {
  readonly fence: boolean;
  readonly looks: boolean;
  readonly syncInPoll: boolean;
  readonly syncInTurn: boolean;
}

/** waitLatchSync with a time that passes: announce, look, sleep for a moment, withdraw. `at` makes its labels its own. */
export function briefWait(at: string): Op[] {
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
export function loopOwner({ fence, looks, syncInPoll, syncInTurn }: LoopVariant): Program {
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

/** setLatchWord: JavaScript sets and looks, C signals. */
export function wordSetter(work: Word): Program {
  return [
    { op: 'store', word: work, value: 1 },
    { op: 'exchange', word: 'is_set', value: 1, reg: 'r' },
    { op: 'branch', reg: 'r', equals: 1, to: 'out' },
    { op: 'load', word: 'maybe_sleeping', reg: 'r' },
    { op: 'branch', reg: 'r', equals: 0, to: 'out' },
    { op: 'kill' },
    { op: 'label', name: 'out' },
    { op: 'end' },
  ];
}

/** resetLatchWord, in place of each store and fence of a reset. */
export const withWordReset = (program: Program): Program =>
  program.flatMap((op, i): Op[] => {
    if (op.op === 'store' && op.word === 'is_set' && op.value === 0) return [{ op: 'exchange', word: 'is_set', value: 0, reg: 's' }];
    const before = program[i - 1];
    return op.op === 'fence' && before?.op === 'store' && before.word === 'is_set' ? [] : [op];
  });

/** BgwPollBeforeSleep before each announcement: looks, and announces nothing. A few looks stand for many. */
export const withPoll = (program: Program): Program =>
  program.flatMap((op, i): Op[] => {
    if (op.op !== 'store' || op.word !== 'maybe_sleeping' || op.value !== 1) return [op];
    const look = (n: number): Op[] => [
      { op: 'load', word: 'is_set', reg: 'r' },
      { op: 'branch', reg: 'r', equals: 0, to: `look-${i}-${n}` },
      // Found: as where the look after the announcement finds it, which withdraws what was never announced.
      { op: 'goto', to: program.some((other) => other.op === 'label' && other.name === 'withdraw') ? 'withdraw' : 'no-sleep' },
      { op: 'label', name: `look-${i}-${n}` },
    ];
    return [...look(0), ...look(1), op];
  });
