// How big the postmaster is without its garbage. Runs in the process of the chaos run.
//
// The postmaster collects when V8 finds it worth while, which may be every few minutes: what lies around until then looks like a leak, and would hide one.
// So before it is measured the library is asked, by a setting and a reload, to collect in the postmaster and to log what is left.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../helpers/wait-until.js';
import { type CollectedVitals, vitalsOf } from './vitals.js';
import type { World } from './world.js';

const COLLECT_MS = 10_000;

let asked = 0;

/** null where the postmaster does not answer, which is a violation. */
export async function collectedVitals(world: World): Promise<CollectedVitals | null> {
  if (world.fatal !== null) return null;
  const wanted = ++asked;
  writeFileSync(join(world.pm.dir, 'bgworker.conf'), `chaos.collect = '${wanted}'\n`);
  world.pm.signal('SIGHUP');
  const heapKb = await waitUntil(
    () => {
      world.tail.read();
      return world.fatal === null ? world.audit.heapKb.get(wanted) : -1;
    },
    { timeoutMs: COLLECT_MS, what: 'the heap to be collected' },
  ).catch((err: Error) => world.violation(err.message));
  return heapKb === undefined || world.fatal !== null ? null : { ...vitalsOf(world.pm.pid), heapKb };
}
