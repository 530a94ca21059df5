// The event file: what processes under test say of themselves, one line and one write each. Written by the worker library in workers, in session backends and
// in the postmaster (O_APPEND: lines of several processes never mix), read by the judge.
//
//   line = CLOCK_MONOTONIC in ns, pid, tag (the worker's, as `bgw_extra` has it), text; a newline in the text is written as \n

import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';

export interface WorkerEvent {
  readonly timeMs: number;
  readonly pid: number;
  readonly tag: string;
  readonly text: string;
}

/** What the judge tells the worker library, in the environment variable of that name: processes forked later have it too. */
export const ORACLE_VARIABLE = 'BGWORACLE';
export interface OracleSettings {
  /** The event file, and the folder that it and the files of `touch` are in. */
  readonly events: string;
  readonly folder: string;
  /** The release that the oracle ran. */
  readonly release: string;
  /** The tag of the postmaster's own lines. */
  readonly postmasterTag: string;
  /** The statically registered workers, as JSON of Registration[]; none where there is no such file. */
  readonly static?: string;
  /** How to reach the database behind us, for the fields of a client; none where there is none. */
  readonly database?: { readonly host: string; readonly port: number; readonly user: string; readonly database: string };
}

export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Opens and closes the file each time: a descriptor kept open would be one that children inherit. */
export function appendEvent(file: string, tag: string, text: string): void {
  const line = `${process.hrtime.bigint()} ${process.pid} ${tag} ${text.replaceAll('\\', '\\\\').replaceAll('\n', String.raw`\n`)}\n`;
  const fd = openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
  try {
    writeSync(fd, line);
  } finally {
    closeSync(fd);
  }
}

export function readEvents(file: string): WorkerEvent[] {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw err;
  }
  return parseEvents(content);
}

export function parseEvents(content: string): WorkerEvent[] {
  // The last line is either complete or about to be: what comes after the last newline is left for the next look.
  return content
    .slice(0, content.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [, ns, pid, tag, text] = /^(\d+) (\d+) (\S*) (.*)$/s.exec(line) ?? [];
      if (ns === undefined || text === undefined) throw new Error(`unrecognized line in the event file: "${line}"`);
      return { timeMs: Number(BigInt(ns) / 1000n) / 1000, pid: Number(pid), tag: tag ?? '', text: unescape(text) };
    });
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/gs, (_, char: string) => (char === 'n' ? '\n' : char));
}
