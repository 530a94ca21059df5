// THE list of what can't be the same here, each entry with its reason. `docs/conformance.md` shows it. Pure.
//
//   LINES      lines that are PostgreSQL's alone (or ours alone): left out of the comparison on both sides
//   VALUES     parts of lines that differ from run to run, or from server to server: replaced on both sides
//   SCENARIOS  scenarios that have no point without something that only PostgreSQL has: not applicable
//
// "Hard to do" is no reason for an entry; nor is "we have not done it yet".

import type { Scenario } from './language.js';
import type { WorkerFields } from './registration.js';
import { parseScript, type Command } from './script.js';

export interface Exception {
  readonly pattern: RegExp;
  readonly reason: string;
  /** The line is one that we write, too. */
  readonly ours?: true;
}

export const LINES: readonly Exception[] = [
  {
    pattern: /^LOG\[LOG\] database system was (?:shut down|interrupted)\b/,
    reason: 'the startup process reads it from the control file of the data files; ours reads a running database and has no such file',
  },
  {
    pattern:
      /^LOG\[\w+\] (?:entering standby mode|consistent recovery state reached|redo (?:starts|done)|archive recovery complete|selected new timeline|received promote request|waiting for WAL|crash recovery starts in timeline|If this has occurred more than once)/,
    reason:
      'the startup process replays the write-ahead log and says how far it is; our startup process watches a database that does this in its own log',
  },
  {
    pattern:
      /^LOG\[\w+\] (?:terminating walreceiver process|could not connect to the primary server|unexpected EOF on standby connection|WAL archiving is not enabled)/,
    reason: 'WAL receiver, WAL sender and base backups are processes and commands of the database server, which has a log of its own',
  },
  { pattern: /^LOG\[LOG\] shutting down$/, reason: "the checkpointer's line before its last checkpoint; there is no checkpointer here" },
  {
    pattern:
      /^LOG\[\w+\] (?:terminating connection because of crash of another server process|The postmaster has commanded this server process|In a moment you should be able)/,
    reason: 'release 13 wrote the warning of a crash cycle to the log too; 14 and later, which we follow, send it to the client only',
  },
  {
    pattern: /^LOG\[LOG\] could not send data to client/,
    reason: 'the line is about a client of the oracle that was gone before the warning of a crash cycle reached it',
  },
  { pattern: /^LOG\[DETAIL\] Failed process was running: /, reason: 'the oracle has left it out' },
  {
    pattern: /^LOG\[LOG\] (?:starting \S+ \S+|listening on |creating a database cluster )/,
    ours: true,
    reason: 'ours, and but for the cluster in PostgreSQL too: of which release it is, where it listens; the oracle has left it out',
  },
  {
    pattern: /^LOG\[FATAL\] the database system is (?:starting up|in recovery mode|not (?:yet )?accepting connections)/,
    ours: true,
    reason: 'each try of a client that waits for the server leaves such a line, in PostgreSQL and here; the oracle has left it out',
  },
  { pattern: /: fds n=/, reason: 'which descriptors a process has open for its own work: signalfd and epoll there, those of the event loop here' },
  { pattern: /: ps title of postmaster: /, reason: "the postmaster's command line" },
];

/** As a signature has the line. */
export const isLeftOut = (line: string): boolean => LINES.some(({ pattern }) => pattern.test(line));
/** Only PostgreSQL writes it. */
export const isForeign = (line: string): boolean => LINES.some(({ pattern, ours }) => ours !== true && pattern.test(line));

export const VALUES: readonly (Exception & { readonly replacement: string })[] = [
  { pattern: /\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [A-Z]+\b/g, replacement: 'TIME', reason: 'a time of day' },
  { pattern: / \(key \d+, ID \d+\)/g, replacement: '', reason: "the kernel's numbers of a System V segment; ours has none" },
  {
    pattern: /^runner: killpg (?=-)/,
    replacement: 'runner: kill ',
    reason: 'what the step killpg writes: the description of the language has one line for it and for kill, and no scenario was recorded with it',
  },
  { pattern: /"\$BASE\/[^"]*"/g, replacement: '"$BASE"', reason: 'where the cluster lay' },
  // The first postmaster's lines after a second one ran: the oracle no longer knew whose they were.
  {
    pattern: /^-(?=: RegisterBackgroundWorker in _PG_init returned)/,
    replacement: 'pm',
    reason: 'the oracle knew only the pid of the latest postmaster',
  },
];

/**
 * Bits of the signal masks that are not a worker's own doing, by the field of /proc/PID/status. They are cleared on both sides.
 * With `release`: only where the oracle ran such a release.
 */
