// An application that is going to be killed: opens sessions, registers workers, waits for them, and asks and asks. A program; it never ends by itself, and whatever
// fails (the server is in a crash cycle, or full) it does again.
//
//   application.js DIRECTORY SESSIONS WORKERS      WORKERS: descriptors as JSON, each registered once at most

import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type SessionBackgroundWorker } from '../../dist/session/client.js';

const [dir = '', sessions = '1', json = '[]'] = process.argv.slice(2);
const workers = JSON.parse(json) as SessionBackgroundWorker[];

async function use(): Promise<void> {
  const session = await connect(dir);
  const worker = workers.pop();
  const handle = worker === undefined ? null : await session.registerDynamicBackgroundWorker(worker);
  if (handle !== null) {
    await session.waitForBackgroundWorkerStartup(handle);
    // Under way when we are killed.
    session.waitForBackgroundWorkerShutdown(handle).catch(() => {});
  }
  for (;;) {
    await session.activity();
    await sleep(5);
  }
}

async function live(): Promise<void> {
  for (;;) {
    await use().catch(() => {});
    await sleep(20);
  }
}

await Promise.all(Array.from({ length: Number(sessions) }, live));
