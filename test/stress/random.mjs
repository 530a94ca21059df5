// Randomness of siblings, at length: `npm run stress:random -- --forks 10000`. Each worker draws of every kind that test/fixtures/random-workers.mjs has;
// no value may come twice. Prints how many values of each kind there were. Runs outside of the test runner, against a postmaster of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { heading, options, root, startPostmaster, table } from '../../bench/lib.mjs';
import { lookForRepetitions } from '../../build-test/helpers/drawn.js';

const AT_A_TIME = 8;
const { forks } = options({ forks: 10_000 });
const library = join(root, 'test/fixtures/random-workers.mjs');
const { BGWORKER_SHMEM_ACCESS, BGW_NEVER_RESTART, BgWorkerStart_RecoveryFinished } = await import('../../dist/index.js');

// Twice as many slots: a worker that has stopped may still have its slot for a moment, while its registrant hears of another one's end.
const settings = { shared_preload_libraries: library, log_min_messages: 'fatal', max_worker_processes: 2 * AT_A_TIME };
const postmaster = await startPostmaster({ settings });
try {
  const session = await postmaster.connect();
  let next = 0;
  const oneAfterTheOther = async () => {
    while (next < forks) {
      const mainArg = next++;
      const fields = { flags: BGWORKER_SHMEM_ACCESS, startTime: BgWorkerStart_RecoveryFinished, restartTime: BGW_NEVER_RESTART, notifyPid: 'self' };
      const worker = { ...fields, name: `draws ${mainArg}`, libraryName: library, functionName: 'draw', mainArg };
      const handle = await session.registerDynamicBackgroundWorker(worker);
      if (handle === null) throw new Error('no slot');
      await session.waitForBackgroundWorkerShutdown(handle);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, oneAfterTheOther));
  await session.close();
  const text = readFileSync(join(postmaster.dir, 'random'), 'utf8');
  const lines = text.split('\n').length - 1;
  const { values, repeated } = lookForRepetitions(text);
  heading(`Values that ${lines} siblings drew`);
  table([...values].map(([kind, count]) => ({ kind, values: count, repeated: repeated.get(kind) ?? 0 })));
  if (lines !== forks || repeated.size > 0) throw new Error(`${forks - lines} workers did not finish, ${repeated.size} kinds have repetitions`);
} finally {
  await postmaster.stop();
}
