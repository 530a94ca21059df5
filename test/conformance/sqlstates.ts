// SQLSTATEs of log lines. The recorded signatures do not have them (but in what sessions saw), so the second rule is checked against what PostgreSQL's source
// gives each message; where the contract names one, it is that. A text that is not here is named in the report. Pure.

import type { LogRecord } from './server-log.js';

/** Null: the one that the last failed system call left behind, and so nobody can say. */
const CODES: readonly (readonly [RegExp, string | null])[] = [
  [/^(?:too many background workers|no slot available for new worker process)$/, '53400'],
  [/^(?:sorry, too many clients already|remaining connection slots are reserved .*|too many connections for .*)$/, '53300'],
  [/^out of (?:memory|shared memory)$/, '53200'],
  [/^out of (?:on_proc_exit|on_shmem_exit|before_shmem_exit) slots$/, '54000'],
  [/^background worker ".*": only dynamic background workers can request notification$/s, '0A000'],
  [
    /^background worker ".*": (?:background workers without shared memory|must attach to|cannot request database|invalid restart interval|parallel workers may not)/s,
    '22023',
  ],
  [
    /^terminating (?:background worker ".*"|connection) due to (?:administrator command|unexpected postmaster exit|immediate shutdown command)$/s,
    '57P01',
  ],
  [/^terminating connection because of unexpected SIGQUIT signal$/, '57P01'],
  [/^terminating connection because of crash of another server process$/, '57P02'],
  [/^the database system is (?:starting up|shutting down|in recovery mode|not (?:yet )?accepting connections)$/, '57P03'],
  [/^canceling statement due to user request$/, '57014'],
  [/^database connection requirement not indicated during registration$/, '54000'],
  [/^database ".*" does not exist$|^database \d+ does not exist$/, '3D000'],
  [/^role (?:".*" (?:does not exist|is not permitted to log in)|with OID \d+ does not exist)$/, '28000'],
  [/^connection to client lost$/, '08006'],
  [/^current transaction is aborted, commands ignored until end of transaction block$/, '25P02'],
  [/^floating-point exception$/, '22P01'],
  [/^permission denied (?:for|to) /, '42501'],
  [/^database ".*" is not currently accepting connections$/, '55000'],
  [/^(?:could not access file|could not open file) ".*": No such file or directory$/s, '58P01'],
  [/^(?:could not access file|could not open file) ".*": Permission denied$/s, '42501'],
  [/^could not load library ".*": /s, null],
  [/^incompatible library ".*": /s, 'XX000'],
  [/^internal function ".*" not found$/s, 'XX000'],
  [/^could not find function ".*" in file ".*"$/s, '42883'],
  [/^PID \d+ is not a PostgreSQL (?:backend|server) process$/, '01000'],
  [/^parameter ".*" cannot be changed without restarting the server$/, '55P02'],
  [/^configuration file ".*" contains errors(?:; .*)?$/s, 'F0000'],
  [/^unrecognized configuration parameter ".*"/, '42704'],
  [/^(?:invalid value for parameter ".*"|\S+ .*is outside the valid range for parameter ".*")/, '22023'],
  [/^lock file ".*" already exists$/, 'F0001'],
  [/^pre-existing shared memory block .*is still in use$/, 'F0001'],
  [/^division by zero$/, '22012'],
  [/^cannot execute .* in a read-only transaction$/, '25006'],
  [/^database ".*" is being accessed by other users$/, '55006'],
  [/^column ".*" does not exist$/, '42703'],
  [/^relation ".*" does not exist$/, '42P01'],
  [/^syntax error at /, '42601'],
  [/^cannot read pg_class without having selected a database\b/, 'XX000'],
  [/^oracle (?:backend )?(?:error|fatal|panic)$/, 'XX000'],
];

/** What is no error has none. */
const WITHOUT = new Set(['LOG', 'NOTICE', 'INFO']);

function rowOf({ message }: LogRecord): (typeof CODES)[number] | undefined {
  const text = message.replace(/ at character \d+$/, '');
  return CODES.find(([pattern]) => pattern.test(text));
}

/** The lines whose SQLSTATE is not PostgreSQL's, each once. Lines that say what a process does have none (00000). */
export function compareCodes(log: readonly LogRecord[]): string[] {
  const wrong = log
    .filter(({ level }) => level !== 'DEBUG')
    .flatMap((record) => {
      const { level, code, message } = record;
      const row = rowOf(record);
      const want = row?.[1] ?? (row === undefined && WITHOUT.has(level) ? '00000' : code);
      return want === code ? [] : [`SQLSTATE ${code} instead of ${want}: ${level}:  ${message}`];
    });
  return [...new Set(wrong)];
}

/** The errors and warnings that are in no row, each once: whoever reads the report can say whether their SQLSTATEs are right. */
export function uncheckedCodes(log: readonly LogRecord[]): string[] {
  const unchecked = log.filter((record) => record.level !== 'DEBUG' && !WITHOUT.has(record.level) && rowOf(record) === undefined);
  return [...new Set(unchecked.map(({ level, code, message }) => `SQLSTATE ${code} was not checked: ${level}:  ${message}`))];
}
