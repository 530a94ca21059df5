// fork(2) that fails, for real: the user of the postmaster may have no process more. Contract S-37, S-52 to S-54.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { waitUntil, withPostmaster } from '../helpers/index.js';
import { NOT_YET_STARTED, STOPPED, WORKERS, errorOf, launch, logLines, register, worker } from './support.js';

const NOBODY = 65534;
const FAILED = 'LOG:  could not fork worker process: Resource temporarily unavailable';

/** As its own user: root may lack the right. The soft limit alone: nobody else could raise the other again. */
function prlimit(pid: number, ...args: string[]): string {
  const owner = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  return execFileSync('prlimit', ['--pid', `${pid}`, ...args], { encoding: 'utf8', ...owner }).trim();
}

test('S-52 S-53 S-54: it is logged; who is never restarted is stopped, who has an interval is tried again; nothing is lost by it', async () => {
  // Root has no such limit.
  await withPostmaster({ runAs: NOBODY, preload: [WORKERS], settings: { max_worker_processes: 3, max_connections: 2 } }, async (pm) => {
    const session = await pm.connect();
    const before = prlimit(pm.pid, '--nproc', '--noheadings', '--output=SOFT');
    prlimit(pm.pid, '--nproc=1:');
    // More of them than there are slots, or entries for children: each failure gives its own back.
    for (let n = 1; n <= 30; n++) {
      const handle = await register(session, worker('quietlyIdle', { name: `stillborn ${n}` }));
      expect(await session.waitForBackgroundWorkerStartup(handle)).toMatchObject(STOPPED);
    }
    expect(logLines(pm, 'could not fork')).toEqual(Array.from({ length: 30 }, () => FAILED));
    const refusal = 'could not fork new process for connection: Resource temporarily unavailable';
    expect(await errorOf(pm.connect())).toMatchObject({ severity: 'FATAL', code: '58000', message: refusal });
    const patient = await register(session, worker('quietlyIdle', { name: 'patient', restartTime: 1 }));
    await waitUntil(() => logLines(pm, FAILED).length >= 32, { what: 'it to be tried again' });
    expect(await session.getBackgroundWorkerPid(patient)).toEqual(NOT_YET_STARTED);
    prlimit(pm.pid, `--nproc=${before}:`);
    expect(await session.waitForBackgroundWorkerStartup(patient)).toMatchObject({ status: 0 });
    for (let n = 0; n < 2; n++) await launch(session, worker('quietlyIdle'));
    expect(await session.registerDynamicBackgroundWorker(worker('quietlyIdle'))).toBeNull();
    await pm.connect();
    expect(logLines(pm, 'no slot available')).toEqual([]);
  });
});
