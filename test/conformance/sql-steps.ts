// A `sql` step: who answers it. Runs in the judge; what a session's backend must do itself it does in library/session-functions.ts.

import type { BackgroundWorkerHandle } from '../../dist/bgworker/handle.js';
import type { Session } from '../../dist/session/client.js';
import type { ActivityRow } from './library/activity-sql.js';
import { LIBRARY } from './registration.js';
import type { ScenarioRun } from './scenario-run.js';
import type { OracleSession } from './sessions.js';
import type { Expression } from './sql-expression.js';
import { parseSql } from './sql.js';

const BEGIN = /^\s*(?:BEGIN|START\s+TRANSACTION)\b/i;

type Rows = (string | null)[][];

/** The rows as a signature has them: columns by commas, rows by semicolons. A statement without rows is ok. */
export async function runSql(run: ScenarioRun, session: OracleSession, backend: Session, source: string): Promise<string> {
  const rows = await rowsOf(run, session, backend, source);
  return rows.length === 0 ? 'ok' : rows.map((row) => row.map((value) => value ?? '').join(',')).join('; ');
}

/** Does it only look at what the server's processes do? */
export function isLook(source: string): boolean {
  const parsed = parseSql(source);
  return parsed.kind === 'plain' && parsed.activity && /^\s*SELECT\b/i.test(source);
}

/** Is it the database that is asked, and nobody before it? */
export function isPlain(source: string): boolean {
  const parsed = parseSql(source);
  return parsed.kind === 'sequence' ? isPlain(parsed.statements[0] ?? '') : parsed.kind === 'plain';
}

async function rowsOf(run: ScenarioRun, session: OracleSession, backend: Session, source: string): Promise<Rows> {
  const sql = source
    .replaceAll(/%PID:([^%]+)%/g, (_, who: string) => String(run.pidOf(who) ?? 0))
    .replaceAll('pg_backend_pid()', String(backend.backendPid)) // the session's; the database would tell that of its connection to us
    .replaceAll('%ID%', run.scenario.id);
  const parsed = parseSql(sql);
  switch (parsed.kind) {
    case 'plain':
      if (BEGIN.test(sql)) session.hasTransactions = true;
      return query(run, backend, sql, parsed.activity);
    case 'do':
      await callWithHandles(session, backend, 'doBlock', parsed.statements);
      return [];
    case 'select': {
      const signal = signalCall(parsed.columns);
      if (signal !== null) return [[truth(await signalBackend(run, backend, signal.function, signal.pid))]];
      return callWithHandles(session, backend, 'select', parsed);
    }
    case 'each':
      return forEachPid(run, backend, parsed.function, await query(run, backend, parsed.pids, true));
    case 'sequence': {
      let first: Rows = [];
      for (const statement of parsed.statements) {
        const rows = await rowsOf(run, session, backend, statement);
        if (first.length === 0) first = rows;
      }
      return first;
    }
  }
}

/** SQL names handles by their numbers in the session, whoever registered: the backend gets the list, and gives it back with what it has added. */
async function callWithHandles(session: OracleSession, backend: Session, fn: string, program: unknown): Promise<Rows> {
  const answer = (await backend.call(LIBRARY, fn, program, session.handles)) as { rows: Rows; handles: BackgroundWorkerHandle[] };
  session.handles = answer.handles;
  return answer.rows;
}

async function query(run: ScenarioRun, backend: Session, sql: string, activity: boolean): Promise<Rows> {
  return (await backend.call(LIBRARY, 'sql', sql, activity ? await activityRows(run, backend) : null)) as Rows;
}

const truth = (value: boolean): string => (value ? 't' : 'f');
const SIGNAL_OF: Readonly<Record<string, 'SIGTERM' | 'SIGINT'>> = { pg_terminate_backend: 'SIGTERM', pg_cancel_backend: 'SIGINT' };

function signalCall([column]: readonly Expression[]): { function: string; pid: number } | null {
  if (column?.kind !== 'call' || SIGNAL_OF[column.name] === undefined) return null;
  const [argument] = column.args;
  return { function: column.name, pid: argument?.kind === 'value' ? Number(argument.value) : 0 };
}

async function signalBackend(run: ScenarioRun, backend: Session, fn: string, pid: number): Promise<boolean> {
  const connected = (await activityRows(run, backend)).map((row) => row.pid);
  return (await backend.call(LIBRARY, 'signalBackend', pid, SIGNAL_OF[fn], connected)) as boolean;
}

async function forEachPid(run: ScenarioRun, backend: Session, fn: string, pids: Rows): Promise<Rows> {
  const rows: Rows = [];
  for (const [pid] of pids) {
    if (SIGNAL_OF[fn] !== undefined) rows.push([truth(await signalBackend(run, backend, fn, Number(pid)))]);
    else {
      const call = [{ kind: 'call', name: fn, args: [{ kind: 'value', value: Number(pid) }] }];
      rows.push(...((await backend.call(LIBRARY, 'select', { columns: call }, [])) as { rows: Rows }).rows);
    }
  }
  return rows;
}

/**
 * Our processes as pg_stat_activity would show them: session backends, and workers from the moment when they are connected to a database, which the
 * event file knows.
 */
async function activityRows(run: ScenarioRun, backend: Session): Promise<ActivityRow[]> {
  const events = run.events();
  return (await backend.activity()).flatMap((entry): ActivityRow[] => {
    const { pid, kind, type, waitEventType, waitEvent } = entry;
    if (pid === null || (kind !== 'background worker' && kind !== 'client backend')) return [];
    const plain = { pid, backend_type: type, wait_event_type: waitEventType, wait_event: waitEvent, state: null, query: null };
    if (kind === 'client backend') return [{ ...plain, datname: 'postgres', usename: 'postgres', application_name: run.sessionOf(pid) }];
    const own = events.filter((event) => event.pid === pid).map(({ text }) => text);
    const [, database, user] = own.map((text) => /^connecting db=(\S+) user=(\S+)$/.exec(text)).findLast((match) => match !== null) ?? [];
    if (database === undefined || user === undefined || !own.some((text) => text.startsWith('connected '))) return [];
    return [{ ...plain, datname: database === '-' ? null : database, usename: user === '-' ? 'postgres' : user, application_name: '' }];
  });
}
