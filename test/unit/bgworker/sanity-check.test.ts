// The sanity check: PostgreSQL's rules in PostgreSQL's order. Contract 1.4.
import { describe, expect, test } from 'vitest';
import { type Descriptor, toDescriptor } from '../../../src/bgworker/background-worker.js';
import { sanityCheckBackgroundWorker } from '../../../src/bgworker/sanity-check.js';

const worker = (fields: Partial<Descriptor>): Descriptor => ({ ...toDescriptor({ name: 'w', flags: 1, startTime: 2, restartTime: -1 }), ...fields });

const NO_SHMEM = 'background workers without shared memory access are not supported';
const NEEDS_SHMEM = 'must attach to shared memory in order to request a database connection';
const TOO_EARLY = 'cannot request database access if starting at postmaster start';
const INTERVAL = 'invalid restart interval';
const PARALLEL = 'parallel workers may not be configured for restart';

describe('sanityCheckBackgroundWorker', () => {
  test.each([
    ['R-01', { flags: 0 }, NO_SHMEM, null],
    ['R-01', { flags: 2 }, NO_SHMEM, NEEDS_SHMEM],
    ['R-03', { flags: 3, startTime: 0 }, TOO_EARLY, TOO_EARLY],
    ['R-03', { flags: 3, startTime: 1 }, null, null],
    ['R-03', { flags: 1, startTime: 0 }, null, null],
    ['R-05', { restartTime: -2 }, INTERVAL, INTERVAL],
    ['R-05', { restartTime: 86_400_001 }, INTERVAL, INTERVAL],
    ['R-08', { restartTime: 86_400_000 }, null, null],
    ['R-08', { restartTime: 0 }, null, null],
    ['R-05', { restartTime: -1 }, null, null],
    ['R-06', { flags: 0x11, restartTime: 0 }, PARALLEL, PARALLEL],
    ['R-06', { flags: 0x11 }, null, null],
    ['R-10', { name: '', flags: 0x7fff_ffec | 1, startTime: 99 }, null, null],
    // The first one counts.
    ['order', { flags: 2, startTime: 0, restartTime: -2 }, NO_SHMEM, NEEDS_SHMEM],
    ['order', { flags: 0x13, startTime: 0, restartTime: -2 }, TOO_EARLY, TOO_EARLY],
    ['order', { flags: 0x11, restartTime: -2 }, INTERVAL, INTERVAL],
  ] as const)('%s: %o: as release 15 %j, with workers without shared memory %j', (_rule, fields, asRelease15, asTheChapter) => {
    expect(sanityCheckBackgroundWorker(worker(fields), false)).toBe(asRelease15);
    expect(sanityCheckBackgroundWorker(worker(fields), true)).toBe(asTheChapter);
  });
});
