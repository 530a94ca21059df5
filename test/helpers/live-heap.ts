// What lives on the heap of the process that asks, without its garbage. Runs in the postmasters of the soak and of the chaos run, whose libraries load it.
//
// Without code: for thousands of turns V8 finds one more function to optimise. That ends somewhere, and is no leak.

import { getHeapCodeStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Collects, and has V8 give back what it keeps of what it has collected; in KB. */
export function liveHeapKb(): number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options?: object) => void;
  gc();
  gc();
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { code_and_metadata_size: code, bytecode_and_metadata_size: bytecode } = getHeapCodeStatistics();
  return Math.round((process.memoryUsage().heapUsed - code - bytecode) / 1024);
}
