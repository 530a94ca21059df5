// Random bytes in a process that is forked: ids that Node draws from caches, and pools that libraries fill. Prepared in the postmaster before user code is
// loaded. PostgreSQL: none; pg_strong_random has no cache. docs/fork-safety.md, I3 and I5.
//
//  I3  crypto.randomUUID and randomInt draw from caches filled before the fork. Ours go past the caches. (OpenSSL itself reseeds after a fork, so
//      randomBytes, getRandomValues and generateKey are right as they are.)
//  I5  A library that fetches bytes in advance, to make ids of them later (nanoid, uuid), hands out the same ones in all siblings, where it has begun before
//      the fork. The pool is its own, and to fill it again could change a secret that is meant to be shared; so large draws are counted, for the audit of
//      preloading to tell whose they are.

import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

/** No key or nonce is larger; pools are (uuid: 256, nanoid: 2,688 bytes). */
const LARGEST_SECRET = 64;

let pools: number[] = [];

/** The sizes of the large draws since the last call. */
export function takePools(): readonly number[] {
  const taken = pools;
  pools = [];
  return taken;
}

/** Children draw as they like. */
export function forgetPools(): void {
  counting = false;
  pools = [];
}

let counting = true;

function noteDraw(size: unknown): void {
  if (counting && typeof size === 'number' && size > LARGEST_SECRET) pools.push(size);
}

type Draw = (...args: unknown[]) => unknown;

const sizeOf = (view: unknown): unknown => (view as ArrayBufferView | null | undefined)?.byteLength;

/** Node's functions that fill what a caller keeps, with a look at the size: the argument itself, or its bytes. */
function watchDraws(): void {
  const watched = (owner: object, name: string, size: (first: unknown) => unknown): void => {
    const functions = owner as Record<string, Draw>;
    const original = functions[name] as Draw;
    const { [name]: wrapper } = {
      [name](this: unknown, ...args: unknown[]): unknown {
        noteDraw(size(args[0]));
        return original.apply(this, args);
      },
    };
    Object.defineProperty(functions, name, { ...Object.getOwnPropertyDescriptor(functions, name), value: wrapper });
  };
  watched(crypto, 'randomBytes', (size) => size);
  watched(crypto, 'randomFill', sizeOf);
  watched(crypto, 'randomFillSync', sizeOf);
  // crypto.getRandomValues reads this one.
  watched(Object.getPrototypeOf(crypto.webcrypto) as object, 'getRandomValues', sizeOf);
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

/** Postmaster, before any user code is loaded, since code may keep a reference to what it finds. */
export function prepareEntropy(): void {
  const { randomUUID, randomBytes, randomInt } = crypto;
  crypto.randomUUID = (options?: object) => randomUUID({ ...options, disableEntropyCache: true });
  // Node 24 and later; its random part comes from the same cache.
  const later = crypto as typeof crypto & { randomUUIDv7?: (options?: object) => string };
  const { randomUUIDv7 } = later;
  if (randomUUIDv7 !== undefined) later.randomUUIDv7 = (options) => randomUUIDv7({ ...options, disableEntropyCache: true });
  crypto.webcrypto.randomUUID = () => randomUUID({ disableEntropyCache: true });
  crypto.randomInt = freshRandomInt(randomInt, randomBytes) as typeof crypto.randomInt;
  watchDraws();
  syncBuiltinESMExports();
}
