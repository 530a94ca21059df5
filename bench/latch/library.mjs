// Two workers that take turns, for bench/latch.mjs and bench/latch-stress.mjs. Runs in workers; what they measured goes to descriptor 3.
import * as bgw from 'bgworker';
import { beginPlayer, tell } from '../player.mjs';

const { WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, resetLatch, setLatch, waitLatch, waitLatchSync } = bgw;
const EVENTS = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
const Court = bgw.shmemStruct({ pids: ['int32', 2], turn: 'int32' });
const WARM_UP = 1000;

bgw.setShmemStartupHook(() => bgw.shmemInitStruct('bench latch', Court));

/** `extra`: role, form, core, rounds. */
export async function plays() {
  const { role, form, rounds } = beginPlayer();
  const { struct, region } = bgw.shmemInitStruct('bench latch', Court);
  struct.pids.set(role, process.pid);
  const words = new Int32Array(region.buffer, Court.offsets.turn, 1);
  let other = null;
  while (other === null) {
    waitLatchSync(bgw.myLatch, EVENTS | bgw.WL_TIMEOUT, 1);
    resetLatch(bgw.myLatch);
    const pid = struct.pids.at(1 - role);
    if (pid !== 0) other = bgw.backendPidGetProc(pid);
  }
  const court = { words, mine: bgw.myLatch, other: other.procLatch, role, rounds: rounds + WARM_UP };
  if (form === 'mixed') {
    await playMixed(court);
    if (role === 0) tell(rounds);
    return;
  }
  const times = form === 'blocking' ? playSync(court) : await play(court);
  if (role === 0) tell(times.slice(WARM_UP));
}

// The serve of round i is 2i, its answer 2i + 1.
function playSync({ words, mine, other, role, rounds }) {
  const times = [];
  for (let i = 0; i < rounds; i++) {
    const begin = performance.now();
    if (role === 0) {
      Atomics.store(words, 0, 2 * i + 1);
      setLatch(other);
    }
    while (Atomics.load(words, 0) !== 2 * i + 2 - role) {
      waitLatchSync(mine, EVENTS);
      resetLatch(mine);
    }
    if (role === 1) {
      Atomics.store(words, 0, 2 * i + 2);
      setLatch(other);
    }
    times.push((performance.now() - begin) * 1000);
  }
  return times;
}

async function play({ words, mine, other, role, rounds }) {
  const times = [];
  for (let i = 0; i < rounds; i++) {
    const begin = performance.now();
    if (role === 0) {
      Atomics.store(words, 0, 2 * i + 1);
      setLatch(other);
    }
    while (Atomics.load(words, 0) !== 2 * i + 2 - role) {
      await waitLatch(mine, EVENTS);
      resetLatch(mine);
    }
    if (role === 1) {
      Atomics.store(words, 0, 2 * i + 2);
      setLatch(other);
    }
    times.push((performance.now() - begin) * 1000);
  }
  return times;
}

// Everything in turns: both forms, several waits at once, waits whose time is over, a private latch beside, a turn of the loop in between.
async function playMixed({ words, mine, other, role, rounds }) {
  const idle = bgw.initLatch();
  const TIMED = EVENTS | bgw.WL_TIMEOUT;
  for (let i = 0; i < rounds; i++) {
    const pass = (value) => {
      Atomics.store(words, 0, value);
      setLatch(other);
    };
    if (role === 0) pass(2 * i + 1);
    for (let n = i; Atomics.load(words, 0) !== 2 * i + 2 - role; n++) {
      const kind = (n * 7919 + role * 3) % 11;
      if (kind < 4) waitLatchSync(mine, EVENTS);
      else if (kind < 7) await waitLatch(mine, EVENTS);
      else if (kind === 7) await Promise.all([waitLatch(mine, EVENTS), waitLatch(mine, EVENTS)]);
      else if (kind === 8) waitLatchSync(idle, TIMED, 0);
      else if (kind === 9) {
        // A wait that begins, a blocking one for another latch in the middle of it, and one whose time may be over first.
        const begun = waitLatch(mine, EVENTS);
        waitLatchSync(idle, TIMED, 0);
        await Promise.race([begun, waitLatch(mine, TIMED, 1)]);
        if (Atomics.load(words, 0) !== 2 * i + 2 - role) await begun;
      } else await new Promise((resolve) => setImmediate(resolve));
      resetLatch(mine);
    }
    if (role === 1) pass(2 * i + 2);
  }
}
