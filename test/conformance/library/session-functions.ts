// What the judge has a session's backend do through `session.call`: SQL on the database behind us, registering too late, counting SIGUSR1. The calls that
// scenarios make from SQL are in sql-calls.ts. Runs in session backends; each has the state of this file for itself.

import * as bgworker from 'bgworker';
import pg from 'pg';
import type { Registration } from '../registration.js';
import { withActivity, type ActivityRow } from './activity-sql.js';
import { notifyPidOf, oracle, toWorker } from './oracle.js';

// --- SQL --------------------------------------------------------------------------------------------------------------------------

let client: pg.Client | null = null;

const INTERRUPTS_MS = 10;

/** The database's own text of every value. */
const AS_TEXT = { getTypeParser: () => (value: string) => value };
const LEVELS: Readonly<Record<string, number>> = { WARNING: bgworker.WARNING, NOTICE: bgworker.NOTICE, INFO: bgworker.INFO, LOG: bgworker.LOG };

async function connected(): Promise<pg.Client> {
  if (client !== null) return client;
  const { database } = oracle();
  if (database === undefined) throw new Error('this scenario was started without a database');
  const fresh = new pg.Client({ ...database, types: AS_TEXT });
  // What the database tells its client, we tell ours.
  fresh.on('notice', ({ severity, code, message, detail, hint }) =>
    bgworker.ereport(LEVELS[severity ?? ''] ?? bgworker.NOTICE, { code, message: message ?? '', detail, hint }),
  );
  fresh.on('error', () => (client = null));
  await fresh.connect();
  client = fresh;
  return client;
}

/** The rows that one statement gave, as lists of text. */
export async function sql(text: string, activity: readonly ActivityRow[] | null): Promise<(string | null)[][]> {
  const database = await connected();
  const query = database.query<(string | null)[]>({ text: activity === null ? text : withActivity(text, activity), rowMode: 'array' });
  const { rows } = await interruptible(query);
  return rows ?? [];
}

/** What is no statement for the database is one in PostgreSQL: it fails where the transaction has failed. */
export async function beginStatement(): Promise<void> {
  await client?.query('SELECT');
}

/** And where it fails, so does the transaction, if there is one. */
export async function failTransaction(): Promise<void> {
  await client?.query("DO $$ BEGIN RAISE 'a statement of ours has failed'; END $$").catch(() => {});
}

/** A statement under way is cancelled where it runs, and the server's answer to that is ours. */
async function interruptible<T>(query: Promise<T>): Promise<T> {
  const look = setInterval(() => {
    try {
      bgworker.checkForInterrupts();
    } catch {
      void cancelStatement();
    }
  }, INTERRUPTS_MS);
  try {
    return await query;
  } finally {
    clearInterval(look);
  }
}

async function cancelStatement(): Promise<void> {
  const other = new pg.Client(oracle().database);
  await other.connect();
  await other.query('SELECT pg_cancel_backend($1)', [(client as unknown as { processID: number }).processID]);
  await other.end();
}

/** pg_terminate_backend and pg_cancel_backend: only who is connected can be signalled. */
export function signalBackend(pid: number, signal: 'SIGTERM' | 'SIGINT', connectedPids: readonly number[]): boolean {
  if (!connectedPids.includes(pid)) {
    bgworker.ereport(bgworker.WARNING, { code: '01000', message: `PID ${pid} is not a PostgreSQL backend process` });
    return false;
  }
  process.kill(-pid, signal); // its process group, as pg_signal_backend does: children of the worker's, too
  return true;
}

// --- registering ------------------------------------------------------------------------------------------------------------------

/** RegisterBackgroundWorker, called too late. */
export function registerStatic(registration: Registration): void {
  bgworker.registerBackgroundWorker(toWorker(registration, notifyPidOf(registration, bgworker.myProcPid)));
}

// --- SIGUSR1 ----------------------------------------------------------------------------------------------------------------------

let countedBefore = 0;

export function hookUsr1(): void {
  countedBefore = bgworker.signalCount('SIGUSR1');
}

export function usr1Count(): number {
  return bgworker.signalCount('SIGUSR1') - countedBefore;
}
