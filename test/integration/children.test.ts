// What a child is, and what it has and has not from its postmaster: title, session, descriptors, pid, randomness. Contract 7.1, 11.3; fork-safety.
import { constants, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openFds, parentOf, processState, titleOf, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, WORKERS, end, launch, logLines, openSession, register, sharedPostmaster, waitForSaid, worker } from './support.js';

const { O_RDONLY, O_WRONLY } = constants;

const pm = sharedPostmaster({ settings: { max_worker_processes: 60 } });

const kindsOf = (files: Iterable<readonly [number, string]>): string[] =>
  [...files].map(([fd, file]) => (fd <= 2 ? `${fd}` : file.replace(/\d+/g, 'N').replace(/^.*\/postmaster\.pid/, 'postmaster.pid'))).toSorted();

describe('identity', () => {
  test('C-02: 50 siblings: own pid, own session and group, and no two draw the same random numbers', async () => {
    const session = await openSession(pm);
    const workers = await Promise.all(Array.from({ length: 50 }, (_, n) => launch(session, worker('identity', { name: `sibling${n}` }))));
    const drawn: unknown[][] = [];
    for (const [n, { pid }] of workers.entries()) {
      const data = (await waitForSaid(pm, `sibling${n}`, 'identity')).data as Record<string, unknown>;
      expect(data).toMatchObject({ pid, myProcPid: pid, kernelPid: pid, parent: pm.pid, group: pid, session: pid });
      drawn.push(data['random'] as unknown[]);
    }
    // Math.random, two kinds of randomUUID, randomInt, randomBytes, and randomUUIDv7 where there is one.
    for (const kind of (drawn[0] as unknown[]).keys()) expect(new Set(drawn.map((numbers) => numbers[kind])).size).toBe(50);
    await Promise.all(workers.map(({ handle }) => end(session, handle)));
  });

  test('I4: uptime is the child’s own', async () => {
    const session = await openSession(pm);
    const begin = Date.now();
    const { handle } = await launch(session, worker('identity', { name: 'young' }));
    const { uptime } = (await waitForSaid(pm, 'young', 'identity')).data as { uptime: number };
    expect(uptime).toBeGreaterThan(0);
    expect(uptime * 1000).toBeLessThan(Date.now() - begin);
    await end(session, handle);
  });

  test('the pid is right where the log shows it, and in sessions', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('idle', { name: 'pids' }));
    expect(await waitForSaid(pm, 'pids', 'ready')).toEqual({ pid, data: pid });
    expect(parentOf(pid)).toBe(pm.pid);
    await end(session, handle);
  });

  test('Node works on after the fork: thread pool, imports, programs; the title can be read', async () => {
    const session = await openSession(pm);
    await register(session, worker('usesNode', { name: 'node' }));
    const { data } = await waitForSaid(pm, 'node', 'node');
    expect(data).toEqual({ comm: 'postgres', zipped: true, program: 'hello', title: 'postgres: bgworker: node ' });
  });
});

describe('titles', () => {
  test('C-04, O-20: workers and sessions, as PostgreSQL’s, with the trailing blank', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('idle', { name: 'a name', type: 'a type' }));
    await waitUntil(() => titleOf(pid) === 'postgres: bgworker: a name ', { what: () => `the title, which is "${titleOf(pid)}"` });
    expect(titleOf(session.backendPid)).toBe(`postgres: bgworker: session of PID ${process.pid} `);
    expect(readFileSync(`/proc/${pid}/comm`, 'utf8')).toBe('postgres\n');
    await end(session, handle);
  });
});

