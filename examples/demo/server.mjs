// The demonstration's server: started by the command that a reader would type, watched, and ended in every case. Runs in the demonstration's own process.

import { spawn } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The package: libraries are named relative to it. */
export const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'dist', 'cli', 'main.js');
const isRoot = process.getuid?.() === 0;

/** @param {string} dir @returns {boolean} */
function openToAll(dir) {
  return (statSync(dir).mode & 0o001) !== 0 && (dir === '/' || openToAll(dirname(dir)));
}

/** Where a short path can be made that the database server may enter: as root it runs as somebody else. */
function baseDirectory() {
  const wanted = tmpdir();
  const short = wanted.length <= 50; // a Unix socket's whole path must stay below 108 bytes
  return short && (!isRoot || openToAll(wanted)) ? wanted : '/tmp';
}

/** What /proc says of a process, null where there is none. @param {number} pid */
function look(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state = '', parent = '', ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const title = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid, state, parent: Number(parent), startTime: fields[17] ?? '', title };
  } catch {
    return null;
  }
}

/** Every process of the machine. */
function everybody() {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => look(Number(pid))).filter((process) => process !== null);
}

/** The descendants of a process, parents first. @param {number} pid @returns {NonNullable<ReturnType<typeof look>>[]} */
function descendants(pid, all = everybody()) {
  return all.filter(({ parent }) => parent === pid).flatMap((child) => [child, ...descendants(child.pid, all)]);
}

/** Where a link of /proc leads, '' where there is none (any more) or it is not ours to read. @param {string} link */
function leadsTo(link) {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

/** Is the working directory, or an open file, of this process below `dir`? @param {number} pid @param {string} dir */
function worksIn(pid, dir) {
  let fds = /** @type {string[]} */ ([]);
  try {
    fds = readdirSync(`/proc/${pid}/fd`);
  } catch {
    // gone, or somebody else's
  }
  return [`/proc/${pid}/cwd`, ...fds.map((fd) => `/proc/${pid}/fd/${fd}`)].some((link) => leadsTo(link).startsWith(dir));
}

export class Server {
  /** All that the demonstration makes is in here. */
  top;
  /** The data directory. */
  dir;
  #logFile;
  /** @type {readonly string[]} */
  settings;
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  /** Resolves with the exit status. @type {Promise<number | null>} */
  exited = Promise.resolve(null);
  /** Every process of the server that was ever looked at, by pid and start time. @type {Map<string, number>} */
  #known = new Map();

  /** @param {readonly string[]} settings `name=value` */
  constructor(settings) {
    this.settings = isRoot ? ['allow_root=on', ...settings] : settings;
    this.top = mkdtempSync(join(baseDirectory(), 'bgworker-demo-'));
    if (isRoot) chmodSync(this.top, 0o711);
    this.dir = join(this.top, 'data');
    this.#logFile = join(this.top, 'server.log');
  }

  get pid() {
    return this.#child?.pid ?? 0;
  }

  get runs() {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The shell command that starts it. */
  get command() {
    return ['bgworker run -D', this.dir, ...this.settings.map((setting) => `-c ${setting}`)].join(' ');
  }

  /** In the foreground, as our child, so that its end is ours to see. In a session of its own, so that Ctrl-C reaches us alone. */
  start() {
    const log = openSync(this.#logFile, 'a', 0o600);
    const args = ['run', '-D', this.dir, ...this.settings.flatMap((setting) => ['-c', setting])];
    const child = spawn(process.execPath, [program, ...args], { cwd: root, detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    this.exited = new Promise((resolve) => {
      child.once('exit', resolve);
      child.once('error', () => resolve(null));
    });
  }

  /** Runs one of the other commands, and returns what it prints. @param {string} name @returns {Promise<{ status: number | null; output: string }>} */
  run(name) {
    const child = spawn(process.execPath, [program, name, '-D', this.dir], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, output }));
    });
  }

  log() {
    return existsSync(this.#logFile) ? readFileSync(this.#logFile, 'utf8') : '';
  }

  /** The log's lines that match, in order. @param {RegExp} what */
  logLines(what) {
    return this.log()
      .split('\n')
      .filter((line) => what.test(line));
  }

  /** Its processes now, itself first. They are remembered: at the end none of them may be left. */
  processes() {
    const own = look(this.pid);
    const all = own === null ? [] : [own, ...descendants(this.pid)];
    for (const { pid, startTime } of all) this.#known.set(`${pid} ${startTime}`, pid);
    return all;
  }

  /** What is left of it: processes that were ever seen (zombies count), processes that work in its directory, children of ours. */
  leftProcesses() {
    const left = everybody().filter(
      ({ pid, startTime, parent }) =>
        pid !== process.pid && (this.#known.has(`${pid} ${startTime}`) || parent === process.pid || worksIn(pid, `${this.top}/`)),
    );
    return left.map(({ pid, state, title }) => `process ${pid} (${state}) ${title}`);
  }

  /** Files that only a running server has. */
  leftFiles() {
    const files = ['.s.bgworker', 'postmaster.pid', 'pgdata/postmaster.pid', 'pgsocket/.s.PGSQL.5432'];
    return files.map((name) => join(this.dir, name)).filter((file) => existsSync(file));
  }

  /** The end in any case, and harmless where it has ended: politely, then less so. Only our own child is ever signalled. */
  async end() {
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGQUIT', 'SIGKILL'])) {
      if (!this.runs) break;
      this.#child?.kill(signal);
      await Promise.race([this.exited, sleep(8000, undefined, { ref: false })]);
    }
    // After SIGKILL the others see that the postmaster is gone, and go.
    for (let tries = 0; tries < 100 && this.leftProcesses().length > 0; tries++) await sleep(50);
  }

  get exists() {
    return existsSync(this.top);
  }

  remove() {
    rmSync(this.top, { recursive: true, force: true });
  }
}
