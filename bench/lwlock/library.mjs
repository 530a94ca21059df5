// What bench/lwlock.mjs measures: a worker takes and releases a lock again and again, alone or beside others. Preloaded by the postmaster.
//
// What one measures, it measures for some time, and while all others play: each plays on, unmeasured, from when it is ready until all are, and from when it is done until all are.
import * as bgw from 'bgworker';
import { beginPlayer, tell } from '../player.mjs';

const Shared = bgw.shmemStruct({ lock: 'LWLock', ready: 'pg_atomic_uint32', done: 'pg_atomic_uint32', told: 'pg_atomic_uint32' });
let shared;

export function _PG_init() {
  bgw.setShmemRequestHook(() => bgw.requestAddinShmemSpace(Shared.size));
  bgw.setShmemStartupHook(() => {
    shared = bgw.shmemInitStruct('bench lwlock', Shared).struct;
  });
}

/** So many times. Result: how often it had to wait. */
function playSync(lock, mode, batch) {
  let waited = 0;
  for (let n = 0; n < batch; n++) {
    if (!bgw.lwLockAcquireSync(lock, mode)) waited++;
    bgw.lwLockRelease(lock);
  }
  return waited;
}
async function play(lock, mode, batch) {
  let waited = 0;
  for (let n = 0; n < batch; n++) {
    if (!(await bgw.lwLockAcquire(lock, mode))) waited++;
    bgw.lwLockRelease(lock);
  }
  return waited;
}

const WARM_UP = 20;

/** Tells how often it had to wait, and how many nanoseconds an operation of each round took. */
export async function plays() {
  const { role, form, mode, ms, batch, players } = beginPlayer();
  const { lock } = shared;
  const round = form === 'async' ? () => play(lock, mode, batch) : () => playSync(lock, mode, batch);
  for (let n = 0; n < WARM_UP; n++) await round();
  bgw.pgAtomicFetchAddU32(shared.ready, 1);
  while (bgw.pgAtomicReadU32(shared.ready) < players) await round();
  const times = [];
  let waited = 0;
  for (let begin = process.hrtime.bigint(), end = begin + BigInt(ms) * 1_000_000n; begin < end;) {
    waited += await round();
    const now = process.hrtime.bigint();
    times.push(Number(now - begin) / batch);
    begin = now;
  }
  bgw.pgAtomicFetchAddU32(shared.done, 1);
  while (bgw.pgAtomicReadU32(shared.done) < players) await round();
  // One after the other: lines of two writers that are longer than a pipe takes at once would mix.
  while (bgw.pgAtomicReadU32(shared.told) < role) await new Promise((resolve) => setTimeout(resolve, 1));
  tell({ waited, times });
  bgw.pgAtomicFetchAddU32(shared.told, 1);
}
