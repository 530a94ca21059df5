// The end of a chaos run: everybody goes, and then nothing may be left. Runs in the process of the chaos run.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../helpers/wait-until.js';
import { terminate } from './actions.js';
import { FINISH_FILE } from './behaviours.js';
import { beginChecks, eventually, list, sessionAfterCrash } from './checks.js';
import type { World } from './world.js';

const DRAIN_MS = 40_000;
/** Whoever is still there after this has blocked signals, or lost its handle with a session that was closed under a registration. */
const PATIENCE_MS = 5000;

/** Ends all workers: by handle, by SIGTERM, by SIGKILL. At its end no slot is in use. */
export async function drain(world: World): Promise<void> {
  world.note('drain');
  world.audit.draining = true;
  world.audit.willFinish();
  writeFileSync(join(world.pm.dir, FINISH_FILE), '');
  world.continueAll();
  const began = performance.now();
  let left: string | null = 'nobody looked';
  const empty = async (): Promise<boolean> => {
    if (world.fatal !== null) return true;
    const opened = await sessionAfterCrash(world);
    if (opened === null) return false;
    try {
      const slots = (await opened.session.activity()).filter(({ slot }) => slot !== null);
      left = list(slots.map(({ name, state, pid }) => `"${name}" ${state} ${pid ?? ''}`));
      const impatient = performance.now() - began > PATIENCE_MS;
      for (const known of world.currentHandles()) if (known.era === opened.era) terminate(world, opened, known);
      for (const { pid } of slots) if (pid !== null) world.signal(pid, impatient ? 'SIGKILL' : 'SIGTERM');
      // A crash cycle forgets whoever never starts and has no handle any more.
      if (impatient && slots.every(({ pid }) => pid === null) && slots.length > 0) world.signal(opened.session.backendPid, 'SIGKILL');
    } catch (err) {
      left = (err as Error).message; // a crash: look again
    }
    await world.close(opened);
    return left === null;
  };
  await waitUntil(empty, { timeoutMs: DRAIN_MS, pauseMs: 200, what: 'all slots to be free' }).catch(() =>
    world.violation(`slots are leaked: ${left}`),
  );
}

/** Everybody has gone: so says the log. */
export async function expectNobody(world: World): Promise<void> {
  beginChecks(world);
  for (const opened of world.sessions) await world.close(opened);
  await eventually(world, 'the log has the end of everybody', 10_000, () => {
    const { registered, running } = world.audit;
    const names = [...registered, ...running.keys()];
    return list([...names, ...world.children('any').map((pid) => `child ${pid}`)]);
  });
  await eventually(world, 'operations end with the sessions', 10_000, () => list(world.underWay()));
  world.takeAuditViolations();
}
