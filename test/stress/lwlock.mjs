// Locks, condition variables, barriers, segments and channels for hours, and kill -9 in the midst of them: `npm run stress:lwlock -- --minutes 60`,
// `npm run stress:lwlock -- --kills 1000`, both with `--seed N` to begin as another run did; on one processor under `taskset -c 0`. Runs outside of the test
// runner, against a postmaster of its own.
//
// For minutes: several sessions do the same thing at once, in the area or in a segment, blocking and asynchronous by turns; what they counted is compared, and
// a round that takes too long is a hang.
//
// Kills: sessions hold and wait for locks, sleep on condition variables, stand at barriers, send and receive, make and leave segments; at a random moment one
// of the postmaster's children is killed, now and then the postmaster itself. Every call must end, a new session must find everything free, and when all is over the
// kernel must hold no page of a segment, and no process be left.
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { root, startPostmaster } from '../../bench/lib.mjs';

const LIBRARY = join(root, 'test/stress/lwlock-library.mjs');
const DEADLINE_MS = 60_000;
const PARTIES = 4;

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
const postmaster = () => startPostmaster({ settings: { shared_preload_libraries: LIBRARY, log_min_messages: 'panic', max_connections: '20' } });

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
      if (!['57P03', '08006', '53300'].includes(err.code)) throw err;
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
async function nobodyLeft(pm) {
  await within(
    (async () => {
      while (children(pm.pid).length > 0) await sleep(5);
    })(),
    'processes that are left',
  );
}

// --- minutes -------------------------------------------------------------------------------------------------------------------------------------

const ROUNDS = { locks: 3000, writes: 500, tokens: 1000, phases: 300, queue: 100, segments: 200 };

async function together(pm, kind, where) {
  const sessions = await Promise.all(Array.from({ length: PARTIES }, () => session(pm)));
  const rounds = 1 + random(ROUNDS[kind]);
  const before = await sessions[0].call(LIBRARY, 'state', where);
  const what = `${kind}(${where}, ${rounds})`;
  const results = await within(Promise.all(sessions.map((one, i) => one.call(LIBRARY, kind, where, rounds, (i + rounds) % 2 === 0))), what);
  const after = await sessions[0].call(LIBRARY, 'state', where);
  const sum = results.reduce((a, b) => a + b);
  const right =
    after.free === true &&
    after.tokens === 0 &&
    after.counter === after.mirror &&
    (kind !== 'locks' || after.counter - before.counter === sum) &&
    (kind !== 'phases' || (sum >= rounds && sum <= rounds * PARTIES));
  if (!right) throw new Error(`${what} (seed ${values.seed}): ${JSON.stringify({ before, after, results })}`);
  for (const one of sessions) await one.close();
  return rounds * PARTIES;
}

async function stress(minutes) {
  const pm = await postmaster();
  const end = Date.now() + minutes * 60_000;
  const done = Object.fromEntries(Object.keys(ROUNDS).map((kind) => [kind, 0]));
  try {
    for (let n = 0; n < 6 || Date.now() < end; n++) {
      const kind = n < 6 ? Object.keys(ROUNDS)[n] : pick(Object.keys(ROUNDS));
      done[kind] += await together(pm, kind, pick(['area', 'segment']));
    }
    await nobodyLeft(pm);
  } finally {
    await pm.stop();
  }
  const counts = Object.entries(done).map(([kind, count]) => `${count} ${kind}`);
  say(`${counts.join(', ')}: nothing was lost, nobody hung (seed ${values.seed})`);
}

// --- kills ---------------------------------------------------------------------------------------------------------------------------------------

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
  const killed = { child: 0, postmaster: 0 };
  const doing = {};
  const endings = {};
  for (let n = 0; n < count; n++) {
    const where = pick(['area', 'segment']);
    const sessions = await within(Promise.all([session(pm), session(pm), session(pm)]), 'sessions after a kill');
    const { free, tokens } = await within(sessions[0].call(LIBRARY, 'state', where), 'a look after a kill');
    if (!free || tokens !== 0) throw new Error(`what a dead process held is held (seed ${values.seed})`);
    const kinds = [pick(Object.keys(ROUNDS)), pick(Object.keys(ROUNDS))];
    const calls = sessions.map((one, i) => {
      const kind = kinds[i % 2];
      doing[kind] = (doing[kind] ?? 0) + 1;
      return one.call(LIBRARY, kind, where, 1e9, random(2) === 0).then(
        () => 'done',
        (err) => err.message,
      );
    });
    await sleep(random(30));
    const wholeSystem = n % 50 === 49;
    if (wholeSystem) await killPostmaster(pm);
    else process.kill(pick(children(pm.pid)), 'SIGKILL');
    killed[wholeSystem ? 'postmaster' : 'child']++;
    for (const ending of await within(Promise.all(calls), `${kinds.join(' and ')} (${where}) when somebody was killed`))
      endings[ending] = (endings[ending] ?? 0) + 1;
    await within(Promise.all(sessions.map((one) => one.closed)), 'the end of sessions');
    if (wholeSystem) pm = await postmaster();
    if (n % 100 === 99) say(`${n + 1} kills`);
  }
  const last = await within(session(pm), 'a session at the end');
  await within(last.call(LIBRARY, 'locks', 'area', 300, true), 'locks at the end');
  await last.close();
  await nobodyLeft(pm);
  const kb = segmentsKb(pm.pid);
  // One page of the named segment, which is pinned.
  if (kb > 4) throw new Error(`${kb} KB of dynamic segments are left (seed ${values.seed})`);
  await pm.stop();
  say(`${count} kills: ${killed.child} of a child, ${killed.postmaster} of the postmaster; nobody hung, nothing was left (seed ${values.seed})`);
  for (const [kind, times] of Object.entries(doing)) say(`  ${times} processes were at: ${kind}`);
  for (const [ending, times] of Object.entries(endings)) say(`  ${times} times: ${ending}`);
}

if (Number(values.kills) > 0) await kills(Number(values.kills));
else await stress(Number(values.minutes) || 1);
