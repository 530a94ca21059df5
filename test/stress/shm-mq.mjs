// Message queues under stress: rings of workers of examples/test-shm-mq, in all three forms, with queues, messages and counts at random; what comes back is
// compared. Part of run.mjs.
import { join } from 'node:path';
import { root } from '../../bench/lib.mjs';
import { children, openSession, pick, random, until, within } from './kit.mjs';

export const library = join(root, 'examples/test-shm-mq/test_shm_mq.mjs');
/** Bytes of segments that stay, in KB. */
export const pinnedKb = 0;

function round() {
  const form = pick(['test_shm_mq', 'test_shm_mq_async', 'test_shm_mq_pipelined']);
  const queueSize = pick([64, 72, 100, 1000, 4096, 65_536]) + random(100);
  const length = pick([0, 1, 7, 8, random(300), random(3 * queueSize), random(100_000)]);
  const workers = random(4) + (form === 'test_shm_mq_pipelined' ? 0 : 1);
  const budget = Math.max(1, Math.floor(20_000_000 / (length * Math.max(1, 1000 / queueSize) + 5000) / (workers + 1)));
  return { form, queueSize, message: Uint8Array.from({ length }, () => random(256)), count: 1 + random(Math.min(budget, 5000)), workers };
}

/** One round, to its end. Returns how much it did, by kinds. */
export async function play(pm) {
  const { form, queueSize, message, count, workers } = round();
  const session = await openSession(pm);
  await within(
    session.call(library, form, queueSize, message, count, workers),
    `${form}(${queueSize}, ${message.length} bytes, ${count}, ${workers})`,
  );
  await session.close();
  // Its workers leave by themselves; the next round needs their slots.
  await until(() => children(pm.pid).length <= 2, 'the end of workers');
  return { rings: 1, messages: count * (workers + 1) };
}

/** Begins what somebody is to be killed in: sessions, what each is at, and how its call ends. */
export async function begin(pm) {
  const { form, queueSize, message } = round();
  const session = await openSession(pm);
  return [{ session, doing: 'ring', call: session.call(library, form, queueSize, message, 1e9, 1 + random(3)) }];
}

/** That all works at the end. */
export async function works(pm) {
  const session = await openSession(pm);
  await within(session.call(library, 'test_shm_mq', 1000, 'still alive', 100, 3), 'a ring at the end');
  await session.close();
}
