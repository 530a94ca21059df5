// A worker writes garbage over shared memory, and the postmaster lives: `npm run fuzz:shmem -- --seconds 60 --seed 1`. Runs outside of the test runner.
//
// Each round: a postmaster with sessions and workers; one worker writes over slots, locks, latches, segments, queues, PMSignals, activity, all of it, by its seed,
// while the others go on as they can. Then the worker is killed, or all is left as it is, and the postmaster must begin anew after the crash, serve a
// session, start a worker, log no error of its own, and end when it is told to. Peers may fail in any way; a fast shutdown may wait for one that cannot
// end, as in PostgreSQL, and so what ends a round is an immediate one.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { root, startPostmaster } from '../../bench/lib.mjs';

const LIBRARY = join(root, 'test/fuzz/library.mjs');
const DEADLINE_MS = 60_000;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});
const end = Date.now() + Number(values.seconds) * 1000;
const say = (text) => process.stdout.write(`${text}\n`);
const scratch = mkdtempSync(join(tmpdir(), 'bgw-fuzz-'));
const ATTEMPT_MS = 5_000;

const descriptor = (functionName, more = {}) => ({
  name: functionName,
  flags: 1,
  startTime: 2,
  restartTime: -1,
  libraryName: LIBRARY,
  functionName,
  ...more,
});

async function within(promise, what, ms = DEADLINE_MS) {
  const timeout = new AbortController();
  const late = sleep(ms, null, { signal: timeout.signal }).then(() => {
    throw new Error(`${what}: nothing after ${ms / 1000} s`);
  });
  late.catch(() => {});
  promise.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timeout.abort();
  }
}
const running = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0] !== 'Z';
  } catch {
    return false;
  }
};

const count = (path, text) => readFileSync(path, 'latin1').split(text).length - 1;

/**
 * Ends what is left of a round by a crash: kills the worker that has scribbled, else, where it has ended in its own garbage, any other child, until the
 * postmaster begins anew. Not each child is one whose end is a crash. Where all have left in order, their garbage stays, and may say that no slot is free:
 * then a session's backend is what is killed.
 */
async function crash(pm, pid, path) {
  const [before, deadline] = [count(path, 'reinitializing'), Date.now() + DEADLINE_MS];
  for (let killed = 0; count(path, 'reinitializing') === before;) {
    if (!running(pm.pid)) throw new Error('the postmaster died');
    if (Date.now() > deadline) throw new Error(`no crash cycle after ${killed} kills`);
    const here = children(pm.pid).filter(running);
    const victim = here.includes(pid) ? pid : here[killed % Math.max(1, here.length)];
    if (victim !== undefined) {
      process.kill(victim, 'SIGKILL');
      killed++;
    } else within(pm.connect(), 'a session', ATTEMPT_MS).catch(() => {});
    await sleep(200);
  }
}

/** A session and a worker in a postmaster that has begun anew; peers that fail in the garbage are tried again until it has. */
async function worksAgain(pm) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    if (!running(pm.pid)) throw new Error('the postmaster is gone');
    try {
      const session = await within(pm.connect(), 'a session', ATTEMPT_MS);
      try {
        if ((await within(session.call(LIBRARY, 'alive'), 'a call', ATTEMPT_MS)) !== 'alive') throw new Error('a call gave something else');
        const handle = await within(
          session.registerDynamicBackgroundWorker(descriptor('lives', { notifyPid: 'self' })),
          'a registration',
          ATTEMPT_MS,
        );
        if (handle === null) throw new Error('no slot is free');
        const { status } = await within(session.waitForBackgroundWorkerStartup(handle), 'a start', ATTEMPT_MS);
        if (status !== 0) throw new Error(`the worker has status ${status}`);
        return;
      } finally {
        session.close().catch(() => {});
      }
    } catch (err) {
      if (Date.now() > deadline) throw new Error(`the postmaster does not serve any more: ${err.message}`, { cause: err });
      await sleep(20);
    }
  }
}

