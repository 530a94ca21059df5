// Several runs of the same scenarios: are the verdicts the same? And a load for them. Runs in the judge.

import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Result } from './runner.js';

/** Where runs do not agree: the scenario, and its verdict in each run. */
export function disagreements(runs: readonly (readonly Result[])[]): string[] {
  const verdicts = new Map<string, string[]>();
  for (const results of runs) for (const { id, verdict } of results) verdicts.set(id, [...(verdicts.get(id) ?? []), verdict]);
  return [...verdicts].filter(([, list]) => new Set(list).size > 1 || list.length < runs.length).map(([id, list]) => `${id}: ${list.join(', ')}`);
}

export function repeatText(runs: readonly (readonly Result[])[], seconds: readonly number[]): string {
  const count = (results: readonly Result[], verdict: string): number => results.filter((result) => result.verdict === verdict).length;
  const lines = runs.map((results, index) => {
    const discarded = results.reduce((sum, result) => sum + result.discarded.length, 0);
    const verdicts = `${count(results, 'passed')} passed, ${count(results, 'failed')} failed, ${count(results, 'not applicable')} not applicable`;
    return `run ${index + 1}: ${verdicts}; ${discarded} tries did not count; ${seconds[index]?.toFixed(0)} s`;
  });
  const differing = disagreements(runs);
  return ['', ...lines, differing.length === 0 ? `${runs.length} runs, and each verdict is the same` : `NOT THE SAME:\n${differing.join('\n')}`].join(
    '\n',
  );
}

/** One busy process for each processor, until `stop`. They go with this process, too. */
export function keepBusy(): { stop: () => void } {
  const code = 'const from = process.ppid; for (let n = 0; ; n++) if (n % 1e8 === 0 && process.ppid !== from) process.exit();';
  const children: ChildProcess[] = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, ['-e', code], { stdio: 'ignore' }));
  return { stop: () => children.forEach((child) => child.kill('SIGKILL')) };
}
