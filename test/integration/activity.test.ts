// What processes report of themselves: pgstatReportActivity in the session's listing and in `bgworker ps`, and the title. Contract O-13, O-20.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dist } from '../helpers/paths.js';
import { end, launch, openSession, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster();

test('O-13: state and text are empty until they are reported; a session’s backend reports its call', async () => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, worker('idle', { name: 'silent' }));
  const entries = await session.activity();
  expect(entries.find((entry) => entry.pid === pid)).toMatchObject({ backendState: null, query: null, queryStart: null, stateChange: null });
  expect(entries.find((entry) => entry.pid === session.backendPid)).toMatchObject({ backendState: 'active', query: 'activity' });
  await end(session, handle);
});

test('O-13 O-20: what a worker reports is in the listing, in `bgworker ps`, and in its title; a text is cut between characters', async () => {
  const session = await openSession(pm);
  const text = `SELECT 'zwölf'\n  FROM t -- ${'ö'.repeat(30)}`;
  const before = Date.now();
  const { handle, pid } = await launch(session, worker('reportsActivity', { name: 'reports', extra: text }));
  await waitForSaid(pm, 'reports', 'reported');
  const entry = (await session.activity()).find((candidate) => candidate.pid === pid)!;
  expect(entry.backendState).toBe('active');
  const whole = text.repeat(20);
  expect(whole.startsWith(entry.query!)).toBe(true);
  expect([1022, 1023]).toContain(Buffer.byteLength(entry.query!));
  expect(entry.queryStart).toBe(entry.stateChange);
  expect(entry.queryStart! >= before && entry.queryStart! <= Date.now()).toBe(true);
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('postgres: bgworker: reports at work');
  const table = execFileSync(process.execPath, [dist('cli/main.js'), 'ps', '-D', pm.dir], { encoding: 'utf8' });
  expect(table.split('\n').find((line) => line.includes(`${pid}`))).toMatch(/\| active +\| SELECT 'zwölf' FROM t -- ö+SELE…$/);
  const json = spawnSync(process.execPath, [dist('cli/main.js'), 'ps', '--json', '-D', pm.dir], { encoding: 'utf8' });
  expect((JSON.parse(json.stdout) as { pid: number; query: string }[]).find((candidate) => candidate.pid === pid)?.query).toBe(entry.query);
  await end(session, handle);
});

test('a reader never sees the parts of two reports, however fast they change', async () => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, worker('reportsWithoutEnd', { name: 'fast' }));
  await waitForSaid(pm, 'fast', 'reported');
  const whole = ['active: a 1000 1', 'idle in transaction: t 1 1', 'idle: i 500 1'];
  const seen = new Set<string>();
  // 1500 times, and on until each was seen: reader and writer may run in step.
  for (let i = 0; i < 1500 || (i < 30_000 && !whole.every((report) => seen.has(report))); i++) {
    const { backendState, query } = (await session.activity()).find((candidate) => candidate.pid === pid)!;
    seen.add(`${backendState}: ${query === null ? null : `${query[0]} ${query.length} ${new Set(query).size}`}`);
  }
  seen.delete('null: null'); // it had not begun, or the reader gave up: that is said, and not guessed
  expect(seen).toEqual(new Set(whole));
  await end(session, handle);
});
