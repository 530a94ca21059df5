// pg_stat_activity with our processes in it: the statement runs on the real database, with a view of that name put before the catalog's. Pure.

/** Those of the view's columns that scenarios ask for. */
export interface ActivityRow {
  readonly pid: number;
  readonly backend_type: string | null;
  readonly datname: string | null;
  readonly usename: string | null;
  readonly application_name: string | null;
  readonly wait_event_type: string | null;
  readonly wait_event: string | null;
  readonly state: string | null;
  readonly query: string | null;
}

const COLUMNS = ['backend_type', 'datname', 'usename', 'application_name', 'wait_event_type', 'wait_event', 'state', 'query'] as const;

const literal = (text: string | null): string => (text === null ? 'NULL::text' : `'${text.replaceAll("'", "''")}'::text`);

export function withActivity(sql: string, rows: readonly ActivityRow[]): string {
  const none = `SELECT 0, ${COLUMNS.map(() => 'NULL::text').join(', ')} WHERE false`;
  const selects = rows.map((row) => `SELECT ${row.pid}, ${COLUMNS.map((column) => literal(row[column])).join(', ')}`);
  return `WITH pg_stat_activity(pid, ${COLUMNS.join(', ')}) AS (${[none, ...selects].join(' UNION ALL ')}) ${sql}`;
}
