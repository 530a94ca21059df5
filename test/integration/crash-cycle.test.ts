// What a crash does to those who had no part in it, and the ways in which a cycle can end. Contract 4.3.
import { describe, expect, test } from 'vitest';
import { type Postmaster, isAlive, processState, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, end, errorOf, launch, logLines, openSession, register, reopenSession, said, waitForSaid, worker } from './support.js';

/** What the last process that crashed was running, as the log has it. */
function running(pm: Postmaster): string | undefined {
  const [, text] = [...pm.log().matchAll(/DETAIL: {2}Failed process was running: (.*(?:\n\t.*)*)/g)].at(-1) ?? [];
  return text?.replaceAll('\n\t', '\n');
}

describe('a crash cycle', () => {
  test('X-23: who does not die of SIGQUIT is killed after five seconds, and sessions are refused meanwhile', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await pm.connect();
      const { pid } = await launch(session, worker('quietlyIdle', { name: 'stopped' }));
      process.kill(pid, 'SIGSTOP');
      await waitUntil(() => processState(pid) === 'T', { what: 'the worker to stop' });
      const begin = performance.now();
      await register(session, worker('procExits', { name: 'crasher', mainArg: 2 }));
      await session.closed;
      expect(await errorOf(pm.connect())).toMatchObject({ code: '57P03', message: 'the database system is in recovery mode', severity: 'FATAL' });
      await pm.waitForLog('LOG:  issuing SIGKILL to recalcitrant children');
      expect(performance.now() - begin).toBeGreaterThan(4_900);
      const again = await reopenSession(pm);
      await end(again, (await launch(again, worker('idle'))).handle);
      expect(isAlive(pid)).toBe(false);
      // of those who die in the cycle there is no line.
      expect(logLines(pm, 'background worker "stopped"')).toEqual([]);
    });
  });

  test('X-26: static workers come back, all of them at once; sessions of applications can, too, any number of times', async () => {
    const env = { BGW_TEST_REGISTER: JSON.stringify(['a', 'b'].map((name) => ({ ...worker('idle', { name, restartTime: 3600 }), notifyPid: 0 }))) };
    await withPostmaster({ preload: [CALLS.replace('calls', 'register-static')], env }, async (pm) => {
      for (let cycle = 1; cycle <= 3; cycle++) {
        for (const name of ['a', 'b']) await waitForSaid(pm, name, 'ready', cycle);
        const session = await reopenSession(pm);
        const call = errorOf(session.call(CALLS, 'interruptible'));
        process.kill(said(pm, 'a', 'ready').at(-1)?.pid as number, 'SIGKILL');
        expect(await call).toMatchObject({ code: '08006', detail: expect.stringContaining('terminated abnormally') as string });
      }
      for (const name of ['a', 'b']) await waitForSaid(pm, name, 'ready', 4);
      const all = await (await reopenSession(pm)).activity();
      // The postmaster's row tells since when it is there: since before the crash, and the test.
      const begin = all.find(({ kind }) => kind === 'postmaster')?.startedAt ?? 0;
      expect(begin).toBeGreaterThan(Date.now() - 600_000);
      expect(begin).toBeLessThan(Math.min(...all.flatMap(({ kind, startedAt }) => (kind === 'postmaster' || startedAt === null ? [] : [startedAt]))));
      const listed = all.filter(({ kind }) => kind === 'background worker');
      expect(listed.map(({ name, slot }) => [name, slot])).toEqual([['b', 0], ['a', 1]]); // prettier-ignore
    });
  });

  const crashed = {
    code: '57P02',
    message: 'terminating connection because of crash of another server process',
    detail:
      'The postmaster has commanded this server process to roll back the current transaction and exit, because another server process exited abnormally and possibly corrupted shared memory.',
    hint: 'In a moment you should be able to reconnect to the database and repeat your command.',
  };
  const shutDown = { code: '57P01', message: 'terminating connection due to immediate shutdown command' };
  test.each([
    ['X-20: a crash', 'SIGKILL', crashed],
    ['T-23: an immediate shutdown', 'SIGQUIT', shutDown],
  ] as const)('%s ends a session with a WARNING that says why', async (_title, signal, why) => {
    await withPostmaster({ shutdown: 'immediate' }, async (pm) => {
      const session = await pm.connect();
      const notices: unknown[] = [];
      session.on('notice', (notice) => notices.push(notice));
      const { pid } = await launch(session, worker('idle'));
      process.kill(signal === 'SIGKILL' ? pid : pm.pid, signal);
      await session.closed;
      expect(notices).toEqual([{ level: 'WARNING', ...why }]);
    });
  });

  test('X-20: a SIGQUIT that the postmaster has not sent ends a session with a WARNING, in the log, too', async () => {
    await withPostmaster({ settings: { log_line_prefix: '%p %b %e ' } }, async (pm) => {
      const session = await pm.connect();
      const notices: unknown[] = [];
      session.on('notice', (notice) => notices.push(notice));
      process.kill(session.backendPid, 'SIGQUIT');
      await session.closed;
      const message = 'terminating connection because of unexpected SIGQUIT signal';
      expect(notices).toEqual([{ level: 'WARNING', code: '57P01', message }]);
      await pm.waitForLog(`server process (PID ${session.backendPid}) exited with exit code 2`);
      // The others' reason stands in the log already.
      expect(logLines(pm, 'terminating connection')).toEqual([`${session.backendPid} client backend 57P01 WARNING:  ${message}`]);
    });
  });

  test('X-28: a worker that always crashes keeps the server in a loop, and a shutdown ends that', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await pm.connect();
      await register(session, worker('procExits', { name: 'crasher', mainArg: 2, restartTime: 3600 }));
      await waitUntil(() => logLines(pm, 'all server processes terminated; reinitializing').length >= 5, { what: 'five cycles' });
      // A fast shutdown that falls into a cycle ends with it, and with status 1.
      expect([0, 1]).toContain(await pm.stop('fast'));
      expect(logLines(pm, 'database system is shut down')).toHaveLength(1);
    });
  });

  test('X-20: a session’s backend that crashes begins one just the same', async () => {
    await withPostmaster({}, async (pm) => {
      const [session, other] = [await pm.connect(), await pm.connect()];
      const call = errorOf(session.call(CALLS, 'aborts'));
      expect(await call).toMatchObject({ code: '08006' });
      await other.closed;
      // Signals come before log lines within a step: the other one may have ended first.
      const line = `server process (PID ${session.backendPid}) was terminated by signal 6: Aborted`;
      await pm.waitForLog(line);
      expect(logLines(pm, line)).toHaveLength(1);
      const again = await reopenSession(pm);
      expect(await again.call(CALLS, 'echo', 1)).toEqual([1]);
      // The one that was connected when it crashed says so on each call.
      expect(await errorOf(session.call(CALLS, 'echo'))).toMatchObject({ code: '08006' });
    });
  });

  test('X-01: the line of a worker that is killed says what it was running: at most 1,023 bytes, and nothing but ASCII', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await pm.connect();
      const text = `SELECT 'zwölf\u0007'\n\tFROM t -- ${'ö'.repeat(30)}`;
      const reports = (name: string): ReturnType<typeof launch> => launch(session, worker('reportsActivity', { name, extra: text }));
      const [ended, killed] = [await reports('ended'), await reports('killed')];
      for (const name of ['ended', 'killed']) await waitForSaid(pm, name, 'reported');
      await end(session, ended.handle);
      process.kill(killed.pid, 'SIGKILL');
      await pm.waitForLog('terminating any other active server processes');
      // One that leaves with status 1 has emptied its entry.
      expect(logLines(pm, '"ended" (PID').concat(logLines(pm, 'DETAIL'))).toEqual([
        `LOG:  background worker "ended" (PID ${ended.pid}) exited with exit code 1`,
        expect.stringMatching(/^DETAIL: {2}Failed process was running: /),
      ]);
      const ascii = Buffer.from(text.repeat(20)).subarray(0, 1023).toString('latin1').replaceAll(/[^\n\t -~]/g, '?'); // prettier-ignore
      // Cut between characters, the last of which may not have fitted in.
      expect([ascii, ascii.slice(0, -1)]).toContain(running(pm));
    });
  });

  test('X-01: that of a session’s backend says which function it was running, or ran last', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await pm.connect();
      const call = errorOf(session.call(CALLS, 'interruptible'));
      const other = await pm.connect();
      const isUnderWay = async (): Promise<boolean> => (await other.activity()).some(({ pid, query }) => pid === session.backendPid && query === 'interruptible'); // prettier-ignore
      await waitUntil(isUnderWay, { what: 'the call to be under way' });
      process.kill(session.backendPid, 'SIGKILL');
      expect(await call).toMatchObject({ code: '08006' });
      await pm.waitForLog('terminating any other active server processes');
      expect(running(pm)).toBe('interruptible');
      const idle = await reopenSession(pm);
      await idle.call(CALLS, 'echo', 1);
      process.kill(idle.backendPid, 'SIGKILL');
      await waitUntil(() => running(pm) === 'echo', { what: () => `the DETAIL of the second crash:\n${pm.log()}` });
    });
  });

  // Its signals wait while it is held. Which thread of it takes which of them first is chance; the order in which they are served is not.
  test('T-10: a registration and a crash that the postmaster finds together: the worker is started, and again after the cycle', async () => {
    await withPostmaster({ settings: { log_min_messages: 'debug1' } }, async (pm) => {
      for (let round = 1; round <= 6; round++) {
        const name = `late-${round}`;
        const [session, victim] = [await reopenSession(pm), await reopenSession(pm)];
        process.kill(pm.pid, 'SIGSTOP');
        await waitUntil(() => processState(pm.pid) === 'T', { what: 'the postmaster to stop' });
        await register(session, worker('idle', { name, restartTime: 3600 }));
        process.kill(victim.backendPid, 'SIGKILL');
        await waitUntil(() => processState(victim.backendPid) === 'Z', { what: 'the session to die' });
        process.kill(pm.pid, 'SIGCONT');
        await waitForSaid(pm, name, 'ready');
        await waitUntil(() => logLines(pm, 'all server processes terminated').length === round, { what: `cycle ${round}` });
        await waitUntil(() => logLines(pm, `starting background worker process "${name}"`).length >= 2, { what: 'the second start' });
      }
    });
  });

  test('X-29a: with restart_after_crash off the server ends, with status 1', async () => {
    await withPostmaster({ settings: { restart_after_crash: 'off' } }, async (pm) => {
      const session = await pm.connect();
      await register(session, worker('procExits', { mainArg: 2 }));
      expect(await pm.exited).toBe(1);
      expect(logLines(pm, 'LOG:  shutting down because restart_after_crash is off')).toHaveLength(1);
      expect(await session.closed).toMatchObject({ code: '08006' });
    });
  });
});

describe('no crash cycle', () => {
  test('a session that ends by process.exit, procExit or an error of its own takes nobody along', async () => {
    await withPostmaster({}, async (pm) => {
      const other = await openSession(pm);
      for (const [fn, arg] of [['leaves', 0], ['leaves', 1], ['procExits', 1], ['failsLater'], ['failsFatally']] as const) {
        const session = await pm.connect();
        expect(await errorOf(session.call(CALLS, fn, arg))).toMatchObject({ severity: expect.stringMatching('ERROR|FATAL') as string });
        await session.closed;
      }
      expect(await other.call(CALLS, 'echo', 1)).toEqual([1]);
      expect(logLines(pm, 'terminating any other')).toEqual([]);
    });
  });
});
