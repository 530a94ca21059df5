// SQLSTATEs of log lines. The recorded signatures do not have them (but in what sessions saw), so the second rule is checked against what PostgreSQL's source
// gives each message; where the contract names one, it is that. Pure.

import type { LogRecord } from './server-log.js';

const CODES: readonly (readonly [RegExp, string])[] = [
  [/^too many background workers$/, '53400'],
  [/^background worker ".*": only dynamic background workers can request notification$/s, '0A000'],
  [
    /^background worker ".*": (?:background workers without shared memory|must attach to|cannot request database|invalid restart interval|parallel workers may not)/s,
    '22023',
  ],
  [/^terminating (?:background worker ".*"|connection) due to (?:administrator command|unexpected postmaster exit)$/s, '57P01'],
  [/^terminating connection because of crash of another server process$/, '57P02'],
  [/^the database system is (?:starting up|shutting down|in recovery mode|not yet accepting connections)$/, '57P03'],
  [/^canceling statement due to user request$/, '57014'],
  [/^database connection requirement not indicated during registration$/, '54000'],
  [/^database ".*" does not exist$|^database \d+ does not exist$/, '3D000'],
  [/^role ".*" (?:does not exist|is not permitted to log in)$/, '28000'],
  [/^could not access file ".*": No such file or directory$/s, '58P01'],
  [/^could not find function ".*" in file ".*"$/s, '42883'],
  [/^pre-existing shared memory block .*is still in use$/, 'F0001'],
  [/^division by zero$/, '22012'],
  [/^cannot execute .* in a read-only transaction$/, '25006'],
  [/^database ".*" is being accessed by other users$/, '55006'],
  [/^oracle (?:error|fatal|panic|backend fatal)$/, 'XX000'],
];

/** The lines whose SQLSTATE is not PostgreSQL's, each once. Lines that say what a process does have none (00000). */
export function compareCodes(log: readonly LogRecord[]): string[] {
  const wrong = log
    .filter(({ level }) => level !== 'DEBUG')
    .flatMap(({ level, code, message }) => {
      const want = CODES.find(([pattern]) => pattern.test(message))?.[1] ?? (level === 'LOG' ? '00000' : code);
      return want === code ? [] : [`SQLSTATE ${code} instead of ${want}: ${level}:  ${message}`];
    });
  return [...new Set(wrong)];
}
