// The judge's processes, each of which judges one scenario at a time (lane.ts). Runs in the judge.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, Job } from './lane.js';
import type { Result } from './runner.js';

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), 'lane.js');

class Lane {
  readonly #child: ChildProcess = fork(PROGRAM, { stdio: 'inherit' });

  judge(job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      const settle = (then: () => void): void => {
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        then();
      };
      const onMessage = (answer: Answer): void =>
        settle(() => ('result' in answer ? resolve(answer.result) : reject(new Error(`scenario ${job.scenario.id}: ${answer.failure}`))));
      const onExit = (code: number | null, signal: string | null): void =>
        settle(() => reject(new Error(`scenario ${job.scenario.id}: the judge's process ended with ${signal ?? `status ${code}`}`)));
      this.#child.once('message', onMessage);
      this.#child.once('exit', onExit);
      this.#child.send(job);
    });
  }

  async end(): Promise<void> {
    const { exitCode, signalCode, connected } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    if (connected) this.#child.disconnect();
    await ended;
  }
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
        options.onResult(await lane.judge(job), job);
      }
    };
    const workers = await Promise.allSettled(this.#lanes.slice(0, options.atOnce).map(work));
    const failure = workers.find((worker) => worker.status === 'rejected');
    if (failure !== undefined && !options.signal.aborted) throw failure.reason;
  }

  /** Each lane ends what it has under way, in order, and goes. */
  async end(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.end()));
  }
}
