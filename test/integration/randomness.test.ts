// No two siblings draw the same, whatever they draw from. docs/fork-safety.md, I2, I3 and I5; 10,000 forks of it: `npm run stress:random`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lookForRepetitions } from '../helpers/drawn.js';
import { fixture } from '../helpers/index.js';
import { STOPPED, openSession, register, sharedPostmaster, worker } from './support.js';

const LIBRARY = fixture('random-workers.mjs');
const SIBLINGS = 64;
const AT_A_TIME = 8;

const pm = sharedPostmaster({ preload: [LIBRARY], settings: { max_worker_processes: 2 * AT_A_TIME } });

test('64 siblings: no number, id, key or nonce twice', { timeout: 120_000 }, async () => {
  const session = await openSession(pm);
  for (let n = 0; n < SIBLINGS; n += AT_A_TIME) {
    const descriptors = Array.from({ length: AT_A_TIME }, (_, k) => worker('draw', { name: `draws ${n + k}`, mainArg: n + k, libraryName: LIBRARY }));
    const handles = await Promise.all(descriptors.map((descriptor) => register(session, descriptor)));
    for (const handle of handles) expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  }
  const { values, repeated } = lookForRepetitions(readFileSync(join(pm.dir, 'random'), 'utf8'));
  expect(Object.fromEntries(repeated)).toEqual({});
  const { 'Math.random of a thread': inThreads, 'randomUUID of a thread': _, ...others } = Object.fromEntries(values);
  expect(inThreads).toBe((SIBLINGS / 32) * 2);
  expect(Object.keys(others).length).toBeGreaterThan(15);
  expect(new Set(Object.values(others))).toEqual(new Set([SIBLINGS * 3]));
});
