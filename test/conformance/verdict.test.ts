// The command itself, `npm run conformance`: what it prints, and how it ends, where a scenario passes, fails and is not applicable. The judge runs as a program
// of its own, compiled (npm test compiles it before).

import { spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../helpers/paths.js';
import { childrenOf, cwdOf, isAlive, parentOf } from '../helpers/processes.js';
import { makeTempDir, removeTempDir } from '../helpers/temp-dir.js';
import { waitUntil } from '../helpers/wait-until.js';
import { recorded } from '../unit/conformance/scenarios.js';
import type { Scenario } from './language.js';
import type { Result } from './runner.js';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const judge = (...args: string[]): Promise<Ended> => begin(...args).ended;

function begin(...args: string[]): { readonly pid: number; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [join(projectRoot, 'build-test/conformance/run.js'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const read = (stream: NodeJS.ReadableStream): Buffer[] => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    return chunks;
  };
  const [out, err] = [read(child.stdout), read(child.stderr)];
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }));
  });
  return { pid: child.pid ?? 0, ended };
}

const LINE = 'w#1: main run=1 arg=0';
const OTHER = 'w#1: main run=1 arg=7';

/** A cheap recorded one; the same with another line in its signature; one about a process that is not here. */
function scenarios(): Scenario[] {
  const good = recorded.find(({ id }) => id === 'ntf.zero') as Scenario;
  const bad = JSON.parse(JSON.stringify(good).replaceAll('ntf.zero', 'verdict.bad').replace(LINE, OTHER)) as Scenario;
  const without = { ...good, id: 'verdict.aux', setup: { steps: [{ op: 'kill', who: 'aux:checkpointer', sig: 'TERM' }] } };
  return [good, bad, without];
}

/** A minute's scenario, in the middle of its sleep, with a session open, and a short one that waits behind it. */
async function beginLongOne(): Promise<{ pid: number; lane: number; postmaster: number; ended: Promise<Ended> }> {
  const good = recorded.find(({ id }) => id === 'ntf.zero') as Scenario;
  const long = { ...good, id: 'verdict.long', setup: { steps: [{ op: 'open' }, { op: 'touch', file: 'asleep' }, { op: 'sleep', ms: 60_000 }] } };
  const two = join(folder, 'two.json');
  writeFileSync(two, JSON.stringify([good, long]));
  const { pid, ended } = begin(two, '--jobs', '1');
  started.push(pid);
  const lane = await waitUntil(() => childrenOf(pid)[0], { what: "the judge's process" });
  const postmaster = await waitUntil(() => childrenOf(lane)[0], { what: 'a postmaster' });
  // Not yet the scenario's folder when it has just been forked.
  const base = await waitUntil(() => [cwdOf(postmaster) ?? ''].find((cwd) => cwd.includes('/cf-')), {
    what: "the postmaster to be in the scenario's folder",
  });
  await waitUntil(() => readdirSync(base, { recursive: true }).some((file) => basename(String(file)) === 'verdict.long.asleep'), {
    what: 'the sleep',
  });
  return { pid, lane, postmaster, ended };
}

const started: number[] = [];
let folder: string;
let file: string;
beforeAll(() => {
  folder = makeTempDir('verdict');
  file = join(folder, 'three.json');
  writeFileSync(file, JSON.stringify(scenarios()));
});
afterAll(() => {
  // Of a test that gave up waiting.
  for (const pid of started.filter((pid) => parentOf(pid) === process.pid)) process.kill(pid, 'SIGKILL');
  removeTempDir(folder);
});

describe('npm run conformance', () => {
  it('ends with status 1 where a scenario failed, and shows what differs', async () => {
    // One try: the failure is none that lateness could explain, and is to be shown as it is.
    const { status, stdout } = await judge(file, '--tries', '1');
    expect(stdout).toMatch(/^ok {6}ntf\.zero /m);
    expect(stdout).toMatch(/^FAILED {2}verdict\.bad .*\n {8}process w#1 saw something else:\n/m);
    expect(stdout).toContain(`\n        - ${OTHER}\n        + ${LINE}\n`);
    expect(stdout).toMatch(/^n\/a {5}verdict\.aux .*an auxiliary process of PostgreSQL/m);
    expect(stdout).toMatch(/\nfailed: verdict\.bad\n/);
    expect(stdout).toMatch(/\n1 passed, 1 failed, 1 skipped\n$/);
    expect(status).toBe(1);
  });

  it('ends with status 0 where none did; --only takes those whose id matches, --json tells the verdicts', async () => {
    const { status, stdout } = await judge(file, '--only', '^ntf', '--json');
    const { groups, scenarios: results } = JSON.parse(stdout) as { groups: object; scenarios: Result[] };
    expect(results.map(({ id, verdict }) => [id, verdict])).toEqual([['ntf.zero', 'passed']]);
    expect(groups).toEqual({ notify: { passed: 1, failed: 0, 'not applicable': 0 } });
    expect(status).toBe(0);
  });

  it("goes on where one of the judge's processes dies: its scenario has failed, and nothing of it is left", async () => {
    const { lane, postmaster, ended } = await beginLongOne();
    process.kill(lane, 'SIGKILL');
    const { status, stdout } = await ended;
    expect(stdout).toMatch(/^FAILED {2}verdict\.long .*\n {8}error: the judge's process ended with SIGKILL\n/m);
    expect(stdout).toMatch(/^ok {6}ntf\.zero /m);
    expect(stdout).toMatch(/\n1 passed, 1 failed, 0 skipped\n$/);
    expect(status).toBe(1);
    expect(isAlive(postmaster)).toBe(false);
  });

  it('ends with status 130 after Ctrl-C: in the middle of a scenario, and nothing of it is left', async () => {
    const { pid, postmaster, ended } = await beginLongOne();
    process.kill(pid, 'SIGINT');
    const { status, stdout, stderr } = await ended;
    expect(stdout).not.toContain('FAILED');
    expect(stderr).toBe('');
    expect(status).toBe(130);
    expect(isAlive(postmaster)).toBe(false);
  });

  it('ends with status 2 where a file is broken, and names it', async () => {
    const broken = join(folder, 'broken.json');
    writeFileSync(broken, '{');
    const { status, stdout, stderr } = await judge(broken);
    expect(stderr).toContain(`could not read "${broken}"`);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});
