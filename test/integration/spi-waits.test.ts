// What a worker is seen to wait for while the database server works for it, in the session's listing and in `bgworker ps`; and what it says that it is doing.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { dist } from '../helpers/paths.js';
import { fixture } from '../helpers/index.js';
import { end, launch, openSession, seenToWait, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('spi-waits.mjs');
const RECEIVE = ['Client', 'LibPQWalReceiverReceive'] as const;
const pm = sharedPostmaster({ preload: [LIBRARY], settings: { database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1' } });

const querying = (functionName: string, mainArg = 0): ReturnType<typeof worker> =>
  worker(functionName, { name: `${functionName}${mainArg}`, mainArg, flags: 3, libraryName: LIBRARY });

test('a query that is under way: in the listing and in `bgworker ps`', async () => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, querying('waitsForAnswer'));
  await seenToWait(session, pid, ...RECEIVE);
  const table = execFileSync(process.execPath, [dist('cli/main.js'), 'ps', '-D', pm.dir], { encoding: 'utf8' });
  expect(table.split('\n').find((line) => line.includes(`${pid}`))).toContain('| Client/LibPQWalReceiverReceive |');
  await end(session, handle);
});

test.each([0, 1])('a wait for a latch while the query is under way shows itself, and then the query shows again (form %i)', async (mainArg) => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, querying('waitsForLatchBesides', mainArg));
  await seenToWait(session, pid, 'Extension', 'Besides');
  process.kill(pid, 'SIGUSR2');
  await seenToWait(session, pid, ...RECEIVE);
  await end(session, handle);
});

test('a query that begins while a latch is waited for shows itself; the next wait for the latch shows, as it began later', async () => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, querying('queriesBesidesLatch'));
  await seenToWait(session, pid, ...RECEIVE);
  process.kill(pid, 'SIGUSR2');
  await waitForSaid(pm, 'queriesBesidesLatch0', 'round');
  await seenToWait(session, pid, 'Extension', 'Loop');
  await end(session, handle);
});

test('who computes with an answer in its hand waits for nothing, nor who has it and waits for no latch', async () => {
  const session = await openSession(pm);
  for (const [functionName, event] of [
    ['computesAfterAnswer', 'busy'],
    ['hasItsAnswer', 'idle'],
  ] as const) {
    const { handle, pid } = await launch(session, querying(functionName));
    await waitForSaid(pm, `${functionName}0`, event);
    expect((await session.activity()).find((entry) => entry.pid === pid)).toMatchObject({ waitEventType: null, waitEvent: null });
    await end(session, handle);
  }
});
