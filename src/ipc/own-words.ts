// Words that C and JavaScript share inside of one process: what is looked at so often that a call into C would cost more than the look. Any process.
// native/core/own_words.h says who writes what, and has the same numbers.

import { native } from '../native.js';

const buffer = native.ownWords();
const words = new Int32Array(buffer);
const doubles = new Float64Array(buffer);

const WORD = { recorded: 0, deathSeen: 1, lookForDeath: 2, lingers: 3, waitEventInfo: 4 } as const;
/** In doubles. */
const LINGERER = 3;

/** Were signals recorded that nobody has acted on? */
export const signalsRecorded = (): boolean => Atomics.load(words, WORD.recorded) !== 0;

/** Has a wait seen the postmaster's death? */
export const postmasterDeathSeen = (): boolean => Atomics.load(words, WORD.deathSeen) !== 0;

/** May the postmaster be dead, for all that the kernel has said? */
export const postmasterMayBeDead = (): boolean => Atomics.load(words, WORD.lookForDeath) !== 0;

/** The asynchronous wait that ended last and is still registered: the name of its latch, or null. */
export const lingeringWait = (): number | null => (words[WORD.lingers] === 1 ? (doubles[LINGERER] as number) : null);

export function setLingeringWait(latch: number | null): void {
  if (latch !== null) doubles[LINGERER] = latch;
  words[WORD.lingers] = latch === null ? 0 : 1;
}

/** What this process waits for from here on, when its event loop sleeps; 0: nothing that has a name. */
export function setWaitEventInfo(info: number): void {
  words[WORD.waitEventInfo] = info;
}

/** The same for the length of a blocking wait in C. */
export function whileWaitingFor(info: number, wait: () => number): number {
  const before = words[WORD.waitEventInfo] as number;
  words[WORD.waitEventInfo] = info;
  const result = wait();
  words[WORD.waitEventInfo] = before;
  return result;
}
