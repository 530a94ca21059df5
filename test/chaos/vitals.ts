// What a postmaster must not gain over time: descriptors, mappings, memory. Runs in the process of the chaos run.

import { readFileSync } from 'node:fs';
import { openFds } from '../helpers/processes.js';

export interface Vitals {
  /** What each descriptor is, sorted; numbers that name an instance are left out. */
  readonly descriptors: readonly string[];
  readonly mappings: number;
  /** Of V8 and malloc, since code and libraries do not grow. */
  readonly anonymousKb: number;
  readonly rssKb: number;
}

/** V8's heap grows to its working size first, and maps pages of 256 KB one by one. */
const MAPPINGS_ALLOWED = 60;
const KB_ALLOWED = 24 * 1024;

export function vitalsOf(pid: number): Vitals {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return {
    descriptors: [...openFds(pid).values()].map((name) => name.replace(/\d+/g, 'N')).toSorted(),
    mappings: readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n').length - 1,
    anonymousKb: kb('RssAnon'),
    rssKb: kb('VmRSS'),
  };
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

export function growth(before: Vitals, after: Vitals): string | null {
  const mappings = after.mappings - before.mappings;
  const kb = after.anonymousKb - before.anonymousKb;
  return mappings <= MAPPINGS_ALLOWED && kb <= KB_ALLOWED ? null : `${mappings} more mappings, ${kb} KB more of its own`;
}
