// Math.random in a process that is forked: a generator of our own, put in V8's place before user code is loaded, in every context. Postmaster and children.
// PostgreSQL: InitProcessGlobals in src/backend/postmaster/postmaster.c, which seeds each child's generator anew. docs/fork-safety.md, I2.
//
// V8 keeps the state of Math.random with each context, where nobody can reach it, and a fork copies it: siblings draw the same numbers. What V8 offers is a
// flag, `--random-seed`. It was tried: 32 bits are too few (of 10,000 siblings two would share a seed in one run of a hundred), and every context and thread
// that comes later in the same process would begin with it. So the state is ours: 128 bits from the kernel in each process.
//
// The generator is xoshiro128** (Blackman and Vigna, 2018), as good as V8's xorshift128+. Neither is for secrets.

import { syncBuiltinESMExports } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import vm from 'node:vm';

import { check, native } from '../native.js';

let s0 = 0;
let s1 = 0;
let s2 = 0;
let s3 = 1;

const rotl = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

function next(): number {
  const result = Math.imul(rotl(Math.imul(s1, 5), 7), 9);
  const t = s1 << 9;
  s2 ^= s0;
  s3 ^= s1;
  s1 ^= s2;
  s0 ^= s3;
  s2 ^= t;
  s3 = rotl(s3, 11);
  return result;
}

/** 53 bits, as V8's newer releases have it: every double that is a multiple of 2^-53 in [0, 1). */
function draw(): number {
  const high = next() >>> 5;
  return (high * 0x4000000 + (next() >>> 6)) / 0x20000000000000;
}

/** Postmaster, and child first thing: numbers of its own. */
export function seedMathRandom(): void {
  const word = (): number => check(native.random32(), 'getrandom') | 0;
  do [s0, s1, s2, s3] = [word(), word(), word(), word()];
  while ((s0 | s1 | s2 | s3) === 0); // the one state that it never leaves
}

const ours = new WeakSet<object>();

/** Runs in the context that it is for, so that the function is one of that context's. A sandbox may have a Math of ours already, or one that is frozen. */
const INSTALL = new vm.Script(
  `(draw, ours) => {
    try {
      if (ours.has(Math.random)) return;
      const { random } = { random() { return draw(); } };
      Math.random = random;
      ours.add(random);
    } catch {}
  }`,
  { filename: 'bgworker:math-random' },
);

function install<T extends object>(context: T): T {
  (INSTALL.runInContext(context) as (generator: () => number, known: WeakSet<object>) => void)(draw, ours);
  return context;
}

type Options = Record<string, unknown>;

/** What the `runInNewContext`s call the options of a context, and what `createContext` calls them. */
const CONTEXT_OPTIONS: Readonly<Record<string, string>> = {
  contextName: 'name',
  contextOrigin: 'origin',
  contextCodeGeneration: 'codeGeneration',
  microtaskMode: 'microtaskMode',
};

function contextOptions(options: unknown): vm.CreateContextOptions {
  if (typeof options !== 'object' || options === null) return {};
  const given = Object.entries(CONTEXT_OPTIONS).filter(([name]) => (options as Options)[name] !== undefined);
  return Object.fromEntries(given.map(([name, as]) => [as, (options as Options)[name]]));
}

/** node:vm's three ways to a context. A context that exists already is run in as it is. */
function watchContexts(): void {
  const { createContext, runInNewContext } = vm;
  const scriptRun = Reflect.get(vm.Script.prototype, 'runInNewContext') as (this: vm.Script, ...args: unknown[]) => unknown;
  const isContext = (object: unknown): object is vm.Context => typeof object === 'object' && object !== null && vm.isContext(object);
  const create = (object?: vm.Context | number, options?: vm.CreateContextOptions): vm.Context =>
    isContext(object) ? object : install(createContext(object, options));
  vm.createContext = create;
  vm.runInNewContext = (code, object, options) => runInNewContext(code, create(object, contextOptions(options)), options) as unknown;
  vm.Script.prototype.runInNewContext = function (this: vm.Script, object, options) {
    return scriptRun.call(this, create(object, contextOptions(options)), options);
  };
}

/** Postmaster, before any user code is loaded, since code may keep a reference to what it finds. */
export function prepareMathRandom(): void {
  setFlagsFromString('--random-seed=0'); // whoever gave another would have all threads of all children draw the same
  seedMathRandom();
  const methods = { random: (): number => draw() }; // named, and no constructor, as V8's
  Math.random = methods.random;
  ours.add(methods.random);
  watchContexts();
  syncBuiltinESMExports();
}
