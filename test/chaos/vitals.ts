// What a postmaster must not gain over time: descriptors, mappings, memory; and how a process is that does not do what it should. Runs in the process of the
// chaos run.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describeProcess, openFds } from '../helpers/processes.js';

export interface Vitals {
  /** What each descriptor is, sorted; numbers that name an instance are left out. */
  readonly descriptors: readonly string[];
  readonly mappings: number;
  /** Of V8 and malloc, since code and libraries do not grow. */
  readonly anonymousKb: number;
  readonly rssKb: number;
}

/** Right after a collection. Only two such can be compared: a heap with its garbage, or none at all, is another thing. */
export interface CollectedVitals extends Vitals {
  /** What lives on V8's heap. */
  readonly heapKb: number;
}

/** V8's heap grows to its working size first, and maps pages of 256 KB one by one. */
const MAPPINGS_ALLOWED = 60;
const KB_ALLOWED = 24 * 1024;
const HEAP_KB_ALLOWED = 1024;

export function vitalsOf(pid: number): Vitals {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return {
    descriptors: lasting([...openFds(pid).values()].map((name) => name.replace(/\d+/g, 'N'))).toSorted(),
    mappings: readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n').length - 1,
    anonymousKb: kb('RssAnon'),
    rssKb: kb('VmRSS'),
  };
}

/** Without the one by which a postmaster looks at its own memory now and then, open for some microseconds (src/postmaster/image.ts). */
function lasting(names: string[]): string[] {
  const at = names.indexOf('/proc/N/stat');
  return at < 0 ? names : names.toSpliced(at, 1);
}

/** Descriptors that are there now and were not at the start; null: none. */
export function newDescriptors(before: Vitals, after: Vitals): string | null {
  const left = [...before.descriptors];
  const more = after.descriptors.filter((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return more.length === 0 && left.length === 0 ? null : `new: ${more.join(', ')}; gone: ${left.join(', ')}`;
}

export function growth(before: CollectedVitals, after: CollectedVitals): string | null {
  const mappings = after.mappings - before.mappings;
  const kb = after.anonymousKb - before.anonymousKb;
  const heapKb = after.heapKb - before.heapKb;
  const grown = mappings > MAPPINGS_ALLOWED || kb > KB_ALLOWED || heapKb > HEAP_KB_ALLOWED;
  return grown ? `${mappings} more mappings, ${kb} KB more of its own, ${heapKb} KB more on its heap` : null;
}

/** What the kernel knows of a process that does not move: its signals, and where its threads are. */
export function condition(pid: number): string {
  const read = (name: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, 'latin1').trim();
    } catch (err) {
      return String(err);
    }
  };
  const signals = read('status')
    .split('\n')
    .filter((line) => /^(State|Threads|SigQ|SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt):/.test(line))
    .map((line) => line.replace('\t', ' '));
  const tids = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : [];
  const threads = tids.map((tid) => `thread ${tid}: ${read(`task/${tid}/wchan`)} ${read(`task/${tid}/syscall`)}`);
  return [describeProcess(pid), ...signals, ...threads].join('\n');
}
