// A postmaster that is killed: nobody stays, and whoever waits is told. Contract 9.6; design, "Orphans".
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fixture, isAlive, openFds, processState, startPostmaster, titleOf, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, errorOf, launch, logLines, openSession, said, waitForSaid, worker } from './support.js';

const ORPHANS = { settings: { allow_orphan_workers: 'on' } };

describe('sessions', () => {
  test('H-02, H-03: waits resolve with BGWH_POSTMASTER_DIED; anything else is rejected, then and later', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      const { handle } = await launch(session, worker('quietlyIdle'));
      const never = await session.registerDynamicBackgroundWorker(worker('returns', { startTime: 9 }));
      const waits = [session.waitForBackgroundWorkerShutdown(handle), session.waitForBackgroundWorkerStartup(never as NonNullable<typeof never>)];
      const call = errorOf(session.call(CALLS, 'interruptible'));
      await session.activity();
      pm.signal('SIGKILL');
      expect(await Promise.all(waits)).toEqual([3, { status: 3 }]);
      expect(await call).toMatchObject({ code: expect.stringMatching('08006|57P01') as string });
      expect(await errorOf(session.call(CALLS, 'echo'))).toMatchObject({ code: expect.stringMatching('08006|57P01') as string });
      expect(await session.closed).toBeDefined();
      expect(await errorOf(pm.connect())).toMatchObject({ code: '08006' });
    });
  });

  test('a wait of an application in a process of its own ends, and so does the process', async () => {
    await withPostmaster({}, async (pm) => {
      const application = spawn(process.execPath, [fixture('application.mjs'), pm.dir, JSON.stringify(worker('idle'))], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(application, 'close');
      let output = '';
      application.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      await waitUntil(() => output.includes('\n'), { what: 'the worker to start' });
      pm.signal('SIGKILL');
      expect(await exited).toEqual([0, null]);
      expect(output).toContain('{"ended":3}');
    });
  });
});

describe('an application that writes when its backend is gone', () => {
  test('hears why: the last words are read before the failed write is reported', async () => {
    await withPostmaster({ shutdown: 'immediate' }, async (pm) => {
      const session = await pm.connect();
      const { handle } = await launch(session, worker('quietlyIdle'));
      const waiting = errorOf(session.waitForBackgroundWorkerShutdown(handle));
      await session.activity();
      const heard: string[] = [];
      session.on('notice', ({ message }) => heard.push(message));
      pm.signal('SIGQUIT');
      // In one turn of our event loop: nothing is read meanwhile.
      const pause = new Int32Array(new SharedArrayBuffer(4));
      for (let left = 2000; isAlive(session.backendPid) && left > 0; left--) Atomics.wait(pause, 0, 0, 5);
      const late = errorOf(session.activity());
      expect(await Promise.all([waiting, late])).toEqual([expect.objectContaining({ code: '08006' }), expect.objectContaining({ code: '08006' })]);
      expect(heard).toEqual(['terminating connection due to immediate shutdown command']);
      await pm.exited;
    });
  });
});