export const MASK_BITS: readonly {
  readonly fields: RegExp;
  readonly signals: readonly number[];
  readonly release?: RegExp;
  readonly reason: string;
}[] = [
  { fields: /^SigCgt$/, signals: [11], reason: "Node's own handler of SIGSEGV, which its WebAssembly engine needs" },
  { fields: /^SigCgt$/, signals: [33], reason: "the C library's own signal for setuid in processes with threads, which a process of Node has" },
  {
    fields: /^SigCgt$/,
    signals: [62],
    reason:
      'the timer that ends a worker whose exit callbacks take too long has a real-time signal of its own, since a worker may choose what SIGALRM does',
  },
  {
    fields: /^Sig/,
    signals: [3, 10, 23],
    release: /^13\./,
    reason:
      'workers of 13 begin with SIGQUIT blocked, have a handler of SIGUSR1 without the connection flag too, and know no SIGURG; we follow 14 and later also for workers without shared memory',
  },
];

/** By what they do, not by their names: the judge is for scenarios that nobody here has seen, too. */
export const SCENARIOS: readonly { readonly when: (scenario: Scenario) => boolean; readonly reason: string }[] = [
  {
    when: ({ setup }) => Object.values(setup.clusters ?? {}).some(({ conf }) => Number(conf?.['max_logical_replication_workers'] ?? 0) > 0),
    reason: 'the built-in logical replication launcher, which takes a slot and a process: there is no launcher here',
  },
  {
    when: ({ setup }) => setup.steps.some(({ who }) => [who].flat().some((name) => isAuxiliary(name ?? ''))),
    reason:
      'a step is about an auxiliary process of PostgreSQL: it signals it, asks whether it is there (alive, wait_gone), or reads its title or signal masks (ps, masks); there is none here but the startup process',
  },
  {
    when: (scenario) => runsOf(scenario).some((run) => run.filter(({ letter }) => CONNECT.test(letter)).length > 1),
    reason:
      'the second connection fails as it should, and then PostgreSQL crashes in its exit callbacks, which its authors did not want: no crash of ours could be the same',
  },
  {
    when: (scenario) => runsOf(scenario).some((run) => run.find(({ letter }) => letter === 'Q' || CONNECT.test(letter))?.letter === 'Q'),
    reason: 'SPI without a connection reads through a null pointer in C; here it is an error that says so',
  },
];

/** Titles of the processes that PostgreSQL has besides backends and workers, but for the startup process. */
const TITLES = ['checkpointer', 'background writer', 'walwriter', 'autovacuum launcher', 'autovacuum worker', 'logical replication launcher'];
const MORE_TITLES = ['archiver', 'stats collector', 'logger', 'walreceiver', 'walsender'];

/** A postmaster's child whose title has the text may be a worker of the scenario's, too. */
function isAuxiliary(name: string): boolean {
  const text = name.startsWith('aux:') ? name.slice('aux:'.length) : '';
  return text !== '' && [...TITLES, ...MORE_TITLES].some((title) => title.includes(text));
}

const CONNECT = /^[CO]$/;

/** Every run of every script that a scenario has. */
function runsOf({ setup }: Scenario): Command[][] {
  const workers: WorkerFields[] = [...setup.steps, ...Object.values(setup.clusters ?? {}).flatMap((cluster) => cluster.static ?? [])];
  return workers.flatMap(({ script = '' }) => parseScript(script));
}

/** The reason why a scenario is not applicable, or null. */
export function notApplicable(scenario: Scenario): string | null {
  return SCENARIOS.find((entry) => entry.when(scenario))?.reason ?? null;
}

/** A signature as it is compared: without the lines that are PostgreSQL's alone, and with the changing values replaced. `release` is the oracle's. */
export function comparable(signature: readonly string[], release: string): string[] {
  let lineLeftOut = false;
  const kept = signature.filter((line) => {
    const follows = /^LOG\[(?:DETAIL|HINT)\] /.test(line);
    if (!follows) lineLeftOut = line.startsWith('LOG[') && isLeftOut(line);
    return !isLeftOut(line) && !(follows && lineLeftOut); // what follows a line goes with it
  });
  return kept.map((line) => clearMasks(replaceValues(line), release));
}

function replaceValues(line: string): string {
  return VALUES.reduce((text, { pattern, replacement }) => text.replace(pattern, replacement), line);
}

function clearMasks(line: string, release: string): string {
  const here = MASK_BITS.filter((bits) => bits.release?.test(release) ?? true);
  return line.replaceAll(/\b(SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt)=([0-9a-f]{16})\b/g, (_, field: string, mask: string) => {
    const signals = here.filter(({ fields }) => fields.test(field)).flatMap(({ signals }) => signals);
    const cleared = signals.reduce((bits, signal) => bits & ~(1n << BigInt(signal - 1)), BigInt(`0x${mask}`));
    return `${field}=${cleared.toString(16).padStart(16, '0')}`;
  });
}
