// What a worker of the soak does before it ends: whatever makes V8 collect, compile or start threads in a forked child. Each job throws where its result is
// wrong. Runs in workers.

import { pbkdf2 } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import vm from 'node:vm';
import { Worker } from 'node:worker_threads';

type Job = () => void | Promise<void>;

// (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
// prettier-ignore
const WASM = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11,
]);

interface Instance {
  readonly exports: { add(a: number, b: number): number };
}
/** As much as is used; the types that come with Node have none. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => Instance;
  instantiate(bytes: Uint8Array): Promise<{ instance: Instance }>;
};

function expectEqual(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, where ${String(expected)} was expected`);
}

/** Objects of which a part stays for a while: scavenges, promotions, and now and then a collection of all. */
export function allocate(objects: number, kept: number): number {
  let ring: object[] = [];
  let sum = 0;
  for (let n = 0; n < objects; n++) {
    ring.push({ n, text: `object ${n}`, list: [n, n + 1] });
    if (ring.length >= kept) {
      sum += ring.length;
      ring = ring.slice(kept / 2);
    }
  }
  return sum;
}

type Collect = (options?: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return vm.runInNewContext('gc') as Collect;
}

function collect(): void {
  allocate(5_000, 1_000);
  collector()();
}

/** Code that is new each time, first interpreted, then optimised while it runs. */
function compile(): void {
  let sum = 0;
  for (let n = 0; n < 50; n++) {
    // oxlint-disable-next-line typescript/no-implied-eval -- to compile is what it is for
    const make = new Function('x', `let s = 0; for (let i = 0; i < 50; i++) s = (s + x * ${n} + i) % 1000003; return s;`) as (x: number) => number;
    for (let round = 0; round < 10; round++) sum = (sum + make(round)) % 1_000_003;
  }
  const hot = vm.runInThisContext('(n) => { let s = 0; for (let i = 0; i < n; i++) s = (s + i * 7) % 1000003; return s; }') as (n: number) => number;
  expectEqual('a loop that is optimised while it runs', hot(200_000), hot(200_000));
  expectEqual('a regular expression', /^(?:a+|b(?=c))+$/.test('aabaa'), false);
  if (sum < 0) throw new Error('a remainder is negative');
}

async function wasm(): Promise<void> {
  expectEqual('wasm, at once', new WebAssembly.Instance(new WebAssembly.Module(WASM)).exports.add(40, 2), 42);
  expectEqual('wasm, asynchronous', (await WebAssembly.instantiate(WASM)).instance.exports.add(1, 2), 3);
}

async function loop(): Promise<void> {
  const key = new Promise<Buffer>((resolve, reject) =>
    pbkdf2('secret', 'salt', 10, 32, 'sha256', (err, bytes) => (err === null ? resolve(bytes) : reject(err))),
  );
  const [bytes, text] = await Promise.all([key, readFile('/proc/self/stat', 'latin1'), delay(1)]);
  expectEqual('a key', bytes.length, 32);
  expectEqual('whom /proc/self means', Number.parseInt(text, 10), process.pid);
}

async function modules(): Promise<void> {
  const { default: value } = (await import(`data:text/javascript,export default ${process.pid}`)) as { default: number };
  expectEqual('what a module exports', value, process.pid);
}

function deep(): void {
  const descend = (n: number): number => descend(n + 1) + 1;
  try {
    descend(0);
  } catch (err) {
    if (err instanceof RangeError) return;
    throw err;
  }
}

function threads(): Promise<void> {
  const code = `
    let kept = [];
    for (let n = 0; n < 100_000; n++) { kept.push({ n }); if (kept.length > 20_000) kept = []; }
    require('node:worker_threads').parentPort.postMessage(42);`;
  return new Promise((resolve, reject) => {
    let message: unknown;
    const thread = new Worker(code, { eval: true });
    thread.once('message', (value) => (message = value));
    thread.once('error', reject);
    thread.once('exit', (status) => (status === 0 && message === 42 ? resolve() : reject(new Error(`a thread ended with status ${status}`))));
  });
}

const garbage: Job = () => void allocate(40_000, 8_000);

const JOBS: readonly Job[] = [garbage, compile, collect, wasm, loop, modules, garbage, deep, compile];
/** Threads cost much more than the rest. */
const THREADS_EVERY = 50;

/** What worker number `n` does: two jobs side by side, every pair of them in turn. */
export async function workAs(n: number): Promise<void> {
  const one = JOBS[n % JOBS.length] as Job;
  const other = n % THREADS_EVERY === THREADS_EVERY - 1 ? threads : (JOBS[Math.floor(n / JOBS.length) % JOBS.length] as Job);
  await Promise.all([one(), other()]);
}

/**
 * What each of very many does: the memory of all of them together counts. So the last collection gives back what V8 would keep, on Node 24 for good: of what a worker
 * has of its own there, which a thousand times does not fit into 24 GB.
 */
export async function workSmall(): Promise<void> {
  allocate(10_000, 2_000);
  compile();
  collect();
  await wasm();
  collector()({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
