// What the stress scripts of shared memory have in common: chance by a seed, deadlines, sessions, and what may be left of a postmaster. Nothing is tested here.
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const DEADLINE_MS = 60_000;

export const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'shm-mq,lwlock' },
    minutes: { type: 'string', default: '0' },
    kills: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
  },
});

let seed = Number(values.seed);
/** 0 to n-1, by the seed. */
export function random(n) {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return Math.floor((seed / 2 ** 31) * n);
}
export const pick = (list) => list[random(list.length)];
export const say = (text) => process.stdout.write(`${text}\n`);
/** One more of a kind. */
export const count = (counts, kind) => {
  counts[kind] = (counts[kind] ?? 0) + 1;
};

/** What a promise gives, or the end of this program: nothing may hang. */
export async function within(promise, what) {
  const timeout = new AbortController();
  const late = sleep(DEADLINE_MS, null, { signal: timeout.signal }).then(() => {
    throw new Error(`${what}: nothing after ${DEADLINE_MS / 1000} s (seed ${values.seed})`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timeout.abort();
  }
}

/** A session as soon as the postmaster takes one again. */
export function openSession(pm) {
  const attempt = async () => {
    for (;;) {
      try {
        return await pm.connect();
      } catch (err) {
        if (!['57P03', '08006', '53300'].includes(err.code)) throw err;
        await sleep(5);
      }
    }
  };
  return within(attempt(), 'a session');
}

export const children = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

export const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** Waits for something that must come soon. */
export function until(condition, what) {
  const wait = async () => {
    while (!condition()) await sleep(2);
  };
  return within(wait(), what);
}

/** Kilobytes that the kernel holds for dynamic segments: those of the postmaster's larger file in memory. */
function segmentsKb(pid) {
  const files = readdirSync(`/proc/${pid}/fd`)
    .map((fd) => `/proc/${pid}/fd/${fd}`)
    .filter((path) => readlinkSync(path).startsWith('/memfd:bgworker'))
    .map((path) => statSync(path));
  return files.reduce((a, b) => (a.size > b.size ? a : b)).blocks / 2;
}

/** When all sessions are closed: no process, and of segments no more than what is pinned. */
export async function leavesNothing(pm, pinnedKb) {
  await until(() => children(pm.pid).length === 0, 'the end of all processes');
  const kb = segmentsKb(pm.pid);
  if (kb > pinnedKb) throw new Error(`${kb} KB of dynamic segments are left (seed ${values.seed})`);
}
