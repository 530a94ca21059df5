// What a `sql` step asks for. Plain SQL goes to the database behind us; the functions of the scenarios' C module (`bgwo_…`) and what PostgreSQL knows
// of its own processes are ours to answer. Pure: this file only reads a statement; the runner and the worker library carry it out.
//
// What is written around the calls: sql-program.ts, sql-expression.ts.

import { FUNCTIONS } from './sql-expression.js';
import { readBlock, readSelect, type Select, type Statement } from './sql-program.js';

export type Sql =
  /** For the database; a statement that mentions pg_stat_activity gets ours in its place. */
  | { readonly kind: 'plain'; readonly activity: boolean }
  | ({ readonly kind: 'select' } & Select)
  | { readonly kind: 'do'; readonly statements: readonly Statement[] }
  /** Several statements, one after the other. */
  | { readonly kind: 'sequence'; readonly statements: readonly string[] }
  /** One call for each process that a query on pg_stat_activity finds: `pids` is that query. */
  | { readonly kind: 'each'; readonly function: string; readonly pids: string };

const OURS = /\b(?:bgwo_\w+|pg_terminate_backend|pg_cancel_backend)\b/;

/** @throws Error for a call of ours in a form that is not understood. */
export function parseSql(sql: string): Sql {
  const activity = /\bpg_stat_activity\b/.test(sql);
  if (!OURS.test(sql)) return { kind: 'plain', activity };
  const statements = splitStatements(sql);
  if (statements.length > 1) {
    for (const statement of statements) parseSql(statement);
    return { kind: 'sequence', statements };
  }
  const [, body] = /^\s*DO\s+(?:\$(\w*)\$)(?:.*)\$\1\$\s*;?\s*$/s.test(sql) ? (/\$\w*\$(.*)\$\w*\$/s.exec(sql) ?? []) : [];
  if (body !== undefined) return { kind: 'do', statements: readBlock(body) };
  const [, each, from] = /^\s*SELECT\s+(\w+)\(pid\)\s+(FROM\s+pg_stat_activity\b.*?);?\s*$/is.exec(sql) ?? [];
  if (each !== undefined && Object.hasOwn(FUNCTIONS, each)) return { kind: 'each', function: each, pids: `SELECT pid ${from}` };
  return { kind: 'select', ...readSelect(sql) };
}

/** By semicolons that are not inside of quotes. */
function splitStatements(sql: string): string[] {
  const parts = sql.match(/(?:[^;'$]|'(?:[^'\\]|''|\\.)*'|\$(\w*)\$.*?\$\1\$|\$)+/gs) ?? [];
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

/** Does the statement need a database, or only ourselves? */
export function needsDatabase(sql: string): boolean {
  const parsed = parseSql(sql);
  if (parsed.kind === 'sequence') return parsed.statements.some(needsDatabase);
  return parsed.kind === 'plain' || parsed.kind === 'each';
}
