// Applications that are killed: processes of their own, which end by SIGKILL with sessions open and calls under way. Runs in the process of the chaos run.
//
// What must hold afterwards: their sessions' backends end (and nobody else with them), whoever was to be notified of a worker is forgotten, the workers stay.

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { titleOf } from '../helpers/processes.js';

const PROGRAM = fileURLToPath(new URL('application.js', import.meta.url));

export interface ApplicationPlan {
  readonly dir: string;
  readonly sessions: number;
  /** Descriptors for its sessions to register. */
  readonly workers: readonly unknown[];
  readonly killAfterMs: number;
}

export class Applications {
  readonly #alive = new Set<ChildProcess>();
  readonly #killed = new Set<number>();

  get alive(): number {
    return this.#alive.size;
  }

  /** Starts one, and kills it so long after. Rejects where it ended otherwise. */
  run({ dir, sessions, workers, killAfterMs }: ApplicationPlan): Promise<void> {
    const child = spawn(process.execPath, [PROGRAM, dir, String(sessions), JSON.stringify(workers)], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#alive.add(child);
    const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        this.#alive.delete(child);
        if (child.pid !== undefined) this.#killed.add(child.pid);
        if (signal === 'SIGKILL') resolve();
        else reject(new Error(`an application ended by itself, with status ${code}, signal ${signal}`));
      });
    });
  }

  killAll(): void {
    for (const child of this.#alive) child.kill('SIGKILL');
  }

  /** Those of these backends that serve an application which was killed. */
  backendsOfTheDead(backends: readonly number[]): number[] {
    return backends.filter((pid) => this.#killed.has(Number(/: session of PID (\d+) /.exec(titleOf(pid))?.[1])));
  }
}
