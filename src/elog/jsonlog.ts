// A log record as one line of JSON. Any process. Pure.
// PostgreSQL: write_jsonlog in src/backend/utils/error/jsonlog.c, REL_15_STABLE: its keys, in its order. What is not known is left out, as there.
//
// Never here: dbname, remote_port, application_name (a session has none), vxid and leader_pid (as in a process of PostgreSQL's without a database),
// statement, cursor_position; func_name, file_name and file_line_num, which PostgreSQL writes at log_error_verbosity = verbose only. txid and query_id are 0, as
// in a process that has no transaction: ours have not, the database server's have.

import { ERRCODE_SUCCESSFUL_COMPLETION } from './errcodes.js';
import { type ErrorFields, levelName } from './error-data.js';
import { type LogContext, sessionId, sessionStart } from './log-context.js';

/** With the newline. `code` is the SQLSTATE, which is left out where it says that all is well. */
export function formatJsonRecord(report: { level: number; fields: ErrorFields; code: string }, context: LogContext, lineNumber: number): string {
  const { level, fields, code } = report;
  const { port } = context;
  const { internalquery } = fields;
  const record = {
    timestamp: context.times.milliseconds,
    user: port?.userName ?? undefined,
    pid: context.pid,
    remote_host: port?.remoteHost,
    session_id: sessionId(context),
    line_num: lineNumber,
    ps: port?.activity,
    session_start: sessionStart(context),
    txid: 0,
    error_severity: levelName(level),
    state_code: code === ERRCODE_SUCCESSFUL_COMPLETION ? undefined : code,
    message: fields.message,
    detail: fields.detail,
    hint: fields.hint,
    internal_query: internalquery,
    internal_position: internalquery === undefined ? undefined : fields.internalpos,
    context: fields.context,
    backend_type: context.backendType,
    query_id: 0,
  };
  return `${JSON.stringify(record)}\n`; // escapes what escape_json escapes, and nothing else
}
