// What bench/lwlock.mjs measures: a worker takes and releases a lock again and again, alone or beside another. Preloaded by the postmaster.
import * as bgw from 'bgworker';
import { execFileSync } from 'node:child_process';
import { writeSync } from 'node:fs';

const Shared = bgw.shmemStruct({ lock: 'LWLock', ready: 'pg_atomic_uint32' });
let shared;

export function _PG_init() {
  bgw.setShmemRequestHook(() => bgw.requestAddinShmemSpace(Shared.size));
  bgw.setShmemStartupHook(() => {
    shared = bgw.shmemInitStruct('bench lwlock', Shared).struct;
  });
}

/** One of `players`. Writes how many nanoseconds its operations took, one number a line, to descriptor 3. */
export async function plays() {
  bgw.backgroundWorkerUnblockSignals();
  const { form, mode, rounds, batch, players, core } = JSON.parse(Buffer.from(bgw.myBgworkerEntry.extra).toString().replace(/\0+$/, ''));
  execFileSync('taskset', ['-pc', String(core), String(process.pid)], { stdio: 'ignore' });
  const { lock } = shared;
  bgw.pgAtomicFetchAddU32(shared.ready, 1);
  while (bgw.pgAtomicReadU32(shared.ready) < players) await new Promise((resolve) => setTimeout(resolve, 1));
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const begin = process.hrtime.bigint();
    for (let n = 0; n < batch; n++) {
      if (form === 'async') await bgw.lwLockAcquire(lock, mode);
      else bgw.lwLockAcquireSync(lock, mode);
      bgw.lwLockRelease(lock);
    }
    times.push(Number(process.hrtime.bigint() - begin) / batch);
  }
  writeSync(3, `${JSON.stringify(times)}\n`);
}
