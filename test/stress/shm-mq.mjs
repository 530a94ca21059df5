// Message queues for hours, and kill -9 in the midst of them: `npm run stress:shm-mq -- --minutes 60`, `npm run stress:shm-mq -- --kills 1000`, both with
// `--seed N` to begin as another run did; on one processor under `taskset -c 0`. Runs outside of the test runner, against a postmaster of its own.
//
// For minutes: rings of workers of examples/test-shm-mq, in all three forms, with queues, messages and counts at random; what comes back is compared, and a
// round that takes too long is a hang.
//
// Kills: at a random moment of such a round a random process of the postmaster is killed, now and then the postmaster itself. Whoever waited must hear of it;
// a new session must find a system that works; and when all is over the kernel must hold no page of a segment, and no process be left.
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { root, startPostmaster } from '../../bench/lib.mjs';

const TEST_SHM_MQ = join(root, 'examples/test-shm-mq/test_shm_mq.mjs');
const DEADLINE_MS = 60_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '0' },
    kills: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
  },
});
let seed = Number(values.seed);
/** 0 to n-1, by the seed. */
function random(n) {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return Math.floor((seed / 2 ** 31) * n);
}
const pick = (list) => list[random(list.length)];
const say = (text) => process.stdout.write(`${text}\n`);

const postmaster = () =>
  startPostmaster({ settings: { shared_preload_libraries: TEST_SHM_MQ, log_min_messages: 'fatal', max_worker_processes: '8' } });

/** What a promise gives, or the end of this program: nothing may hang. */
async function within(promise, what) {
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
async function session(pm) {
  for (;;) {
    try {
      return await pm.connect();
    } catch (err) {
      if (!['57P03', '08006'].includes(err.code)) throw err;
      await sleep(5);
    }
  }
}

const children = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

/** Kilobytes that the kernel holds for dynamic segments: those of the postmaster's larger file in memory. */
function segmentsKb(pid) {
  const files = readdirSync(`/proc/${pid}/fd`)
    .map((fd) => `/proc/${pid}/fd/${fd}`)
    .filter((path) => readlinkSync(path).startsWith('/memfd:bgworker'))
    .map((path) => statSync(path));
  return files.reduce((a, b) => (a.size > b.size ? a : b)).blocks / 2;
}

function round() {
  const form = pick(['test_shm_mq', 'test_shm_mq_async', 'test_shm_mq_pipelined']);
  const queueSize = pick([64, 72, 100, 1000, 4096, 65_536]) + random(100);
  const length = pick([0, 1, 7, 8, random(300), random(3 * queueSize), random(100_000)]);
  const workers = random(4) + (form === 'test_shm_mq_pipelined' ? 0 : 1);
  const budget = Math.max(1, Math.floor(20_000_000 / (length * Math.max(1, 1000 / queueSize) + 5000) / (workers + 1)));
  return [form, queueSize, Uint8Array.from({ length }, () => random(256)), 1 + random(Math.min(budget, 5000)), workers];
}

async function stress(minutes) {
  const pm = await postmaster();
  const end = Date.now() + minutes * 60_000;
  let rounds = 0;
  let messages = 0;
  for (; Date.now() < end; rounds++) {
    const [form, queueSize, message, count, workers] = round();
    const what = `${form}(${queueSize}, ${message.length} bytes, ${count}, ${workers})`;
    const one = await session(pm);
    await within(one.call(TEST_SHM_MQ, form, queueSize, message, count, workers), what);
    await one.close();
    // Its workers leave by themselves; the next round needs their slots.
    while (children(pm.pid).length > 2) await sleep(1);
    messages += count * (workers + 1);
  }
  await leavesNothing(pm);
  await pm.stop();
  say(`${rounds} rounds, ${messages} messages, every one as it was sent (seed ${values.seed})`);
}

async function leavesNothing(pm) {
  await within(
    (async () => {
      while (children(pm.pid).length > 0) await sleep(5);
    })(),
    'processes that are left',
  );
  const kb = segmentsKb(pm.pid);
  if (kb !== 0) throw new Error(`${kb} KB of dynamic segments are left (seed ${values.seed})`);
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function killPostmaster(pm) {
  const orphans = children(pm.pid);
  process.kill(pm.pid, 'SIGKILL');
  await within(
    (async () => {
      while (orphans.some(alive)) await sleep(1);
    })(),
    'orphans',
  );
  await pm.stop();
}

async function kills(count) {
  let pm = await postmaster();
  const victims = { child: 0, postmaster: 0, early: 0 };
  const endings = {};
  for (let n = 0; n < count; n++) {
    const one = await within(session(pm), 'a session after a kill');
    const [, queueSize, message] = round();
    const outcome = one
      .call(TEST_SHM_MQ, pick(['test_shm_mq', 'test_shm_mq_async', 'test_shm_mq_pipelined']), queueSize, message, 1e9, 1 + random(3))
      .then(
        () => 'done',
        (err) => err.message,
      );
    await sleep(random(40));
    const wholeSystem = n % 50 === 49;
    if (wholeSystem) {
      await killPostmaster(pm);
      victims.postmaster++;
    } else {
      const victim = pick(children(pm.pid));
      if (victim === undefined) victims.early++;
      else process.kill(victim, 'SIGKILL');
      victims.child++;
    }
    const ending = await within(outcome, 'a call whose process or peer was killed');
    endings[ending] = (endings[ending] ?? 0) + 1;
    await within(one.closed, 'the end of a session');
    if (wholeSystem) pm = await postmaster();
    if (n % 100 === 99) say(`${n + 1} kills`);
  }
  const last = await within(session(pm), 'a session at the end');
  await within(last.call(TEST_SHM_MQ, 'test_shm_mq', 1000, 'still alive', 100, 3), 'a ring at the end');
  await last.close();
  await leavesNothing(pm);
  await pm.stop();
  say(`${count} kills: ${victims.child} of a child, ${victims.postmaster} of the postmaster; nobody hung, nothing was left (seed ${values.seed})`);
  for (const [ending, times] of Object.entries(endings)) say(`  ${times} times: ${ending}`);
}

if (Number(values.kills) > 0) await kills(Number(values.kills));
else await stress(Number(values.minutes) || 1);
