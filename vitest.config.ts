// Five kinds of tests, which differ in how long they may take:
//   unit         mirrors src/; starts no process that forks
//   integration  real postmasters and workers; one file per behaviour
//   conformance  what PostgreSQL did, against what we do: the fast cut of the scenarios (all of them: npm run conformance)
//   chaos        everything at random, for some seconds (for longer: npm run chaos, npm run chaos:orphans)
//   soak         very many forks, the short form (all of it: npm run soak)
// A test process never forks by itself: the child would report to vitest in its name. Tests start programs, and these fork.
import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const kind = (name: string, timeoutMs: number): TestProjectInlineConfiguration => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    pool: 'forks',
    setupFiles: ['test/helpers/setup.ts'],
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
  },
});

export default defineConfig({
  test: {
    projects: [kind('unit', 60_000), kind('integration', 60_000), kind('conformance', 120_000), kind('chaos', 120_000), kind('soak', 240_000)],
    globalSetup: ['test/helpers/global-setup.ts'],
    reporters: ['default', './test/helpers/plain-reporter.ts'],
    // Each test has processes of its own besides: more test files at once than this only make everything late.
    maxWorkers: Math.min(4, availableParallelism()),
    teardownTimeout: 30_000,
  },
});
