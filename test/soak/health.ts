// Whether the soak's postmaster grows: a look at it each time that it is quiet and collected, and what the looks say together. Pure, but for the look.

import { readdirSync, readFileSync } from 'node:fs';
import { type CollectedVitals, newDescriptors, vitalsOf } from '../chaos/vitals.js';

export interface Health extends CollectedVitals {
  /** Workers that it had forked until then. */
  readonly forks: number;
  readonly threads: number;
}

export function healthOf(pid: number, forks: number, heapKb: number): Health {
  return { ...vitalsOf(pid), forks, heapKb, threads: readdirSync(`/proc/${pid}/task`).length };
}

/** Private and proportional memory of processes, in KB: their sums. Those that have gone meanwhile count for nothing. */
export function memoryOf(pids: readonly number[]): { ussKb: number; pssKb: number } {
  let [ussKb, pssKb] = [0, 0];
  for (const pid of pids) {
    let text = '';
    try {
      text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    } catch (err) {
      if (!['ENOENT', 'ESRCH'].includes((err as NodeJS.ErrnoException).code ?? '')) throw err;
    }
    const kb = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
    ussKb += kb('Private_Clean') + kb('Private_Dirty');
    pssKb += kb('Pss');
  }
  return { ussKb, pssKb };
}

/**
 * What may be added over a whole run, however long. A heap that is collected lies on as many pages as its fragments do, so that its pages go up and down by
 * some megabytes; what lives on it does not.
 */
const ALLOWED = { heapKb: 512, anonymousKb: 12 * 1024, mappings: 60 };

/** The rise of a straight line through the looks (least squares), over all the forks between the first look and the last. */
export function rise(looks: readonly Health[], of: (look: Health) => number): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(looks.map(({ forks }) => forks));
  const y = mean(looks.map(of));
  const spread = looks.reduce((sum, look) => sum + (look.forks - x) ** 2, 0);
  if (spread === 0) return 0;
  const slope = looks.reduce((sum, look) => sum + (look.forks - x) * (of(look) - y), 0) / spread;
  return slope * ((looks.at(-1)?.forks ?? 0) - (looks[0]?.forks ?? 0));
}

export interface Growth {
  readonly heapKb: number;
  readonly anonymousKb: number;
  readonly mappings: number;
}

export function growthOf(looks: readonly Health[]): Growth {
  return {
    heapKb: Math.round(rise(looks, ({ heapKb }) => heapKb)),
    anonymousKb: Math.round(rise(looks, ({ anonymousKb }) => anonymousKb)),
    mappings: Math.round(rise(looks, ({ mappings }) => mappings)),
  };
}

/** What is wrong, in words. The first look is that of a postmaster that is warm. */
export function complaints(looks: readonly Health[]): string[] {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined) return [];
  const grown = growthOf(looks);
  const found = (Object.keys(ALLOWED) as (keyof Growth)[])
    .filter((what) => grown[what] > ALLOWED[what])
    .map((what) => `the postmaster grows: ${what} by ${grown[what]} in ${last.forks - first.forks} forks; ${ALLOWED[what]} are allowed`);
  for (const look of looks) {
    const descriptors = newDescriptors(first, look);
    if (descriptors !== null) found.push(`descriptors of the postmaster after ${look.forks} forks: ${descriptors}`);
    if (look.threads !== first.threads) found.push(`threads of the postmaster after ${look.forks} forks: ${look.threads}, once ${first.threads}`);
  }
  return found;
}
