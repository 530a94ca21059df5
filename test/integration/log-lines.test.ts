// Who writes what into the log in the life of a worker, and what of it is there at which log_min_messages. Contract 11.1.
import { describe, expect, test } from 'vitest';
import { withPostmaster } from '../helpers/index.js';
import type { BackgroundWorkerHandle } from '../../dist/bgworker/handle.js';
import { WORKERS, logLines, register, runToEnd, worker } from './support.js';

/** The pids that lines with this text were written by. */
function writers(log: string, text: string): number[] {
  return log
    .split('\n')
    .filter((line) => line.includes(text))
    .map((line) => Number(/\[(\d+)\]/.exec(line)?.[1]));
}

describe('the life of a worker in the log', () => {
  test('O-01: as it is by default, one that works and exits 0 leaves no trace, and one that exits 1 a line', async () => {
    await withPostmaster({ preload: [WORKERS] }, async (pm) => {
      const session = await pm.connect();
      for (const [name, status] of [
        ['well', 0],
        ['badly', 1],
      ] as const) {
        // prettier-ignore
        const handle = await session.registerDynamicBackgroundWorker(worker('procExits', { name, mainArg: status }));
        if (handle === null) throw new Error('no slot');
        expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(2);
      }
      await pm.waitForLog('background worker "badly" (PID ');
      expect(logLines(pm, '"badly"')).toEqual([expect.stringMatching(/^LOG: {2}background worker "badly" \(PID \d+\) exited with exit code 1$/)]);
      expect(logLines(pm, '"well"')).toEqual([]);
      await session.close();
    });
  });

  test('O-03: the lines of its start and its end are the postmaster’s, all others its own', async () => {
    await withPostmaster({ preload: [WORKERS], settings: { log_min_messages: 'debug1' } }, async (pm) => {
      const session = await pm.connect();
      const pid = await runToEnd(pm, session, worker('throws', { name: 'fails' }));
      const of = (text: string): number[] => writers(pm.log(), text);
      for (const text of ['registering background worker "fails"', 'starting background worker process "fails"', '"fails" (PID '])
        expect(of(text)).toEqual([text.startsWith('registering') ? [pm.pid, pm.pid] : [pm.pid]].flat());
      expect(of('ERROR:  ')).toEqual([pid]);
      await session.close();
    });
  });

  test('records of many processes at once, longer than PIPE_BUF, stay whole in a file, DETAIL and HINT with their message', async () => {
    await withPostmaster({ preload: [WORKERS] }, async (pm) => {
      const session = await pm.connect();
      const writesNow = (mainArg: number): Promise<BackgroundWorkerHandle> => register(session, worker('writesLongRecords', { mainArg }));
      const handles = await Promise.all([0, 1, 2, 3].map(writesNow));
      for (const handle of handles) expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(2);
      const lines = pm.log().split('\n').filter((line) => line.includes('long ')); // prettier-ignore
      const seen = lines.map((line) => {
        const [, pid, level, text, letter] = /^\S+ \S+ UTC \[(\d+)\] ([A-Z]+): {2}long (([ABCD])\4*) end$/.exec(line) ?? [];
        return text === undefined ? `torn: ${line.slice(0, 100)}` : `${level} ${text.length} ${letter} of ${pid}`;
      });
      const writer = (n: number): string => seen[n - (n % 3)]!.replace(/^\w+ \d+/, '');
      expect(seen.filter((line, n) => line !== `${['LOG 50000', 'DETAIL 30000', 'HINT 20000'][n % 3]}${writer(n)}`)).toEqual([]);
      expect(seen).toHaveLength(600);
      await session.close();
    });
  });
});