const children = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
};

/** What the postmaster itself says begins with its pid, and goes on in lines that begin with none: no error of its own, and no stack. */
function auditLog(text, pid) {
  let speaker = 0;
  const bad = text.split('\n').filter((line) => {
    const begins = /^(\d+) [A-Z0-9]+: {2}/.exec(line);
    if (begins !== null) speaker = Number(begins[1]);
    if (speaker !== pid) return false;
    if (/^\s+at /.test(line)) return true;
    return / (ERROR|FATAL|PANIC): /.test(line) && !/FATAL: {2}(sorry, too many clients|the database system is|remaining connection slots)/.test(line);
  });
  if (bad.length > 0) throw new Error(`the postmaster logged errors of its own:\n${bad.slice(0, 20).join('\n')}`);
}

async function round(seed, n) {
  const path = join(scratch, `log-${n}`);
  const log = openSync(path, 'a', 0o600);
  const pm = await startPostmaster({
    settings: {
      shared_preload_libraries: LIBRARY,
      max_worker_processes: '6',
      max_connections: '6',
      log_min_messages: 'debug1',
      log_line_prefix: '%p ',
    },
    log,
  });
  closeSync(log);
  try {
    const session = await pm.connect();
    for (let i = 0; i < 2; i++) await session.registerDynamicBackgroundWorker(descriptor('lives'));
    const handle = await session.registerDynamicBackgroundWorker(descriptor('scribbles', { notifyPid: 'self', mainArg: BigInt(seed) }));
    // This session is one of the peers that it harms, from its start on.
    const { pid } = await within(session.waitForBackgroundWorkerStartup(handle), 'a start', ATTEMPT_MS).catch(() => ({ pid: 0 }));
    const until = Math.min(end, Date.now() + 1_500 + (seed % 1_500));
    while (Date.now() < until && running(pm.pid)) {
      // Registrations and sessions go on, as far as they can.
      await within(session.registerDynamicBackgroundWorker(descriptor('lives')), 'x', 200).catch(() => {}); // x: nobody reads it
      await within(
        pm.connect().then((other) => other.close()),
        'x',
        200,
      ).catch(() => {});
      await sleep(10);
    }
    if (!running(pm.pid)) throw new Error('the postmaster died');
    session.close().catch(() => {});
    await crash(pm, pid, path);
    await worksAgain(pm);
    process.kill(pm.pid, 'SIGQUIT');
    const gone = (async () => {
      while (running(pm.pid)) await sleep(10);
    })();
    await within(gone, 'the end of the postmaster');
    auditLog(readFileSync(path, 'latin1'), pm.pid);
  } catch (err) {
    say(readFileSync(path, 'latin1').split('\n').slice(-60).join('\n'));
    throw err;
  } finally {
    if (running(pm.pid)) process.kill(pm.pid, 'SIGQUIT');
    await pm.stop();
  }
  const lines = readFileSync(path, 'latin1').split('\n');
  rmSync(path);
  return {
    crashes: lines.filter((line) => line.includes('reinitializing')).length,
    inconsistent: lines.filter((line) => line.includes('inconsistent')).length,
  };
}

let rounds = 0;
const sum = { crashes: 0, inconsistent: 0 };
try {
  for (; rounds === 0 || Date.now() < end; rounds++) {
    const seed = (Number(values.seed) * 1_000_003 + rounds) % 2 ** 31;
    const { crashes, inconsistent } = await round(seed, rounds).catch((err) => {
      throw new Error(`round ${rounds} of seed ${values.seed}: ${err.message}`, { cause: err });
    });
    sum.crashes += crashes;
    sum.inconsistent += inconsistent;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
say(
  `${rounds} rounds, ${sum.crashes} crash cycles, ${sum.inconsistent} times an inconsistent state was logged; the postmaster lived through all (seed ${values.seed})`,
);
