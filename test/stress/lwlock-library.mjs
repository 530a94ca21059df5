// What the stress of locks preloads: processes that meet at locks, condition variables, barriers, queues and segments, for ever or for so many rounds. Runs in
// the backends of sessions, and in a worker at the other end of a channel.
import * as bgw from 'bgworker';
import { fileURLToPath } from 'node:url';

const { LW_EXCLUSIVE, LW_SHARED } = bgw;
const library = fileURLToPath(import.meta.url);

const Meeting = bgw.shmemStruct({
  lock: 'LWLock',
  writing: 'LWLock',
  more: 'ConditionVariable',
  party: 'Barrier',
  counter: 'int64',
  mirror: 'int64',
  tokens: 'pg_atomic_uint32',
  taken: 'pg_atomic_uint32',
  asked: 'pg_atomic_uint64',
  written: 'pg_atomic_uint64',
});
let area = null;

export function _PG_init() {
  bgw.setShmemRequestHook(() => bgw.requestAddinShmemSpace(Meeting.size));
  bgw.setShmemStartupHook(() => {
    area = bgw.shmemInitStruct('meeting', Meeting).struct;
    bgw.barrierInit(area.party, 0);
  });
}

/** Where they meet: in the area, or in a segment that all of them find by its name. */
function place(where) {
  if (where === 'area') return area;
  return Meeting.at(bgw.getNamedDSMSegment('meeting', Meeting.size, (bytes) => bgw.barrierInit(Meeting.at(bytes).party, 0)).address);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const acquire = (lock, mode, sync) => (sync ? bgw.lwLockAcquireSync(lock, mode) : bgw.lwLockAcquire(lock, mode));

/** Readers and writers: nobody may see half of a change. Returns how often it wrote. */
export async function locks(where, rounds, sync) {
  const { lock } = place(where);
  const meeting = place(where);
  let written = 0;
  for (let i = 0; i < rounds; i++) {
    if (i % 3 === 0) {
      await acquire(lock, LW_EXCLUSIVE, sync);
      meeting.counter += 1n;
      if (!sync && i % 5 === 0) await turn();
      meeting.mirror += 1n;
      bgw.lwLockRelease(lock);
      written++;
    } else if (i % 7 !== 0 || bgw.lwLockConditionalAcquire(lock, LW_SHARED)) {
      if (i % 7 !== 0) await acquire(lock, LW_SHARED, sync);
      if (meeting.counter !== meeting.mirror) throw new Error('a reader met a writer');
      bgw.lwLockRelease(lock);
    }
    if (i % 100 === 0) await turn();
  }
  return written;
}

/** One writes for all. */
export async function writes(where, rounds, sync) {
  const { writing, asked, written } = place(where);
  for (let i = 0; i < rounds; i++) {
    const mine = bgw.pgAtomicAddFetchU64(asked, 1n);
    while (bgw.pgAtomicReadU64(written) < mine) {
      const had = sync ? bgw.lwLockAcquireOrWaitSync(writing, LW_EXCLUSIVE) : await bgw.lwLockAcquireOrWait(writing, LW_EXCLUSIVE);
      if (!had) continue;
      bgw.lwLockUpdateVar(writing, written, bgw.pgAtomicReadU64(asked));
      bgw.lwLockRelease(writing);
    }
    if (i % 100 === 0) await turn();
  }
  return 0;
}

/** Makes tokens and takes as many: whoever finds none sleeps until somebody makes one. */
export async function tokens(where, rounds, sync) {
  const { more, tokens: made } = place(where);
  for (let i = 0; i < rounds; i++) {
    bgw.pgAtomicFetchAddU32(made, 1);
    if (i % 2 === 0) bgw.conditionVariableSignal(more);
    else bgw.conditionVariableBroadcast(more);
    bgw.conditionVariablePrepareToSleep(more);
    try {
      for (let left = bgw.pgAtomicReadU32(made); ; left = bgw.pgAtomicReadU32(made)) {
        if (left > 0 && bgw.pgAtomicCompareExchangeU32(made, left, left - 1).exchanged) break;
        if (left > 0) continue;
        if (sync) bgw.conditionVariableSleepSync(more);
        else await bgw.conditionVariableSleep(more);
      }
    } finally {
      bgw.conditionVariableCancelSleep(more);
    }
    if (i % 100 === 0) await turn();
  }
  return 0;
}

/** Joins, goes through phases with whoever is there, leaves. */
export async function phases(where, rounds, sync) {
  const { party } = place(where);
  let elected = 0;
  bgw.barrierAttach(party);
  try {
    for (let i = 0; i < rounds; i++) if (sync ? bgw.barrierArriveAndWaitSync(party) : await bgw.barrierArriveAndWait(party)) elected++;
  } finally {
    bgw.barrierArriveAndDetach(party);
  }
  return elected;
}

/** Values to a worker and back. */
export async function queue(_where, rounds) {
  const worker = { name: 'echo', flags: bgw.BGWORKER_SHMEM_ACCESS, startTime: 0, restartTime: -1, libraryName: library, functionName: 'echo' };
  const channel = bgw.openWorkerChannel(worker, { queueSize: 1000 });
  if (channel === null) return 0;
  for (let i = 0; i < rounds; i++) {
    await channel.send([i, 'x'.repeat(i % 3000)]);
    const { value, done } = await channel.receive();
    if (done === true) throw new Error('the worker has gone');
    if (value[0] !== i) throw new Error('another value came back');
  }
  channel.close();
  await bgw.waitForBackgroundWorkerShutdown(channel.handle);
  return 0;
}
export async function echo(mainArg) {
  bgw.backgroundWorkerUnblockSignals();
  const channel = bgw.acceptWorkerChannel(mainArg);
  for await (const value of channel) await channel.send(value);
}

/** Makes segments, with locks in them, and lets go of them. */
export async function segments(_where, rounds) {
  for (let i = 0; i < rounds; i++) {
    const segment = bgw.dsmCreate(Meeting.size + (i % 20) * 1000);
    const own = Meeting.at(bgw.dsmSegmentAddress(segment));
    if (own.counter !== 0n || bgw.pgAtomicReadU32(own.tokens) !== 0) throw new Error('a new segment is not zeroed');
    bgw.lwLockAcquireSync(own.lock, LW_EXCLUSIVE);
    own.counter = 1n;
    if (i % 10 === 0) await turn();
    bgw.dsmDetach(segment);
  }
  return 0;
}

/** What the minutes of a stress must add up to. */
export const state = (where) => {
  const meeting = place(where);
  return {
    counter: Number(meeting.counter),
    mirror: Number(meeting.mirror),
    tokens: bgw.pgAtomicReadU32(meeting.tokens),
    free: bgw.lwLockConditionalAcquire(meeting.lock, LW_EXCLUSIVE) && (bgw.lwLockRelease(meeting.lock), true),
  };
};
