// A short chaos run and a short orphans' run, with seeds that never change, and that a seed is a schedule. The programs run as processes of their own, compiled
// (npm test compiles them before). All of it: npm run chaos, npm run chaos:orphans.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../helpers/paths.js';
import { Endings } from './endings.js';
import { Schedule } from './schedule.js';

interface Summary {
  readonly ok: boolean;
  readonly violations: readonly string[];
  readonly evidence?: string;
  readonly counts?: Readonly<Record<string, number>>;
}

function run(program: string, ...args: string[]): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(projectRoot, 'build-test/chaos', program), '--json', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0 || code === 1) resolve(JSON.parse(Buffer.concat(output).toString()) as Summary);
      else reject(new Error(`${program} ended with status ${code}`));
    });
  });
}

test('the same seed gives the same actions, another seed others', () => {
  const draw = (seed: number): unknown[] => {
    const schedule = new Schedule(seed);
    return Array.from({ length: 2000 }, () => schedule.next());
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(2)).not.toEqual(draw(1));
});

test('with a database its startup process and its server are targets, and workers ask it; without one they are not', () => {
  const draw = (withDatabase: boolean): string => {
    const schedule = new Schedule(1, withDatabase);
    return JSON.stringify(Array.from({ length: 2000 }, () => schedule.next().action));
  };
  for (const what of ['"whom":"startup"', '"whom":"server"', '"behaviour":"queries"']) {
    expect(draw(true)).toContain(what);
    expect(draw(false)).not.toContain(what);
  }
});

test('the same seed gives the same ends of postmasters, another seed others', () => {
  const draw = (seed: number): unknown[] => {
    const endings = new Endings(seed);
    return Array.from({ length: 50 }, () => endings.next());
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(2)).not.toEqual(draw(1));
});

test('15 seconds of chaos, two ends of postmasters, one of them with a database: all holds', async () => {
  const { evidence, violations, counts } = await run('run.js', '--minutes', '0.25', '--seed', '4711');
  expect(violations, evidence).toEqual([]);
  expect(counts?.['shutdown rounds with a database']).toBeGreaterThan(0); // the tests need a PostgreSQL anyway
});

test('postmasters that are killed: nobody stays, everybody is told', async () => {
  const { violations } = await run('orphans.js', '--rounds', '10', '--workers', '40', '--seed', '4711');
  expect(violations).toEqual([]);
});
