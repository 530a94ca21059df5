// What the fuzz of shared memory preloads: a worker that writes garbage over all of it, and others that try to live there. Runs in backends.
// A worker's code cannot name the shared memory of the machinery; this reaches for it past the public API, as a stray pointer of C's does.
import * as bgw from 'bgworker';
import { fileURLToPath } from 'node:url';
import {
  HEADER,
  INDEX_ENTRIES,
  INDEX_ENTRY_SIZE,
  NUM_PMSIGNALS,
  PMSIGNAL_OFFSET,
  PROC,
  PROC_SIZE,
  SLOT,
  SLOT_SIZE,
  STATUS_SIZE,
  WAIT_BLOCK_SIZE,
} from '../../dist/shmem/layout.js';
import { sharedMemory } from '../../dist/shmem/shmem.js';

const library = fileURLToPath(import.meta.url);

/** Numbers from a seed: the same for the same seed (mulberry32). */
function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return { below: (n) => next() % n, word: next, pick: (list) => list[next() % list.length] };
}

/** Words that are wrong in ways of their own. No pid of anybody else's: this machine has other tenants. */
const words = (random) => random.pick([0, 1, 2, -1, -2, 0x7fffffff, -0x80000000, 0xff, 0x41414141, process.pid, process.ppid, random.word() | 0]);

/** Where each kind of thing lies: [name, offset, size]. */
function places({ layout }) {
  const { totalSlots, totalProcs } = layout;
  const dsmControl = 128 + 32 * layout.dsmMaxItems;
  return [
    ['header', 0, PMSIGNAL_OFFSET],
    ['PMSignals', PMSIGNAL_OFFSET, 4 * NUM_PMSIGNALS],
    ['locks and counters', 128, 128],
    ['slots', layout.slotsOffset, totalSlots * SLOT_SIZE],
    ['processes', layout.procsOffset, totalProcs * PROC_SIZE],
    ['activity', layout.statusOffset, totalProcs * STATUS_SIZE],
    ['wait blocks', layout.waitBlocksOffset, totalProcs * WAIT_BLOCK_SIZE],
    ['segments', layout.dsmControlOffset, dsmControl],
    ['named segments', layout.dsmRegistryOffset, layout.indexOffset - layout.dsmRegistryOffset],
    ['index', layout.indexOffset, INDEX_ENTRIES * INDEX_ENTRY_SIZE],
    ['area', layout.areaOffset, layout.size - layout.areaOffset],
    ['all', 0, layout.size],
  ];
}

/** A slot that looks like a registration, with fields that no registration would have let through. */
function forgeSlot(memory, random) {
  const at = memory.layout.slotsOffset + random.below(memory.layout.totalSlots) * SLOT_SIZE;
  for (const field of [SLOT.flags, SLOT.startTime, SLOT.restartTime, SLOT.notifyPid, SLOT.pid, SLOT.terminate])
    memory.store(at + field, words(random));
  if (random.below(2) === 0) memory.store(at + SLOT.restartTime, random.pick([-1, 1, 60]));
  if (random.below(2) === 0) memory.store(at + SLOT.flags, random.pick([1, 3, 0x11]));
  memory.storeLong(at + SLOT.generation, BigInt(random.word()));
  for (const [field, size] of [
    [SLOT.name, 96],
    [SLOT.type, 96],
    [SLOT.functionName, 96],
    [SLOT.libraryName, 1024],
  ]) {
    for (let i = 0; i < size; i++) memory.bytes[at + field + i] = random.pick([0x41, 0x2f, 0xff, 0x0a, 0x25, random.below(256)]);
  }
  if (random.below(3) === 0) memory.storeBytes(at + SLOT.functionName, 96, Buffer.from('lives'));
  if (random.below(3) === 0) memory.storeBytes(at + SLOT.libraryName, 1024, Buffer.from(library));
  memory.store(at + SLOT.inUse, 1);
}

function scribble(memory, random) {
  if (random.below(4) === 0) return forgeSlot(memory, random);
  const [, offset, size] = random.pick(places(memory));
  const begin = offset + random.below(size);
  const length = Math.min(offset + size - begin, random.pick([4, 8, 64, 1024, size]));
  switch (random.below(4)) {
    case 0:
      memory.bytes.fill(random.pick([0, 0xff, 0x41, random.below(256)]), begin, begin + length);
      break;
    case 1:
      for (let i = begin; i < begin + Math.min(length, 4096); i++) memory.bytes[i] = random.word();
      break;
    case 2:
      for (let n = 0; n < 32; n++)
        memory.store(Math.min((begin & ~3) + 4 * random.below(Math.max(1, length >> 2)), memory.layout.size - 4), words(random));
      break;
    default: // a flag of every process, of every slot
      for (let n = 0; n < memory.layout.totalProcs; n++)
        memory.store(memory.layout.procsOffset + n * PROC_SIZE + random.pick(Object.values(PROC).filter((f) => f < 48)), words(random));
  }
  return undefined;
}

/** The postmaster looks: at any of its signals, and at the slots. */
function callPostmaster(memory, random, postmaster) {
  memory.store(PMSIGNAL_OFFSET + 4 * random.below(NUM_PMSIGNALS), 1);
  memory.store(PMSIGNAL_OFFSET, 1);
  if (random.below(4) === 0) memory.store(HEADER.serverState, words(random));
  process.kill(postmaster, 'SIGUSR1');
}

/** The argument is the seed. Writes while others live, and never stops by itself. */
export async function scribbles(seed) {
  bgw.backgroundWorkerUnblockSignals();
  const random = generator(Number(seed));
  const memory = sharedMemory();
  const postmaster = process.ppid;
  for (;;) {
    for (let n = 1 + random.below(20); n > 0; n--) scribble(memory, random);
    callPostmaster(memory, random, postmaster);
    await new Promise((resolve) => setTimeout(resolve, random.below(4)));
  }
}

/** Does what a worker does, as long as it can. */
export async function lives() {
  bgw.backgroundWorkerUnblockSignals();
  for (;;) {
    bgw.pgstatReportActivity?.(bgw.STATE_RUNNING, 'living');
    await bgw.waitLatch(bgw.myLatch, bgw.WL_LATCH_SET | bgw.WL_TIMEOUT | bgw.WL_EXIT_ON_PM_DEATH, 5);
    bgw.resetLatch(bgw.myLatch);
    bgw.checkForInterrupts();
  }
}
export const alive = () => 'alive';