describe('workers', () => {
  test('L-42: no orphans: not one that is busy, stopped, or blocks every signal', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      const pids: number[] = [];
      for (const functionName of ['busyLoop', 'waitsSync', 'idle', 'quietlyIdle', 'ignoresTerm', 'withoutShmem']) {
        pids.push((await launch(session, worker(functionName, { flags: functionName === 'withoutShmem' ? 0 : 1 }))).pid);
      }
      // A status names a process that may not have run yet (S-56), and so has not asked for its parent-death signal: it ends when it is continued.
      await waitUntil(() => titleOf(pids[3] as number).includes('quietlyIdle'), { what: 'the one that is to be stopped to be a worker' });
      process.kill(pids[3] as number, 'SIGSTOP');
      await waitUntil(() => processState(pids[3] as number) === 'T', { what: 'one to stop' });
      pm.signal('SIGKILL');
      await waitUntil(() => [...pids, session.backendPid].every((pid) => !isAlive(pid)), { what: 'everybody to be gone' });
    });
  });

  test('L-40 … L-43: with allow_orphan_workers each kind of wait reports WL_POSTMASTER_DEATH, again and again', async () => {
    await withPostmaster(ORPHANS, async (pm) => {
      const session = await openSession(pm);
      for (const [mainArg, name] of [[0, 'async'], [1, 'sync']] as const) await launch(session, worker('seesPostmasterDie', { name, mainArg })); // prettier-ignore
      for (const name of ['async', 'sync']) await waitForSaid(pm, name, 'ready');
      pm.signal('SIGKILL');
      for (const name of ['async', 'sync']) expect((await waitForSaid(pm, name, 'died')).data).toEqual({ first: 16, again: 16, alive: false });
    });
  });

  test('L-41: data in the pipe is FATAL for who reads it, and for nobody else', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      const { pid } = await launch(session, worker('idle'));
      await waitForSaid(pm, 'idle', 'ready');
      // The postmaster has both ends of it, and its children have one; of pipes that Node made they have both.
      const theirs = [...openFds(pid).values()].filter((file) => file.startsWith('pipe:'));
      const isDeathPipe = ([fd, file]: readonly [number, string]): boolean =>
        theirs.filter((other) => other === file).length === 1 && /^flags:\s*\d*1$/m.test(readFileSync(`/proc/${pm.pid}/fdinfo/${fd}`, 'utf8'));
      const pipe = [...openFds(pm.pid)].find(isDeathPipe)?.[0];
      writeFileSync(`/proc/${pm.pid}/fd/${pipe}`, '!');
      await waitUntil(() => logLines(pm, 'FATAL').length > 0, { what: 'somebody to find it' });
      expect(logLines(pm, 'FATAL')).toEqual(['FATAL:  unexpected data in postmaster death monitoring pipe']);
      expect(isAlive(pm.pid)).toBe(true);
    });
  });

  test.skipIf(process.getuid?.() !== 0)('no orphans: not one that has changed its credentials', () =>
    withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      const { pid } = await launch(session, worker('dropsPrivileges'));
      expect((await waitForSaid(pm, 'dropsPrivileges', 'ready')).data).toEqual([65534, 65534]);
      pm.signal('SIGKILL');
      await waitUntil(() => !isAlive(pid), { what: 'the worker to be gone' });
    }),
  );

  test('L-40, L-43: with allow_orphan_workers it is seen with signals blocked, and by one that was stopped as soon as it is continued', () =>
    withPostmaster(ORPHANS, async (pm) => {
      const session = await openSession(pm);
      const names = ['blocked-async', 'blocked-sync', 'blocked-busy', 'stopped-async', 'stopped-sync', 'stopped-busy'];
      const pids: number[] = [];
      for (const [n, name] of names.entries()) {
        pids.push((await launch(session, worker('seesPostmasterDieBlocked', { name, mainArg: n % 3 }))).pid);
        await waitForSaid(pm, name, 'ready');
      }
      const stopped = pids.slice(3);
      for (const pid of stopped) process.kill(pid, 'SIGSTOP');
      await waitUntil(() => stopped.every((pid) => processState(pid) === 'T'), { what: 'three to stop' });
      pm.signal('SIGKILL');
      for (const name of names.slice(0, 3)) expect((await waitForSaid(pm, name, 'died')).data).toEqual({ blocked: true, alive: false });
      expect(stopped.map(processState)).toEqual(['T', 'T', 'T']);
      for (const pid of stopped) process.kill(pid, 'SIGCONT');
      for (const name of names.slice(3)) expect((await waitForSaid(pm, name, 'died')).data).toEqual({ blocked: true, alive: false });
      await waitUntil(() => pids.every((pid) => !isAlive(pid)), { what: 'the workers to leave' });
    }));

  test('L-44, L-45: with allow_orphan_workers they leave by WL_EXIT_ON_PM_DEATH, and sessions say why', async () => {
    await withPostmaster(ORPHANS, async (pm) => {
      const session = await openSession(pm);
      const workers = [
        await launch(session, worker('leavesWithPostmaster', { mainArg: 0 })),
        await launch(session, worker('leavesWithPostmaster', { mainArg: 1 })),
      ];
      await waitForSaid(pm, 'leavesWithPostmaster', 'ready', 2);
      pm.signal('SIGKILL');
      expect(await session.closed).toMatchObject({ message: 'terminating connection due to unexpected postmaster exit', severity: 'FATAL' });
      await waitUntil(() => workers.every(({ pid }) => !isAlive(pid)), { what: 'the workers to leave' });
      // O-01: who leaves so says nothing.
      expect(logLines(pm, 'postmaster exit')).toHaveLength(1);
    });
  });
});

describe('the next postmaster', () => {
  test('L-46: starts on the directory of one that was killed; not while a worker of that one lives', async () => {
    const { pm, end } = await startPostmaster({ ...ORPHANS, shutdown: 'immediate' });
    try {
      const session = await pm.connect();
      const { pid } = await launch(session, worker('busyLoop'));
      await waitForSaid(pm, 'busyLoop', 'ready');
      pm.signal('SIGKILL');
      await pm.exited;
      await session.closed;
      const next = (): Promise<[code: number | null, output: string]> => runPostmaster(pm.dir);
      const [code, output] = await next();
      expect(code).toBe(1);
      expect(output).toContain('FATAL:  pre-existing shared memory block is still in use');
      expect(isAlive(pid)).toBe(true);
      process.kill(pid, 'SIGKILL');
      await waitUntil(() => !isAlive(pid), { what: 'the worker to be gone' });
      expect(said(pm, 'busyLoop', 'ready')).toHaveLength(1);
      expect(readFileSync(join(pm.dir, 'postmaster.pid'), 'utf8')).toMatch(new RegExp(`^${pm.pid}\n`));
      const second = await startOn(pm.dir);
      expect(readFileSync(join(pm.dir, 'postmaster.pid'), 'utf8')).toMatch(new RegExp(`^${second.pid}\n`));
      expect(await second.stop()).toEqual([0, null]);
    } finally {
      await end();
    }
  });
});

function runPostmaster(dir: string): Promise<[code: number | null, output: string]> {
  return new Promise((resolve, reject) => {
    const child = spawnPostmaster(dir);
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject).on('close', (code) => resolve([code, output]));
  });
}

function spawnPostmaster(dir: string): ReturnType<typeof spawn> & { stderr: NodeJS.ReadableStream } {
  const args = [fixture('../../dist/postmaster/main.js'), '-D', dir, '-c', 'database=none', '-c', 'allow_root=on'];
  return spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Another postmaster, in the same directory, that a test stops by itself. */
async function startOn(dir: string): Promise<{ pid: number; stop: () => Promise<unknown> }> {
  const child = spawnPostmaster(dir);
  const exited = once(child, 'exit');
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  await waitUntil(() => log.includes('ready to accept connections'), { what: () => `the next postmaster to be ready:\n${log}` });
  return {
    pid: child.pid as number,
    stop: async () => {
      child.kill('SIGINT');
      return exited;
    },
  };
}