describe('post_auth_delay', () => {
  test('C-06: a worker waits with its title, before it has any handler and with signals blocked; SIGQUIT ends it all the same', async () => {
    await withPostmaster({ preload: [WORKERS], conf: '', shutdown: 'immediate' }, async (own) => {
      const session = await openSession(own);
      writeFileSync(join(own.dir, 'bgworker.conf'), 'post_auth_delay = 30min\n');
      own.signal('SIGHUP');
      await own.waitForLog('parameter "post_auth_delay" changed to "30min"');
      const { pid } = await launch(session, worker('masks', { name: 'waits' }));
      await waitUntil(() => titleOf(pid) === 'postgres: bgworker: waits ' && processState(pid) === 'S', { what: 'the worker to sleep' });
      const mask = (field: string): bigint =>
        BigInt(`0x${new RegExp(`^${field}:\\s*(\\w+)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]}`);
      const [term, hup] = [1n << 14n, 1n];
      expect([mask('SigBlk') & term, mask('SigIgn') & hup]).toEqual([term, 0n]);
      process.kill(pid, 'SIGQUIT');
      await own.waitForLog('all server processes terminated; reinitializing');
    });
  });
});

describe('descriptors', () => {
  test('C-01: a worker has what it needs, and nothing of its postmaster’s or of sessions', async () => {
    const [session, other] = [await openSession(pm), await openSession(pm)];
    const { handle, pid } = await launch(session, worker('files'));
    const { data } = await waitForSaid(pm, 'files', 'files');
    const { open, cwd, umask } = data as { open: [number, string][]; cwd: string; umask: number };
    expect([cwd, umask]).toEqual([pm.dir, 0o077]);
    // Newer libuv gives each event loop a ring; uv_loop_fork makes a new one in the child.
    const kinds = kindsOf(open).filter((kind) => kind !== 'anon_inode:[io_uring]');
    // The listening socket and sessions' sockets are sockets; the write end of the death pipe is the postmaster's alone.
    const expected = [
      '/memfd:bgworker (deleted)',
      '0',
      '1',
      '2',
      'anon_inode:[eventfd]',
      'anon_inode:[eventpoll]',
      'anon_inode:[signalfd]',
      'pipe:[N]',
    ];
    expect([...new Set(kinds)]).toEqual([...expected, 'postmaster.pid']);
    const count = (wanted: string): number => kinds.filter((kind) => kind === wanted).length;
    // The shared mapping, and the file that dynamic segments are made out of.
    expect(['/memfd:bgworker (deleted)', 'anon_inode:[signalfd]', 'postmaster.pid'].map(count)).toEqual([2, 1, 1]);
    // The death pipe is the one that the postmaster can write to and a child can only read.
    const deathPipes = [pid, session.backendPid, other.backendPid].map((child) =>
      pipesOf(child).filter(({ read, write, name }) => read && !write && pipesOf(pm.pid).some((pipe) => pipe.name === name && pipe.write)),
    );
    expect(deathPipes.map(({ length }) => length)).toEqual([1, 1, 1]);
    expect(new Set(deathPipes.flat().map(({ name }) => name)).size).toBe(1);
    await end(session, handle);
  });

  test('C-01: every worker has the same ones, a session’s backend has its client’s socket besides', async () => {
    const session = await openSession(pm);
    const lists: string[][] = [];
    for (let n = 0; n < 3; n++) {
      const { handle, pid } = await launch(session, worker('idle', { name: `fds${n}` }));
      await waitForSaid(pm, `fds${n}`, 'ready');
      lists.push(kindsOf(openFds(pid)));
      await end(session, handle);
    }
    expect(lists[1]).toEqual(lists[0]);
    expect(lists[2]).toEqual(lists[0]);
    const backend = kindsOf(openFds(session.backendPid));
    expect(backend.filter((kind) => kind === 'socket:[N]')).toHaveLength(1);
    // libuv keeps a descriptor in reserve for accepting connections when there are no more, as soon as there is a socket.
    expect(backend.filter((kind) => kind !== 'socket:[N]' && kind !== '/dev/null')).toEqual(lists[0]);
  });

  test('after 200 workers and 50 sessions the postmaster has the descriptors that it had, and no zombies', async () => {
    const session = await openSession(pm);
    // The session's socket is its backend's, which answers before the postmaster has closed it.
    const sockets = (): string[] => kindsOf(openFds(pm.pid)).filter((kind) => kind === 'socket:[N]');
    await waitUntil(() => sockets().length === 1, { what: 'the postmaster to have the socket alone that it listens on' });
    const before = kindsOf(openFds(pm.pid));
    for (let round = 0; round < 5; round++) {
      const handles = await Promise.all(Array.from({ length: 40 }, () => register(session, worker('returns'))));
      for (const handle of handles) expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(2);
      await Promise.all(Array.from({ length: 10 }, async () => (await pm.connect()).close()));
      await waitUntil(async () => (await session.activity()).length === 2, { what: 'only the session to be left' });
    }
    await waitUntil(() => pm.children().length === 1, { what: () => `the children to be reaped: ${pm.children().map(processState).join()}` });
    expect(kindsOf(openFds(pm.pid))).toEqual(before);
    expect(logLines(pm, 'terminating any other')).toEqual([]);
    expect(await session.call(CALLS, 'echo', 1)).toEqual([1]);
  });
});

describe('shared memory', () => {
  test('without BGWORKER_SHMEM_ACCESS a worker has no mapping of it, nor the lock file; and is ended as any other', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('withoutShmem', { name: 'apart', flags: 0 }));
    expect((await waitForSaid(pm, 'apart', 'shmem')).data).toEqual({ maps: false, poll: 'XX000: shared memory is not attached' });
    await waitForSaid(pm, 'apart', 'ready');
    expect([...openFds(pid).values()].filter((file) => file.includes('memfd') || file.endsWith('postmaster.pid'))).toEqual([]);
    await end(session, handle);
    await pm.waitForLog(`background worker "apart" (PID ${pid}) exited with exit code 1`);
  });
});

interface Pipe {
  readonly name: string;
  readonly read: boolean;
  readonly write: boolean;
}

/** The pipes of a process, and which ends of each it has. */
function pipesOf(pid: number): Pipe[] {
  const ends = [...openFds(pid)].filter(([fd, file]) => fd > 2 && file.startsWith('pipe:'));
  return [...new Set(ends.map(([, file]) => file))].map((name) => {
    const modes = new Set(ends.filter(([, file]) => file === name).map(([fd]) => accessMode(pid, fd)));
    return { name, read: modes.has(O_RDONLY), write: modes.has(O_WRONLY) };
  });
}

function accessMode(pid: number, fd: number): number {
  const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1];
  return Number.parseInt(flags ?? '', 8) & 0o3;
}
