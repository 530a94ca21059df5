// Limits of a worker's resources: set as the setting and the descriptor say, and what it looks like to run into one. docs/settings.md.
import { describe, expect, test } from 'vitest';
import type { SessionBackgroundWorker } from '../../dist/session/client.js';
import { fixture } from '../helpers/index.js';
import { STOPPED, errorOf, logLines, openSession, register, said, sharedPostmaster, worker } from './support.js';

const LIBRARY = fixture('limited-workers.mjs');
const MB = 1024 ** 2;
const pm = sharedPostmaster({
  preload: [LIBRARY],
  settings: { worker_rlimits: 'RLIMIT_NOFILE=200:300, RLIMIT_CORE=0', log_min_messages: 'debug1' },
});

const limited = (functionName: string, rlimits: string, fields: Partial<SessionBackgroundWorker> = {}): SessionBackgroundWorker =>
  worker(functionName, { libraryName: LIBRARY, rlimits, ...fields });
/** How it ended, as the log has it. */
async function how(descriptor: SessionBackgroundWorker): Promise<string> {
  const session = await openSession(pm);
  await session.waitForBackgroundWorkerShutdown(await register(session, descriptor));
  const exit = new RegExp(`background worker "${descriptor.name}" \\(PID \\d+\\) ((?:exited|was) .*)`);
  return exit.exec(await pm.waitForLog(exit))?.[1] ?? '';
}
const lines = (functionName: string, level: string): string[] =>
  logLines(pm, level).filter((line) => line.startsWith(level) && line.includes(`"${functionName}"`));

describe('what is set', () => {
  test('of the setting, and of the descriptor over it; the heap’s too; and nothing of it in the postmaster or in the next worker', async () => {
    await how(limited('limits', 'RLIMIT_NOFILE=100, RLIMIT_CPU=7s, max_old_space_size=64MB', { name: 'own' }));
    const [own] = said(pm, 'own', 'limits');
    expect(own?.data).toMatchObject({ files: ['100', '100'], cpu: ['7', '12'], core: ['0', '0'], fsize: ['unlimited', 'unlimited'] });
    const heap = (at: typeof own): number => (at as { data: { heap: number } }).data.heap;
    // V8 adds the young generation, and never goes below what lives and a quarter of it.
    expect(heap(own)).toBeLessThan(300 * MB);
    await how(limited('limits', '', { name: 'plain' }));
    const [plain] = said(pm, 'plain', 'limits');
    expect(plain?.data).toMatchObject({ files: ['200', '300'], cpu: ['unlimited', 'unlimited'], core: ['0', '0'] });
    expect(heap(plain)).toBeGreaterThan(heap(own));
  });
});

describe('what happens at a limit', () => {
  test('descriptors: EMFILE', async () => {
    expect(await how(limited('opensFiles', 'RLIMIT_NOFILE=100'))).toBe('exited with exit code 0');
    expect(said(pm, 'opensFiles', 'refused')[0]?.data).toEqual({ code: 'EMFILE', some: true });
  });

  test('size of files: EFBIG, no signal', async () => {
    expect(await how(limited('writesFile', 'RLIMIT_FSIZE=1MB'))).toBe('exited with exit code 0');
    expect(said(pm, 'writesFile', 'refused')[0]?.data).toBe('EFBIG');
  });

  test('processor time: FATAL, in order, status 1', async () => {
    expect(await how(limited('usesProcessor', 'RLIMIT_CPU=1s:1h'))).toBe('exited with exit code 1');
    expect(lines('usesProcessor', 'FATAL')).toEqual([
      'FATAL:  terminating background worker "usesProcessor" because it has used up its processor time',
    ]);
    expect(said(pm, 'usesProcessor', 'left')).toHaveLength(1);
  });

  // Without shared memory: these are crashes.
  test('processor time, where the worker never looks: killed at the hard limit', async () => {
    expect(await how(limited('usesProcessorBlindly', 'RLIMIT_CPU=1s:1s', { flags: 0 }))).toBe('was terminated by signal 9: Killed');
  });

  test('the heap: said in the log, then V8’s own end', async () => {
    expect(await how(limited('usesHeap', 'max_old_space_size=40MB', { flags: 0 }))).toBe('was terminated by signal 6: Aborted');
    expect(lines('usesHeap', 'FATAL')).toEqual([
      `FATAL:  background worker "usesHeap" has reached the limit of its heap, ${40 * MB} bytes (max_old_space_size)`,
    ]);
  });

  test('memory that is not V8’s heap: an error, or V8’s own end', async () => {
    expect(await how(limited('usesMemory', 'RLIMIT_DATA=2GB', { flags: 0 }))).toMatch(
      /^(exited with exit code 1|was terminated by signal (6|5|11): )/,
    );
  });
});

describe('what cannot be set', () => {
  test.each([
    ['RLIMIT_FOO=1', /unrecognized resource "RLIMIT_FOO"; there are RLIMIT_CPU, /],
    ['RLIMIT_NOFILE', /"RLIMIT_NOFILE" has not the form NAME=SOFT or NAME=SOFT:HARD$/],
    ['RLIMIT_NOFILE=20MB', /"RLIMIT_NOFILE=20MB": the value of RLIMIT_NOFILE is a whole number, or "unlimited"$/],
    ['RLIMIT_NOFILE=5:4', /"RLIMIT_NOFILE=5:4": the soft limit is above the hard one$/],
  ])('%s: refused at the registration, 22023', async (rlimits, message) => {
    const session = await openSession(pm);
    const error = await errorOf(session.registerDynamicBackgroundWorker(limited('limits', rlimits)));
    expect(error).toMatchObject({ code: '22023' });
    expect(error['message']).toMatch(message);
    expect(error['message']).toMatch(/^background worker "limits": invalid resource limits: /);
  });

  test('less memory than the worker has already: FATAL with both numbers and a way out, status 1', async () => {
    expect(await how(limited('limits', 'RLIMIT_AS=1MB', { name: 'narrow' }))).toBe('exited with exit code 1');
    expect(lines('narrow', 'FATAL')).toEqual(['FATAL:  could not set RLIMIT_AS of background worker "narrow" to 1048576']);
    expect(logLines(pm, 'The worker has ')[0]).toMatch(/^DETAIL: {2}The worker has \d+ bytes of it before it begins, most of it reserved by V8\.$/);
  });

  test.runIf(process.getuid?.() !== 0)('more than the hard limit allows: FATAL', async () => {
    expect(await how(limited('limits', 'RLIMIT_CORE=0:unlimited, RLIMIT_NOFILE=2000000000', { name: 'greedy' }))).toBe('exited with exit code 1');
    expect(lines('greedy', 'FATAL')[0]).toMatch(/^FATAL: {2}could not set RLIMIT_NOFILE of background worker "greedy" to 2000000000: /);
  });
});

test('none of them was a crash of all', async () => {
  expect(logLines(pm, 'terminating any other')).toEqual([]);
  const session = await openSession(pm);
  expect(await session.waitForBackgroundWorkerShutdown(await register(session, limited('limits', '')))).toBe(STOPPED.status);
});
