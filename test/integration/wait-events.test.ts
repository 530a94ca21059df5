// What processes wait for, as others see it: in the session's listing and in `bgworker ps`. Contract O-12, W-11, W-12.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { dist } from '../helpers/paths.js';
import { fixture, waitUntil } from '../helpers/index.js';
import { end, launch, openSession, register, seenToWait, sharedPostmaster, waitForSaid, worker } from './support.js';

const EVENTS = fixture('wait-events.mjs');
const pm = sharedPostmaster({ preload: [EVENTS] });

const waiting = (functionName: string, mainArg = 0) => worker(functionName, { name: `${functionName}${mainArg}`, mainArg, libraryName: EVENTS });

test.each([0, 1])('O-12: a wait that names no event shows as Extension, Extension (form %i)', async (mainArg) => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, waiting('waitsForSomething', mainArg));
  await seenToWait(session, pid, 'Extension', 'Extension');
  await end(session, handle);
});

test.each([0, 1])('W-11, W-12: a wait under a name of the module’s own shows it, in the listing and in `bgworker ps` (form %i)', async (mainArg) => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, waiting('waitsByName', mainArg));
  await seenToWait(session, pid, 'Extension', 'WorkerSpiMain');
  const table = execFileSync(process.execPath, [dist('cli/main.js'), 'ps', '-D', pm.dir], { encoding: 'utf8' });
  expect(table.split('\n').find((line) => line.includes(`${pid}`))).toContain('| Extension/WorkerSpiMain |');
  await end(session, handle);
});

test.each([0, 1])('a sleep on a condition variable shows its event (form %i)', async (mainArg) => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, waiting('waitsForACondition', mainArg));
  await seenToWait(session, pid, 'Extension', 'Condition');
  await end(session, handle);
});

test.each(
  ['MessageQueueSend', 'MessageQueueReceive', 'MessageQueueInternal', 'MessageQueueInternal, to send', 'MessageQueueInternal, to receive'].flatMap(
    (name) => [[name, 0] as const, [name, 1] as const],
  ),
)('M-31: a wait at a message queue shows what it is for: %s (form %i)', async (name, mainArg) => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, { ...waiting('waitsAtAQueue', mainArg), name });
  await seenToWait(session, pid, 'IPC', name.split(',')[0] as string);
  await end(session, handle);
});

test('of two waits under way the one that began last shows, then the other', async () => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, waiting('waitsTwice'));
  await seenToWait(session, pid, 'Extension', 'Second');
  process.kill(pid, 'SIGUSR2');
  await seenToWait(session, pid, 'Extension', 'First');
  await end(session, handle);
});

test('who computes waits for nothing', async () => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, waiting('computes'));
  await waitForSaid(pm, 'computes0', 'busy');
  const entry = (await session.activity()).find((candidate) => candidate.pid === pid);
  expect(entry).toMatchObject({ waitEventType: null, waitEvent: null });
  await end(session, handle);
});

test('a session’s backend waits for its client; in a call for whatever that waits for', async () => {
  const [idle, session] = [await openSession(pm), await openSession(pm)];
  await seenToWait(session, idle.backendPid, 'Client', 'ClientRead');
  expect((await session.activity()).find(({ pid }) => pid === session.backendPid)).toMatchObject({ waitEventType: null, waitEvent: null });
  const call = idle.call(EVENTS, 'waitsForShutdown', waiting('waitsForSomething', 7));
  await seenToWait(session, idle.backendPid, 'IPC', 'BgWorkerShutdown');
  // The wait for its end may have begun before the worker itself.
  const workerPid = async (): Promise<number | null | undefined> => (await session.activity()).find(({ name }) => name === 'waitsForSomething7')?.pid;
  process.kill(await waitUntil(workerPid, { what: 'the worker' }), 'SIGTERM');
  expect(await call).toBe('over');
});

test('O-12: a name has one number, in every process; names that cannot be, and too many, are errors', async () => {
  const session = await openSession(pm);
  await register(session, waiting('names'));
  expect((await waitForSaid(pm, 'names0', 'names')).data).toEqual({
    same: true,
    other: true,
    refused: [
      'ErrorData XX000 cannot use custom wait event string longer than 63 characters',
      'RangeError  the name of a wait event must have characters, and no NUL among them',
      'TypeError  the name of a wait event must be a string, not number',
      'RangeError  waitEventInfo must be PG_WAIT_… or WAIT_EVENT_…, not 5',
      'TypeError  waitEventInfo must be PG_WAIT_… or WAIT_EVENT_…, not string',
    ],
    full: 'ErrorData 54000 too many custom wait events',
    made: true,
    shown: [
      ['Extension', 'one'],
      ['Extension', 'Extension'],
      ['IPC', 'MessageQueueSend'],
      ['Client', 'ClientRead'],
      [null, null],
      ['Extension', 'unknown wait event'],
    ],
  });
});
