// The fast cut of the conformance run, as tests: the groups that need neither a crash of long duration nor a standby, and our own scenarios, for what of the
// language no recorded one uses. All of it: npm run conformance.
// The judge runs as a program of its own, compiled (npm test compiles it before); its verdicts become the tests.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../helpers/paths.js';
import { own, recorded } from '../unit/conformance/scenarios.js';
import type { Result } from './runner.js';

const GROUPS = ['exit-matrix', 'invalid-config', 'notify', 'slots', 'terminate', 'own'];
const FILES = ['scenarios.json', 'own-scenarios.json'].map((file) => join(projectRoot, 'test/conformance', file));

function judge(): Promise<Map<string, Result>> {
  const program = join(projectRoot, 'build-test/conformance/run.js');
  const args = [program, ...FILES, '--json', ...GROUPS.flatMap((group) => ['--group', group])];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code !== 0 && code !== 1) reject(new Error(`the judge ended with status ${code}`));
      else {
        const { scenarios } = JSON.parse(Buffer.concat(output).toString()) as { scenarios: Result[] };
        resolve(new Map(scenarios.map((result) => [result.id, result])));
      }
    });
  });
}

describe.each(GROUPS)('%s', (group) => {
  it.each([...recorded, ...own].filter((scenario) => scenario.group === group).map(({ id, description }) => [id, description]))('%s: %s', (id) => {
    const result = results.get(id);
    expect(result?.verdict === 'failed' ? result.reasons.join('\n') : '').toBe('');
    expect(result).toBeDefined();
  });
});

let results = new Map<string, Result>();
beforeAll(async () => {
  results = await judge();
});
