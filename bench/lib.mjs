// What the measurements share: numbers and tables, a postmaster of a measurement's own. Nothing here is measured.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { NODE_FLAGS } from '../dist/launch/node-flags.js';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const dist = (path) => join(root, 'dist', path);
// Given by us, so that the postmaster does not start Node again: descriptor 3 would not outlive that.
export { NODE_FLAGS };

/** Nanoseconds of CLOCK_MONOTONIC, which all processes share. */
export const now = () => process.hrtime.bigint();
/** @type {(from: bigint, to: bigint) => number} */
export const microseconds = (from, to) => Number(to - from) / 1000;

/** Numbers from the command line: `options({ count: 300 })` reads `--count 50`. */
export function options(defaults) {
  const spec = Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, { type: 'string', default: String(value) }]));
  const { values } = parseArgs({ options: spec });
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
}

// --- numbers ----------------------------------------------------------------------------------------------------------------------------

export function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
export const median = (values) => quantile(values, 0.5);

/** Three digits that count, in the unit that is short. */
export function time(us) {
  if (us >= 1000) return `${(us / 1000).toFixed(us >= 100_000 ? 0 : us >= 10_000 ? 1 : 2)} ms`;
  return `${us.toFixed(us >= 100 ? 0 : 1)} us`;
}

/** One row of a table of times in microseconds; with `base`, how many times faster its median is. */
export function row(what, values, base) {
  const ratio = base === undefined ? '' : `${(median(base) / median(values)).toFixed(1)}x`;
  return { what, n: String(values.length), p10: time(quantile(values, 0.1)), median: time(median(values)), p99: time(quantile(values, 0.99)), ratio };
}

/** A table in Markdown, aligned. */
export function table(rows) {
  const columns = Object.keys(rows[0]);
  const width = (column) => Math.max(column.length, ...rows.map((r) => String(r[column]).length));
  const line = (cells) => `| ${columns.map((column, i) => String(cells[i]).padEnd(width(column))).join(' | ')} |`;
  const lines = [line(columns), `|${columns.map((column) => '-'.repeat(width(column) + 2)).join('|')}|`];
  process.stdout.write(`${[...lines, ...rows.map((r) => line(columns.map((column) => r[column])))].join('\n')}\n`);
}

/** Where and when: without it a number means nothing. */
export function heading(what) {
  const machine = `${cpus()[0].model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}`;
  process.stdout.write(`${what}\n${new Date().toISOString().slice(0, 16)}Z; Node ${process.version}; ${machine}; load ${load()}\n\n`);
}
export const load = () => loadavg()[0].toFixed(2);

// --- a postmaster -----------------------------------------------------------------------------------------------------------------------

/**
 * Starts a postmaster without a database that preloads bench/library.mjs, and waits until it is ready. Workers' descriptor 3 is `pipe`.
 * `settings` as `-c`, `env` besides ours, `log` a descriptor, `flags` for Node. End it with `stop()`.
 */
export async function startPostmaster({ settings = {}, env = {}, log = 'inherit', flags = NODE_FLAGS } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'bgw-bench-'));
  const all = {
    database: 'none',
    log_min_messages: 'panic',
    allow_root: 'on',
    allow_writable_libraries: 'on',
    shared_preload_libraries: join(root, 'bench/library.mjs'),
    ...settings,
  };
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn(process.execPath, [...flags, dist('postmaster/main.js'), '-D', dir, ...args], {
    stdio: ['ignore', log, log, 'pipe'],
    cwd: root,
    env: { ...process.env, ...env },
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = async () => {
    child.kill('SIGINT');
    await exited;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await until(
      () => status(dir) === 'ready',
      () => child.exitCode ?? child.signalCode,
    );
  } catch (err) {
    await stop();
    throw err;
  }
  const { connect } = await import(pathToFileURL(dist('index.js')).href);
  return { dir, pid: child.pid, pipe: child.stdio[3], connect: () => connect(dir), stop };
}

function status(dir) {
  try {
    return (readFileSync(join(dir, 'postmaster.pid'), 'utf8').split('\n')[4] ?? '').trim();
  } catch {
    return '';
  }
}

async function until(condition, gone) {
  const deadline = Date.now() + 120_000;
  while (!condition()) {
    if (gone() !== null) throw new Error('the postmaster ended before it was ready');
    if (Date.now() > deadline) throw new Error('the postmaster is not ready after 120 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Lines that workers write to descriptor 3, one at a time. */
export function lines(pipe) {
  let text = '';
  const waiting = [];
  const got = [];
  pipe.setEncoding('utf8');
  pipe.on('data', (chunk) => {
    text += chunk;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      const next = waiting.shift();
      if (next === undefined) got.push(line);
      else next(line);
    }
  });
  return { next: () => (got.length > 0 ? Promise.resolve(got.shift()) : new Promise((resolve) => waiting.push(resolve))) };
}
