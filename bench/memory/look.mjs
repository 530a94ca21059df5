// What the kernel says of the memory of processes, for bench/memory.mjs. Nothing is started here.
import { readFileSync } from 'node:fs';

const MB = 1024;
const field = (text, name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]);

export const availableMb = () => field(readFileSync('/proc/meminfo', 'latin1'), 'MemAvailable') / MB;

/** In MB: private pages (USS), these and the shares in others (PSS), resident, and the page tables, which no process is charged for. */
export function memoryOf(pid) {
  const smaps = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  return {
    uss: (field(smaps, 'Private_Clean') + field(smaps, 'Private_Dirty')) / MB,
    pss: field(smaps, 'Pss') / MB,
    rss: field(smaps, 'Rss') / MB,
    tables: field(readFileSync(`/proc/${pid}/status`, 'latin1'), 'VmPTE') / MB,
  };
}

/** The mean over processes. */
export function meanOf(pids) {
  const all = pids.map(memoryOf);
  const mean = (name) => all.reduce((sum, one) => sum + one[name], 0) / all.length;
  return { uss: mean('uss'), pss: mean('pss'), rss: mean('rss'), tables: mean('tables') };
}

export const inMb = (mb) => `${mb.toFixed(mb < 10 ? 2 : mb < 100 ? 1 : 0)} MB`;
