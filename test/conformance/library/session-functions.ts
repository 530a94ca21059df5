// What the judge has a session's backend do through `session.call`: SQL on the database behind us, the calls that scenarios make from SQL, counting SIGUSR1, and
// dying in many ways. Runs in session backends; each has the state of this file for itself.

import * as bgworker from 'bgworker';
import type { BackgroundWorkerHandle } from 'bgworker';
import pg from 'pg';
import { parseRegistration, type Registration } from '../registration.js';
import type { Expression, Statement } from '../sql.js';
import { withActivity, type ActivityRow } from './activity-sql.js';
import { notifyPidOf, oracle, toWorker } from './oracle.js';
import { leaveWithoutCleanup } from './raw-exit.js';

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
  process.kill(pid, signal);
  return true;
}

// --- the calls from SQL -----------------------------------------------------------------------------------------------------------

/** All handles of the session, by number: the judge knows those that were registered without SQL. */
let handles: BackgroundWorkerHandle[] = [];
const STATUS: Readonly<Record<number, string>> = {
  [bgworker.BGWH_NOT_YET_STARTED]: 'NOT_YET_STARTED',
  [bgworker.BGWH_STOPPED]: 'STOPPED',
  [bgworker.BGWH_POSTMASTER_DIED]: 'POSTMASTER_DIED',
};

type Value = string | number | null;
type Variables = Map<string, Value>;

function handleOf(value: Value): BackgroundWorkerHandle {
  const handle = handles[Number(value)];
  if (handle === undefined) throw new Error(`there is no handle ${value}`);
  return handle;
}

function statusText({ status, pid }: { status: number; pid?: number }): string {
  return status === bgworker.BGWH_STARTED ? `STARTED ${pid}` : (STATUS[status] ?? String(status));
}

const FUNCTIONS: Readonly<Record<string, (argument: Value) => Value | Promise<Value>>> = {
  bgwo_reg: (text) => {
    const registration = parseRegistration(String(text));
    const handle = bgworker.registerDynamicBackgroundWorker(toWorker(registration, notifyPidOf(registration, bgworker.myProcPid)));
    return handle === null ? null : handles.push(handle) - 1;
  },
  bgwo_status: (handle) => statusText(bgworker.getBackgroundWorkerPid(handleOf(handle))),
  bgwo_wait_startup: async (handle) => statusText(await bgworker.waitForBackgroundWorkerStartup(handleOf(handle))),
  bgwo_wait_shutdown: async (handle) => statusText({ status: await bgworker.waitForBackgroundWorkerShutdown(handleOf(handle)) }),
  bgwo_terminate: (handle) => {
    bgworker.terminateBackgroundWorker(handleOf(handle));
    return '';
  },
  bgwo_type_by_pid: (pid) => bgworker.getBackgroundWorkerTypeByPid(Number(pid)),
  bgwo_crash: (how) => crash(String(how)),
  pg_sleep: async (seconds) => {
    await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000));
    return '';
  },
};

async function valueOf(expression: Expression, variables: Variables): Promise<Value> {
  if (expression.kind === 'value') return expression.value;
  if (expression.kind === 'variable') return variables.get(expression.name) ?? null;
  const call = FUNCTIONS[expression.name];
  if (call === undefined) throw new Error(`function ${expression.name} is not implemented`);
  const [argument] = expression.args;
  const value = argument === undefined ? null : await valueOf(argument, variables);
  return call(value);
}

interface Answer {
  readonly rows: (string | null)[][];
  readonly handles: BackgroundWorkerHandle[];
}

/** SELECT of calls: one row. */
export async function select(columns: readonly Expression[], known: BackgroundWorkerHandle[]): Promise<Answer> {
  handles = known;
  const row: (string | null)[] = [];
  for (const column of columns) {
    const value = await valueOf(column, new Map());
    row.push(value === null ? null : String(value));
  }
  return { rows: [row], handles };
}

/** A DO block: its statements, one after the other, in this process. */
export async function doBlock(statements: readonly Statement[], known: BackgroundWorkerHandle[]): Promise<Answer> {
  handles = known;
  const variables: Variables = new Map();
  for (const statement of statements) {
    if (statement.kind === 'perform') await valueOf(statement.value, variables);
    else if (statement.kind === 'assign') variables.set(statement.variable, await valueOf(statement.value, variables));
    else {
      let message = statement.format;
      for (const argument of statement.args) message = message.replace('%', String((await valueOf(argument, variables)) ?? '<NULL>'));
      bgworker.ereport(bgworker.NOTICE, { code: '00000', message });
    }
  }
  return { rows: [], handles };
}

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

// --- dying ------------------------------------------------------------------------------------------------------------------------

export function crash(how: string): never {
  const [, status] = /^exit(\d+)$/.exec(how) ?? [];
  if (status !== undefined) leaveWithoutCleanup(Number(status));
  const [, procExitStatus] = /^proc_exit(\d+)$/.exec(how) ?? [];
  if (procExitStatus !== undefined) bgworker.procExit(Number(procExitStatus));
  const signals: Readonly<Record<string, NodeJS.Signals>> = { segv: 'SIGSEGV', kill: 'SIGKILL', quit: 'SIGQUIT', term: 'SIGTERM' };
  const signal = signals[how];
  if (signal !== undefined) process.kill(bgworker.myProcPid, signal);
  else if (how === 'abort') process.abort();
  else if (how === 'fatal') bgworker.ereport(bgworker.FATAL, { message: 'oracle backend fatal' });
  else if (how === 'error') bgworker.ereport(bgworker.ERROR, { message: 'oracle backend error' });
  else if (how === 'panic') bgworker.ereport(bgworker.PANIC, { message: 'oracle backend panic' });
  throw new Error(`a backend cannot crash by "${how}"`);
}
