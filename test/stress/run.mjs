// Shared memory for hours, and kill -9 in the midst of it. Runs outside of the test runner, against a postmaster of its own.
//
//   npm run stress:shm-mq -- --minutes 60      rings of message queues (shm-mq.mjs)
//   npm run stress:lwlock -- --minutes 60      locks, condition variables, barriers, channels, segments (lwlock.mjs)
//   npm run stress:kills                       both, and 1,000 times somebody is killed; `-- --kills N`
//
// All with `--seed N` to begin as another run did; on one processor under `taskset -c 0`.
//
// For minutes: a round after the other; one that takes too long is a hang. Kills: at a random moment of a round one of the postmaster's children is killed, now and
// then the postmaster itself. Every call must end, a new session must find everything free, and when all is over the kernel must hold no page of a segment, and no
// process be left.
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostmaster } from '../../bench/lib.mjs';
import { children, count, isAlive, leavesNothing, pick, random, say, until, values, within } from './kit.mjs';
import * as lwlock from './lwlock.mjs';
import * as shmMq from './shm-mq.mjs';

const ALL = { 'shm-mq': shmMq, lwlock };
const scenes = values.only.split(',').map((name) => ALL[name]);
if (scenes.includes(undefined)) throw new Error(`--only takes ${Object.keys(ALL).join(' or ')}, not ${values.only}`);
const pinnedKb = Math.max(...scenes.map((scene) => scene.pinnedKb));

const postmaster = () =>
  startPostmaster({
    settings: {
      shared_preload_libraries: scenes.map((scene) => scene.library).join(),
      log_min_messages: 'panic',
      max_worker_processes: '8',
      max_connections: '20',
    },
  });
const listed = (counts) => Object.entries(counts).map(([kind, n]) => `${n} ${kind}`).join(', '); // prettier-ignore

async function stress(minutes) {
  const pm = await postmaster();
  const end = Date.now() + minutes * 60_000;
  const done = {};
  try {
    // Each kind of each scene at least once.
    for (let n = 0; n < 6 || Date.now() < end; n++) {
      for (const scene of scenes) for (const [kind, times] of Object.entries(await scene.play(pm))) done[kind] = (done[kind] ?? 0) + times;
    }
    await leavesNothing(pm, pinnedKb);
  } finally {
    await pm.stop();
  }
  say(`${listed(done)}: nothing was lost, nobody hung (seed ${values.seed})`);
}

async function killPostmaster(pm) {
  const orphans = children(pm.pid);
  process.kill(pm.pid, 'SIGKILL');
  await until(() => !orphans.some(isAlive), 'the end of orphans');
  await pm.stop();
}

/** Kills one of the postmaster's children. Returns what it was at. */
function killChild(pm, parts) {
  const victim = pick(children(pm.pid));
  if (victim === undefined) return 'nobody, who had ended';
  process.kill(victim, 'SIGKILL');
  const part = parts.find(({ session }) => session.backendPid === victim);
  return part === undefined ? 'a worker' : `a session at: ${part.doing}`;
}

async function kills(times) {
  let pm = await postmaster();
  const killed = {};
  const endings = {};
  try {
    for (let n = 0; n < times; n++) {
      const parts = await within(pick(scenes).begin(pm), 'what is begun after a kill');
      const ends = parts.map(({ call }) =>
        call.then(
          () => 'done',
          (err) => err.message,
        ),
      );
      await sleep(random(40));
      const wholeSystem = n % 50 === 49;
      const all = children(pm.pid);
      const victim = wholeSystem ? 'the postmaster' : killChild(pm, parts);
      count(killed, victim);
      if (wholeSystem) await killPostmaster(pm);
      const what = `${parts.map(({ doing }) => doing).join()} when ${victim} was killed`;
      for (const ending of await within(Promise.all(ends), what)) count(endings, ending);
      await within(Promise.all(parts.map(({ session }) => session.closed)), 'the end of sessions');
      // A session that is killed closes before the postmaster has heard of it: who came now would be ended with the others.
      await until(() => !all.some(isAlive), 'the end of all processes');
      if (wholeSystem) pm = await postmaster();
      if (n % 100 === 99) say(`${n + 1} kills`);
    }
    for (const scene of scenes) await scene.works(pm);
    await leavesNothing(pm, pinnedKb);
  } finally {
    await pm.stop();
  }
  say(`${times} kills: nobody hung, nothing was left (seed ${values.seed})`);
  for (const [victim, n] of Object.entries(killed)) say(`  ${n} times ${victim}`);
  for (const [ending, n] of Object.entries(endings)) say(`  ${n} calls ended: ${ending}`);
}

if (Number(values.kills) > 0) await kills(Number(values.kills));
else await stress(Number(values.minutes) || 1);
