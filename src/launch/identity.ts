// What a fork leaves stale or shared in JavaScript, and how a child makes it its own. Prepared in the postmaster before user code is loaded,
// renewed in each child before user code runs. docs/fork-safety.md has the numbers I1 to I3.
//
//  I1  process.pid is a constant that Node wrote at start-up: the child defines its own.
//  I2  Math.random's state is copied: siblings would draw the same numbers. The postmaster puts a function of ours in its place, which the
//      child switches to a generator that V8 has not seeded yet, after giving V8 a fresh seed from the kernel.
//  I3  crypto.randomUUID and randomInt draw from caches filled before the fork. Ours go past the caches. (OpenSSL itself reseeds after a
//      fork, so randomBytes and getRandomValues are safe as they are.)

import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { setMyProcPid } from '../globals.js';
import { check, native } from '../native.js';

let random: () => number = Math.random;
let spareRandom: (() => number) | null = null;

/** Postmaster, before any user code is loaded, since code may keep a reference to what it finds. */
export function prepareIdentity(): void {
  spareRandom = runInNewContext('Math.random') as () => number;
  Math.random = () => random();
  const { randomUUID, randomBytes } = crypto;
  crypto.randomUUID = (options?: object) => randomUUID({ ...options, disableEntropyCache: true });
  // Node 24 and later; its random part comes from the same cache.
  const later = crypto as typeof crypto & { randomUUIDv7?: (options?: object) => string };
  const { randomUUIDv7 } = later;
  if (randomUUIDv7 !== undefined) later.randomUUIDv7 = (options) => randomUUIDv7({ ...options, disableEntropyCache: true });
  crypto.webcrypto.randomUUID = () => randomUUID({ disableEntropyCache: true });
  crypto.randomInt = freshRandomInt(crypto.randomInt, randomBytes) as typeof crypto.randomInt;
  syncBuiltinESMExports();
}

// Node's randomInt with its checks and errors, drawing from fresh bytes: 48 bits, rejected above the largest multiple of the range.
function freshRandomInt(original: typeof crypto.randomInt, randomBytes: typeof crypto.randomBytes) {
  const LIMIT = 2 ** 48;
  return (...args: unknown[]): number | void => {
    const callback = typeof args.at(-1) === 'function' ? (args.pop() as (err: Error | null, value?: number) => void) : null;
    const [min, max] = (args.length < 2 ? [0, args[0]] : args) as [number, number];
    const range = max - min;
    // Anything that Node would refuse, Node refuses: with its own words, before it touches its cache.
    if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || range <= 0 || range >= LIMIT) return original(min, max);
    const fair = LIMIT - (LIMIT % range);
    let value: number;
    do value = randomBytes(6).readUIntBE(0, 6);
    while (value >= fair);
    const result = min + (value % range);
    if (callback === null) return result;
    process.nextTick(callback, null, result);
  };
}

/** Child, first thing: its own pid and its own randomness. */
export function renewIdentity(): void {
  const pid = native.getPid();
  setMyProcPid(pid);
  Object.defineProperty(process, 'pid', { value: pid, enumerable: true, configurable: true });
  // V8 takes a seed as a positive 31-bit flag; 0 means "none".
  setFlagsFromString(`--random-seed=${(check(native.random32(), 'getrandom') % 0x7ffffffe) + 1}`);
  if (spareRandom !== null) random = spareRandom;
}
