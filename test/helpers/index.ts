// Everything that a test needs, in one import. Tests under vitest import this file; code that runs without vitest imports the files one by one.
import { onTestFinished } from 'vitest';
import { makeTempDir, removeTempDir } from './temp-dir.js';

export { makeTempDir, removeTempDir } from './temp-dir.js';
export { dist, fixture, projectRoot } from './paths.js';
export { type WaitOptions, waitUntil } from './wait-until.js';
export {
  type ProcessState,
  allPids,
  childrenOf,
  cwdOf,
  descendantsOf,
  describeProcess,
  environOf,
  isAlive,
  openFds,
  parentOf,
  processState,
  startTimeOf,
  titleOf,
  zombiesOf,
} from './processes.js';
export { type Mark, killMarked, marked } from './leftovers.js';
export { type Postmaster, type PostmasterOptions, type ShutdownMode, startPostmaster, withPostmaster } from './postmaster.js';

/** A fresh directory that goes when the test that asked for it ends. */
export function tempDir(prefix?: string): string {
  const dir = makeTempDir(prefix);
  onTestFinished(() => removeTempDir(dir));
  return dir;
}
