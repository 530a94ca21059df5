// How a worker can end, and what becomes of it: finished, failed, or a crash that takes everybody along. Contract 4.1, 4.2, 7.3.
import { describe, expect, test } from 'vitest';
import { waitUntil } from '../helpers/index.js';
import { STOPPED, end, launch, logLines, openSession, register, reopenSession, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster({ settings: { log_min_messages: 'debug1' } });

/** Runs a worker, named for the case, until it has exited; the lines that it logged itself. */
async function run(
  name: string,
  functionName: string,
  mainArg: number,
  restartTime: number,
): Promise<{ lines: string[]; exit: string; forgotten: boolean }> {
  const session = await openSession(pm);
  const handle = await register(session, worker(functionName, { name, mainArg, restartTime }));
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  const exited = new RegExp(`background worker "${name.replace(/[()]/g, '\\$&')}" \\(PID (\\d+)\\) exited with exit code`);
  const pid = exited.exec(await pm.waitForLog(exited))?.[1];
  const lines = pm.log().split('\n').filter((line) => line.includes(`[${pid}]`)); // prettier-ignore
  const listed = (await session.activity()).some((entry) => entry.name === name);
  await session.terminateBackgroundWorker(handle);
  return { lines: lines.map((line) => line.replace(/^.*?\] /, '')), exit: logLines(pm, `"${name}" (PID ${pid})`)[0] as string, forgotten: !listed };
}

describe('C-13: exit status 0: unregistered, whatever the interval', () => {
  test.each([
    ['returns', 'returns', 0],
    ['resolves', 'resolves', 0],
    ['calls procExit(0)', 'procExits', 0],
    ['calls process.exit(0)', 'processExits', 0],
    ['sets process.exitCode and returns', 'ignoresExitCode', 0],
  ])('X-12: main %s', async (name, functionName, arg) => {
    const { lines, exit, forgotten } = await run(name, functionName, arg, 3600);
    expect([lines, forgotten]).toEqual([[], true]);
    expect(exit).toMatch(/^DEBUG: {2}.* exited with exit code 0$/);
  });
});

describe('C-08: exit status 1: an error in the log, and restarted after the interval', () => {
  const FRAMES = expect.stringMatching(/^CONTEXT: {2}at /) as string;
  test.each([
    ['throws', 'throws', 0, ['ERROR:  boom', FRAMES]],
    ['throws an ErrorData', 'throwsErrorData', 0, ['ERROR:  division by zero', 'DETAIL:  It was zero.', 'HINT:  Do not.', 'CONTEXT:  here']],
    ['throws what is no error', 'throwsText', 0, ['ERROR:  only a text']],
    ['reports at FATAL', 'throwsFatal', 0, ['FATAL:  cannot go on']],
    ['rejects', 'rejects', 0, ['ERROR:  rejected', FRAMES]],
    ['leaves an exception uncaught', 'uncaught', 0, ['ERROR:  nobody caught it', FRAMES]],
    ['leaves a rejection unhandled', 'unhandled', 0, ['ERROR:  nobody handled it', FRAMES]],
    [
      'can never settle',
      'neverSettles',
      0,
      [
        'ERROR:  main function of background worker "can never settle" will never settle',
        'DETAIL:  It waits for a promise, and nothing is left in the event loop that could resolve it.',
      ],
    ],
    [
      'can never settle, and has collected garbage',
      'neverSettlesAfterCollection',
      0,
      [
        'ERROR:  main function of background worker "can never settle, and has collected garbage" will never settle',
        'DETAIL:  It waits for a promise, and nothing is left in the event loop that could resolve it.',
      ],
    ],
    ['calls procExit(1)', 'procExits', 1, []],
    ['calls process.exit(1)', 'processExits', 1, []],
  ])('X-12, C-28: main %s', async (name, functionName, arg, expected) => {
    const { lines, exit, forgotten } = await run(name, functionName, arg, 3600);
    expect([lines, forgotten]).toEqual([expected, false]);
    expect(exit).toMatch(/^LOG: {2}.* exited with exit code 1$/);
  });

  test('X-14: with BGW_NEVER_RESTART it is unregistered', async () => {
    expect(await run('never again', 'throws', 0, -1)).toMatchObject({ forgotten: true });
  });
});

