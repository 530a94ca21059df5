// Turns what was seen (events, log, the runner's own lines) into the form in which the oracle has it: lines without times, with names instead of pids. Pure.
//
//   NAME#k: …        what the k-th process of worker NAME wrote to the event file
//   runner: …        what a session, or the runner, saw
//   LOG[LEVEL] …     a line of the server's log

import type { WorkerEvent } from './event-file.js';
import type { WorkerHistory } from './language.js';
import type { LogRecord } from './server-log.js';

/** A line of the runner, with the pids still in it. */
export interface RunnerLine {
  readonly timeMs: number;
  readonly text: string;
  /** By the log it was so between two looks of a session, which saw nothing of it. */
  readonly unseen?: boolean;
}

export interface Seen {
  /** The scenario's id: names begin with it and a dot, and are shown without. */
  readonly id: string;
  /** The folder of the scenario's files, shown as $BASE. */
  readonly base: string;
  readonly events: readonly WorkerEvent[];
  readonly log: readonly LogRecord[];
  readonly runner: readonly RunnerLine[];
  /** Session backends, by pid. */
  readonly sessions: ReadonlyMap<number, string>;
  /** What to add to the log's times to have the time of events: the log has the wall clock. */
  readonly clockOffsetMs: number;
}

/** Of the DEBUG lines these only: the life of a worker, and a notify pid that nobody has. */
const SHOWN_DEBUG =
  /^(?:(?:registering|unregistering) background worker |starting background worker process |background worker ".*" \(PID \d+\) exited with exit code 0$|worker notification PID (?!0 ))/s;

/** Tags of processes that are not a worker's main one carry no number: the postmaster's (a worker's begins with the scenario's id), and those of children of workers. */
const UNNUMBERED = /^pm(?:\.\w+)?$|\.kid$/;

/** `w#1` for the first process that wrote with the tag `w`, and so on; `a.kid` and `pm` stay as they are. */
export function namesOf(seen: Pick<Seen, 'id' | 'events' | 'sessions'>): Map<number, string> {
  const names = new Map<number, string>();
  const counts = new Map<string, number>();
  for (const { pid, tag } of seen.events) {
    if (names.has(pid)) continue;
    const name = shorten(seen.id, tag);
    if (UNNUMBERED.test(tag)) {
      names.set(pid, name);
      continue;
    }
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    names.set(pid, `${name}#${count}`);
  }
  for (const [pid, name] of seen.sessions) names.set(pid, name);
  return names;
}

function shorten(id: string, text: string): string {
  return text.replaceAll(`${id}.`, '');
}

export function signatureOf(seen: Seen): string[] {
  const names = namesOf(seen);
  const plain = (text: string): string => shorten(seen.id, text).replaceAll(seen.base, '$BASE');
  // A pid in parentheses, or after STARTED, is a process that the scenario knows or some other; PID with a number alone is replaced where it is known.
  const withNames = (text: string, unknown: string): string =>
    plain(text)
      .replaceAll(/\(PID (\d+)\)/g, (_, pid: string) => `(PID <${names.get(Number(pid)) ?? 'other'}>)`)
      .replaceAll(/\bSTARTED (\d+)/g, (_, pid: string) => `STARTED <${names.get(Number(pid)) ?? unknown}>`)
      .replaceAll(/\bPID (\d+)/g, (whole, pid: string) => (names.has(Number(pid)) ? `PID <${names.get(Number(pid))}>` : whole));
  const lines = [
    ...seen.events.map(({ timeMs, pid, text }) => ({ timeMs, lines: [`${names.get(pid)}: ${plain(text)}`] })),
    ...seen.runner.map(({ timeMs, text }) => ({ timeMs, lines: [`runner: ${withNames(text, 'pid')}`] })),
    ...seen.log
      .filter(({ level, message }) => level !== 'DEBUG' || SHOWN_DEBUG.test(message))
      .map(({ epochMs, level, message, detail, hint }) => ({
        timeMs: epochMs + seen.clockOffsetMs,
        lines: [
          `LOG[${level}] ${withNames(message, 'other')}`,
          ...(detail === undefined ? [] : [`LOG[DETAIL] ${withNames(detail, 'other')}`]),
          ...(hint === undefined ? [] : [`LOG[HINT] ${withNames(hint, 'other')}`]),
        ],
      })),
  ];
  return lines.toSorted((a, b) => a.timeMs - b.timeMs).flatMap(({ lines }) => lines);
}

/** When a worker was started and how it ended, in the order of the log: what `workers` of a scenario has, with the times that gaps are made of. */
export interface Life {
  readonly startedMs: number;
  /** As the log words it, or null where it does not say. */
  readonly exit: string | null;
  readonly exitedMs: number | null;
  /** As the line of the exit has it. */
  readonly pid: number | null;
}

const EXIT = /^background worker "(.*)" \(PID (\d+)\) ((?:exited with|was terminated by).*)$/s;
const START = /^starting background worker process "(.*)"$/s;

/** Lives by the worker's name. An exit line says the type, so a worker with a type of its own has exits that are not seen, as in the oracle. */
export function livesOf(id: string, log: readonly LogRecord[]): Map<string, Life[]> {
  const lives = new Map<string, Life[]>();
  for (const { epochMs, message } of log) {
    const [, started] = START.exec(message) ?? [];
    if (started !== undefined) {
      const name = shorten(id, started);
      lives.set(name, [...(lives.get(name) ?? []), { startedMs: epochMs, exit: null, exitedMs: null, pid: null }]);
      continue;
    }
    const [, exited, pid, exit] = EXIT.exec(message) ?? [];
    const known = exited === undefined ? undefined : lives.get(shorten(id, exited));
    const last = known?.at(-1);
    if (known !== undefined && last !== undefined && last.exit === null && exit !== undefined)
      known.splice(-1, 1, { ...last, exit, exitedMs: epochMs, pid: Number(pid) });
  }
  return lives;
}

const seconds = (ms: number): number => Math.round(ms / 10) / 100;

/** Lives in the form of the oracle's `workers`. */
export function historyOf(lives: readonly Life[]): WorkerHistory {
  const pairs = lives.slice(1).map((life, index) => [lives[index] as Life, life] as const);
  return {
    starts: lives.length,
    exits: lives.map(({ exit }) => exit ?? '(not seen)'),
    restart_gaps_s: pairs.flatMap(([before, after]) => (before.exitedMs === null ? [] : [seconds(after.startedMs - before.exitedMs)])),
    start_to_start_s: pairs.map(([before, after]) => seconds(after.startedMs - before.startedMs)),
  };
}
