// What a preloaded library leaves behind that does not survive a fork: looked for after each is loaded, and told by the library's name. Postmaster.
// PostgreSQL: none; a C library that starts a thread or opens a connection in _PG_init is on its own.
//
// What the process has before a library is loaded is compared with what it has afterwards:
//   threads      do not exist in a child, and may hold locks there for ever. libuv's pool does survive: it is started first, so as not to be counted
//   descriptors  all but plain files and devices: sockets, pipes, watchers are shared by the postmaster and every child
//   requests     work in the thread pool or with the kernel: the answer never comes in a child. What ends within half a second is waited for
//   timers       survive, once in each child: told as a warning
//   random bytes drawn in large pieces, which may be a pool of identifiers to be: told as a warning (I5)
// Not to be seen from here: promises that wait, ticks, state in memory (a seed, a cache, a copied pid), locks that native code holds.

import { promises, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData, type ErrorFields, WARNING } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { getConfigOption } from '../guc/guc.js';
import { takePools } from '../launch/entropy.js';
import { native } from '../native.js';

interface Look {
  /** Name by thread id. */
  readonly threads: ReadonlyMap<string, string>;
  /** What it leads to, by descriptor. */
  readonly descriptors: ReadonlyMap<string, string>;
  /** Node's names for what keeps the event loop alive; how often. */
  readonly resources: ReadonlyMap<string, number>;
  /** In the thread pool or with the kernel; Node has names for some of them only. */
  readonly requests: number;
}

const SETTLE_MS = 500;
const PAUSE_MS = 10;
const TIMERS: ReadonlySet<string> = new Set(['Timeout', 'Immediate']);

function entries(dir: string, read: (name: string) => string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(dir)) {
    try {
      found.set(name, read(`${dir}/${name}`));
    } catch {
      // gone by now, as the descriptor of this very look at the directory
    }
  }
  return found;
}

function look(): Look {
  const resources = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) resources.set(name, (resources.get(name) ?? 0) + 1);
  return {
    threads: entries('/proc/self/task', (path) => readFileSync(`${path}/comm`, 'utf8').trim()),
    descriptors: entries('/proc/self/fd', (path) => readlinkSync(path)),
    resources,
    requests: native.activeRequests(),
  };
}

const added = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] =>
  [...after].filter(([key, value]) => before.get(key) !== value).map(([, value]) => value);

/** Plain files and devices are named by a path; a memfd and what is deleted too. */
const survives = (target: string): boolean => target.startsWith('/');

/** `3 sockets, 1 pipe`: targets look like `socket:[12345]` and `anon_inode:[eventpoll]`. */
function count(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, times]) => (times === 1 ? name : `${times} x ${name}`)).join(', ');
}

const kindOf = (target: string): string => target.replace(/:\[\d+\]$/, '').replace(/^anon_inode:\[?(.*?)\]?$/, '$1');

function newResources(before: Look, after: Look, wanted: (name: string) => boolean): string[] {
  return [...after.resources]
    .filter(([name]) => wanted(name))
    .flatMap(([name, times]) => Array<string>(Math.max(0, times - (before.resources.get(name) ?? 0))).fill(name));
}

/** What is new and does not survive a fork, one sentence a kind. */
function findings(before: Look, after: Look): string[] {
  const threads = added(before.threads, after.threads);
  const descriptors = added(before.descriptors, after.descriptors).filter((target) => !survives(target));
  const resources = newResources(before, after, (name) => !TIMERS.has(name));
  return [
    ...(threads.length > 0 ? [`Threads: ${count(threads)}.`] : []),
    ...(descriptors.length > 0 ? [`Descriptors: ${count(descriptors.map(kindOf))}.`] : []),
    ...(after.requests > before.requests ? [`Requests without an answer: ${after.requests - before.requests}.`] : []),
    ...(resources.length > 0 ? [`Under way: ${count(resources)}.`] : []),
  ];
}

/**
 * How many threads a Node of ours has when nobody has started another: the main one, the platform's two, the inspector's for SIGUSR1, and libuv's pool
 * (UV_THREADPOOL_SIZE as libuv reads it).
 */
function threadsOfNode(): number {
  const size = Number.parseInt(process.env['UV_THREADPOOL_SIZE'] ?? '4', 10) || 1;
  return 4 + (size < 0 || size > 1024 ? 1024 : size);
}

/**
 * Starts libuv's thread pool, which survives, so that whoever uses it first is not charged with it. Then looks for what is there already: Node's options
 * (--import, --require) may have loaded modules before us, and hooks of module.register() run in a thread for which every import of a child would wait.
 * @throws ErrorData FATAL 55000, unless `preload_audit` is `warning` or `off`
 */
export async function beginPreloadAudit(): Promise<void> {
  if (getConfigOption('preload_audit') === 'off') return;
  await promises.stat('/');
  const tooMany = (): number => readdirSync('/proc/self/task').length - threadsOfNode();
  const found = await settled(() => (tooMany() > 0 ? [`Threads: ${tooMany()} more than Node has of itself.`] : []));
  if (found.length === 0) return;
  const options = [...process.execArgv, ...(process.env['NODE_OPTIONS'] === undefined ? [] : [`NODE_OPTIONS=${process.env['NODE_OPTIONS']}`])];
  complain({
    message: 'what Node has loaded by its options has left something behind that does not survive a fork',
    detail: `${found.join(' ')} The options are: ${options.join(' ')}.`,
    hint: 'Hooks of module.register() need a thread: use module.registerHooks(), or compile what they translate. See also the setting "preload_audit".',
  });
}

/** What is found after half a second, or as soon as nothing is. */
async function settled(find: () => string[]): Promise<string[]> {
  let left = find();
  for (let waited = 0; left.length > 0 && waited < SETTLE_MS; waited += PAUSE_MS) {
    await sleep(PAUSE_MS);
    left = find();
  }
  return left;
}

function complain(about: { message: string; detail: string; hint: string }): void {
  const fields: ErrorFields = { code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ...about };
  if (getConfigOption('preload_audit') === 'error') throw new ErrorData({ ...fields, severity: 'FATAL' });
  ereport(WARNING, fields);
}

/** Bytes drawn in advance, or a large secret: which of the two, only the library knows. */
function warnOfPools(name: string, sizes: readonly number[]): void {
  if (sizes.length === 0) return;
  ereport(WARNING, {
    message: `library "${name}" has drawn random bytes in advance: ${count(sizes.map(String))}`,
    detail: 'Every child has the same ones: identifiers made of them are the same in all siblings.',
    hint: 'Let the library draw its first identifier in the worker.',
  });
}

/**
 * Loads a library and looks at what it leaves behind.
 * @throws ErrorData FATAL 55000 where that does not survive a fork, unless `preload_audit` is `warning` or `off`
 */
export async function audited(name: string, load: () => Promise<unknown>): Promise<void> {
  if (getConfigOption('preload_audit') === 'off') return void (await load());
  const before = look();
  takePools();
  await load();
  warnOfPools(name, takePools());
  const timers = newResources(before, look(), (resource) => TIMERS.has(resource));
  const left = await settled(() => findings(before, look()));
  if (timers.length > 0) {
    ereport(WARNING, {
      message: `library "${name}" has left timers behind: ${count(timers)}`,
      detail: 'They survive a fork: each child runs them for itself.',
    });
  }
  if (left.length === 0) return;
  complain({
    message: `library "${name}" has left something behind that does not survive a fork`,
    detail: left.join(' '),
    hint: 'Threads, connections, servers, watchers and requests belong into the worker that uses them. See also the setting "preload_audit".',
  });
}