describe('a crash', () => {
  /** A session that hears of its end, a bystander, and a worker that crashes. Returns what can be looked at when all is over. */
  async function crash(functionName: string, mainArg: number, kill?: NodeJS.Signals): Promise<string> {
    const session = await pm.connect();
    const mark = pm.log().length;
    const bystander = `bystander-${functionName}-${mainArg}`;
    const { handle } = await launch(session, worker('idle', { name: bystander, restartTime: 3600 }));
    await waitForSaid(pm, bystander, 'ready');
    const registered = register(session, worker(functionName, { name: 'crasher', type: 'crasher type', mainArg, restartTime: -1 }));
    if (kill !== undefined) process.kill((await session.waitForBackgroundWorkerStartup(await registered)).pid as number, kill);
    // It may have crashed before the answer is out.
    else await registered.catch((err: Error & { code?: string }) => expect(err.code).toBe('08006'));
    expect(await session.closed).toMatchObject({ code: '08006', message: 'the postmaster closed the session unexpectedly' });
    const again = await reopenSession(pm);
    // restarted at once, whatever the interval; the one that is never restarted is gone.
    await waitForSaid(pm, bystander, 'ready', 2);
    const workers = (await again.activity()).filter(({ name }) => name === bystander || name === 'crasher');
    expect(workers.map(({ name }) => name)).toEqual([bystander]);
    expect(workers[0]?.slot).toBe(0);
    expect(await again.getBackgroundWorkerPid({ slot: 0, generation: 0n })).toMatchObject({ status: 0, pid: workers[0]?.pid });
    // P-14: generations start again in fresh memory; the old handle's owner is gone.
    expect(handle.generation).toBeGreaterThan(0n);
    await again.terminateBackgroundWorker({ slot: 0, generation: 0n });
    await waitUntil(async () => (await again.activity()).every(({ slot }) => slot === null), { what: 'the bystander to end' });
    // Slots and answers go out before the lines of the log do.
    const exited = new RegExp(`"${bystander}" \\(PID \\d+\\) exited with exit code 1\\n`);
    await waitUntil(() => exited.test(pm.log().slice(mark)), { what: 'the line of its exit' });
    return pm.log().slice(mark);
  }

  test.each([
    ['X-01', 'exit code 2', 'procExits', 2, 'exited with exit code 2'],
    ['X-01', 'process.exit(255)', 'processExits', 255, 'exited with exit code 255'],
    ['X-01', 'process.abort()', 'aborts', 0, 'was terminated by signal 6: Aborted'],
    ['X-01', 'PANIC', 'panics', 0, 'was terminated by signal 6: Aborted'],
    ['X-01', 'a segmentation fault', 'segfaults', 0, 'was terminated by signal 11: Segmentation fault'],
    ['X-01', 'SIGKILL from outside', 'quietlyIdle', 0, 'was terminated by signal 9: Killed', 'SIGKILL'],
    ['X-01', 'SIGQUIT from outside', 'quietlyIdle', 1, 'exited with exit code 2', 'SIGQUIT'],
    ['X-03', 'exit 0 without leaving shared memory', 'leavesDirty', 0, 'exited with exit code 0'],
    ['X-03', 'exit 1 without leaving shared memory', 'leavesDirty', 1, 'exited with exit code 1'],
  ] as const)('%s, X-20, X-25: %s ends everybody, and all begins anew', async (...row) => {
    const [, , functionName, arg, how, kill] = row;
    const log = await crash(functionName, arg, kill);
    const lines = log.split('\n').filter((line) => line.includes('] LOG:  ') && !line.includes('LOG:  @')); // prettier-ignore
    expect(lines.map((line) => line.replace(/^.*?\] /, ''))).toEqual([
      expect.stringMatching(new RegExp(`^LOG: {2}background worker "crasher type" \\(PID \\d+\\) ${how}$`)),
      'LOG:  terminating any other active server processes',
      'LOG:  all server processes terminated; reinitializing',
      'LOG:  database system is ready to accept connections',
      expect.stringMatching(/^LOG: {2}background worker "bystander-.*" \(PID \d+\) exited with exit code 1$/),
    ]);
  });
});

test('X-02: a worker without shared memory access never causes a crash', async () => {
  const session = await openSession(pm);
  for (const [functionName, mainArg, how] of [
    ['procExits', 3, 'exited with exit code 3'],
    ['aborts', 0, 'was terminated by signal 6'],
  ] as const) {
    const handle = await register(session, worker(functionName, { name: `apart-${functionName}`, flags: 0, mainArg }));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    await pm.waitForLog(new RegExp(`"apart-${functionName}" \\(PID \\d+\\) ${how}`));
  }
  await end(session, (await launch(session, worker('idle'))).handle); // the session is the same
});
