// What does not outlast a transaction behind a pooler that pools transactions: a worker is warned when it relies on it. Workers.
// PostgreSQL knows no poolers. Whoever is told a backend's pid that is not that of the backend which serves it has one in between; how it pools does not show.

import { WARNING } from '../elog/error-data.js';
import type { DatabaseConnection } from './database-connection.js';
import type { SqlStatement } from './sql-statements.js';

/** What each connection has been warned of. */
const warned = new WeakMap<DatabaseConnection, Set<string>>();

/** What a statement leaves in its session; null for nothing that a look at its words finds. */
export function sessionStateOf({ words }: Pick<SqlStatement, 'words'>): string | null {
  const [verb = '', second = '', third = ''] = words;
  if (verb === 'LISTEN') return 'LISTEN';
  if (verb === 'SET' && !['LOCAL', 'TRANSACTION', 'CONSTRAINTS'].includes(second)) return 'SET';
  if (verb === 'PREPARE' && second !== 'TRANSACTION') return 'a prepared statement';
  if (verb === 'CREATE' && [second, third].some((word) => word === 'TEMP' || word === 'TEMPORARY')) return 'a temporary table';
  if (verb === 'DECLARE' && words.some((word, i) => word === 'WITH' && words[i + 1] === 'HOLD')) return 'a cursor WITH HOLD';
  if (words.some((word) => /^PG_(TRY_)?ADVISORY_LOCK(_SHARED)?$/.test(word))) return 'an advisory lock of the session';
  return null;
}

/** Says so, once for each kind, where a pooler is in between. */
export function warnOfPooler(conn: DatabaseConnection, what: string): void {
  if (!conn.behindPooler) return;
  const told = warned.get(conn) ?? new Set();
  warned.set(conn, told);
  if (told.has(what)) return;
  told.add(what);
  conn.owner.report(WARNING, {
    message: `${what} may be lost at the end of the transaction: the database server is reached through a connection pooler`,
    detail: 'If it pools transactions, the next transaction may be served by another session, and another client by this one.',
    hint: 'Use a pool of sessions, or a connection to the server itself.',
  });
}
