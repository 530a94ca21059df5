// The closing line of a run, for whoever or whatever reads only that: `N passed, N failed`, and `, N skipped` where some were. Runs in vitest's main process.
//
// It is written when the process exits, because only then is it true: the look for leftovers comes after vitest's own report. A run that is red for another
// reason than a test (leftovers, an error outside of a test, a file that does not load) has at least one failure, and a run of no tests has one too.
import { writeSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

export default class PlainReporter implements Reporter {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  onInit(): void {
    process.once('exit', (status) => this.#close(status));
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
      const { state } = test.result();
      if (state === 'passed') this.#passed++;
      else if (state === 'failed') this.#failed++;
      // A test that is still pending at the end of a run was never run: a worker died, or the run was interrupted.
      else if (state === 'skipped') this.#skipped++;
      else this.#failed++;
    }
  }

  #close(status: number): void {
    const nothingRan = this.#passed + this.#failed === 0;
    if (this.#failed === 0 && (status !== 0 || nothingRan)) this.#failed = 1;
    if (this.#failed > 0 && status === 0) process.exitCode = 1;
    const skipped = this.#skipped > 0 ? `, ${this.#skipped} skipped` : '';
    writeSync(1, `\n${this.#passed} passed, ${this.#failed} failed${skipped}\n`);
  }
}
