// The judge's processes, each of which judges one scenario at a time (lane.ts). Runs in the judge.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killMarked } from '../helpers/leftovers.js';
import { makeTempDir } from '../helpers/temp-dir.js';
import type { Answer, Job } from './lane.js';
import { resultOf, timeOf, type Result } from './runner.js';

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), 'lane.js');

/** Beyond the time that a scenario may take by its own steps: the judge's process itself gives up long before. */
const HANGS_MS = 120_000;
/** So long a scenario that was told to stop may take to end its postmasters. */
const STOP_MS = 30_000;

class Lane {
  /** Below it are the folders of its scenarios, so that what they left can be found where the process could not clear it away. */
  #folder!: string;
  #child!: ChildProcess;

  constructor() {
    this.#fork();
  }

  /** Whatever keeps a scenario from being judged is its failure, and no other's. */
  async judge(job: Job, signal: AbortSignal): Promise<Result> {
    if (hasEnded(this.#child)) this.#fork();
    const answer = await this.#ask(job, signal);
    if ('result' in answer) return answer.result;
    const reasons = [`error: ${answer.failure}`];
    if (hasEnded(this.#child)) await this.#clear(job.keep).catch((err: Error) => reasons.push(err.message));
    return resultOf(job.scenario, 'failed', reasons, job.keep && existsSync(this.#folder) ? { kept: this.#folder } : {});
  }

  #fork(): void {
    this.#folder = makeTempDir('cf');
    this.#child = fork(PROGRAM, { stdio: 'inherit', env: { ...process.env, BGWORKER_TEST_TMP: this.#folder } });
  }

  /** An abort tells the process to stop: it ends the scenario in order, and then itself. */
  #ask(job: Job, signal: AbortSignal): Promise<Answer> {
    const child = this.#child;
    return new Promise((resolve) => {
      const kill = (): void => void child.kill('SIGKILL');
      let deadline = setTimeout(kill, timeOf(job.scenario) + HANGS_MS);
      const settle = (answer: Answer): void => {
        clearTimeout(deadline);
        child.off('message', settle);
        child.off('exit', onExit);
        signal.removeEventListener('abort', stop);
        resolve(answer);
      };
      const onExit = (code: number | null, exitSignal: string | null): void =>
        settle({ failure: `the judge's process ended with ${exitSignal ?? `status ${code}`}` });
      const stop = (): void => {
        clearTimeout(deadline);
        deadline = setTimeout(kill, STOP_MS);
        if (child.connected) child.disconnect();
      };
      signal.addEventListener('abort', stop);
      child.once('message', settle);
      child.once('exit', onExit);
      // Where it cannot be sent, the process is about to end, and says so.
      child.send(job, () => {});
    });
  }

  /** After its end. `keep`: the folders of its scenarios, for a look at them. */
  async #clear(keep: boolean): Promise<void> {
    await killMarked({ variable: `BGWORKER_TEST_TMP=${this.#folder}`, dir: this.#folder });
    if (!keep) rmSync(this.#folder, { recursive: true, force: true });
  }

  async end(keep: boolean): Promise<void> {
    if (!hasEnded(this.#child)) {
      const ended = once(this.#child, 'exit');
      if (this.#child.connected) this.#child.disconnect();
      await ended;
    }
    await this.#clear(keep);
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

export class Lanes {
  readonly #lanes: readonly Lane[];

  constructor(count: number) {
    this.#lanes = Array.from({ length: count }, () => new Lane());
  }

  /** Takes jobs until there are no more, `atOnce` of them side by side; an abort takes no further ones. */
  async judge(
    jobs: Iterable<() => Promise<Job>>,
    options: { atOnce?: number; signal: AbortSignal; onResult: (result: Result, job: Job) => void },
  ): Promise<void> {
    const queue = jobs[Symbol.iterator]();
    const work = async (lane: Lane): Promise<void> => {
      while (!options.signal.aborted) {
        const next = queue.next();
        if (next.done === true) return;
        const job = await next.value();
        if (options.signal.aborted) return;
        const result = await lane.judge(job, options.signal);
        // Of a scenario that was stopped there is nothing to say.
        if (!options.signal.aborted) options.onResult(result, job);
      }
    };
    // All of them to their ends: nothing may be under way when the lanes are ended.
    const workers = await Promise.allSettled(this.#lanes.slice(0, options.atOnce).map(work));
    const failure = workers.find((worker) => worker.status === 'rejected');
    if (failure !== undefined && !options.signal.aborted) throw failure.reason;
  }

  /** Each lane ends what it has under way, in order, and goes: all of them, before the first error is thrown. */
  async end(keep: boolean): Promise<void> {
    const ends = await Promise.allSettled(this.#lanes.map((lane) => lane.end(keep)));
    const failure = ends.find((end) => end.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }
}
