// jsonlog records. The lines were written by PostgreSQL 15.18; our formatter is given the same moment, process and report.
import { afterEach, describe, expect, test } from 'vitest';
import { configureLog, ereport, timelessRecord } from '../../../src/elog/elog.js';
import { ERROR, type ErrorFields, FATAL, LOG, WARNING } from '../../../src/elog/error-data.js';
import { formatJsonRecord } from '../../../src/elog/jsonlog.js';
import { type LogContext, timesOf } from '../../../src/elog/log-context.js';
import { setMyProcPid } from '../../../src/globals.js';

function json(time: string, report: { level: number; fields: ErrorFields; code?: string }, process: Partial<LogContext>, lineNumber = 1): string {
  const context = { times: timesOf(new Date(time)), pid: 15382, startTime: 0x6b034f43, backendType: 'postmaster', port: null, ...process };
  return formatJsonRecord({ code: '00000', ...report }, context, lineNumber);
}

const SESSION = { pid: 15392, backendType: 'client backend', port: { userName: 'postgres', remoteHost: '[local]', activity: 'DO' } };
/** What a session of PostgreSQL's has, and ours has not. */
const withoutDatabase = (line: string): string => line.replace(/"(dbname|vxid|statement|application_name)":"(?:[^"\\]|\\.)*",/g, '');

describe('as PostgreSQL 15 writes it, byte for byte', () => {
  test.each([
    [
      'the postmaster: no state_code where all is well',
      json('2026-11-22T20:23:31.088Z', { level: LOG, fields: { message: 'database system is ready to accept connections' } }, {}, 4),
      '{"timestamp":"2026-11-22 20:23:31.088 UTC","pid":15382,"session_id":"6b034f43.3c16","line_num":4,"session_start":"2026-11-22 20:23:31 UTC","txid":0,"error_severity":"LOG","message":"database system is ready to accept connections","backend_type":"postmaster","query_id":0}\n',
    ],
    [
      'a background worker',
      json(
        '2026-11-22T20:23:31.090Z',
        { level: 14, fields: { message: 'logical replication launcher started' } },
        { pid: 15390, backendType: 'logical replication launcher' },
      ),
      '{"timestamp":"2026-11-22 20:23:31.090 UTC","pid":15390,"session_id":"6b034f43.3c1e","line_num":1,"session_start":"2026-11-22 20:23:31 UTC","txid":0,"error_severity":"DEBUG","message":"logical replication launcher started","backend_type":"logical replication launcher","query_id":0}\n',
    ],
    [
      'detail, hint, context; quotes, control characters, other alphabets',
      json(
        '2026-11-22T20:23:31.141Z',
        {
          level: WARNING,
          code: '22012',
          fields: {
            message: 'with "quotes" \\ back\tTab\nnewline \u0001 é',
            detail: 'a detail\nof two lines',
            hint: 'a hint',
            context: 'PL/pgSQL function inline_code_block line 1 at RAISE',
          },
        },
        { ...SESSION, startTime: 0x6b034f43 },
      ),
      withoutDatabase(
        '{"timestamp":"2026-11-22 20:23:31.141 UTC","user":"postgres","dbname":"postgres","pid":15392,"remote_host":"[local]","session_id":"6b034f43.3c20","line_num":1,"ps":"DO","session_start":"2026-11-22 20:23:31 UTC","vxid":"3/2","txid":0,"error_severity":"WARNING","state_code":"22012","message":"with \\"quotes\\" \\\\ back\\tTab\\nnewline \\u0001 é","detail":"a detail\\nof two lines","hint":"a hint","context":"PL/pgSQL function inline_code_block line 1 at RAISE","application_name":"psql","backend_type":"client backend","query_id":0}\n',
      ),
    ],
    [
      'an internal query, and the position in it after it',
      json(
        '2026-11-22T20:23:31.143Z',
        {
          level: ERROR,
          code: '42703',
          fields: {
            message: 'column "nonsense" does not exist',
            internalquery: 'select nonsense',
            internalpos: 8,
            context: 'PL/pgSQL function inline_code_block line 1 at EXECUTE',
          },
        },
        SESSION,
        3,
      ),
      withoutDatabase(
        '{"timestamp":"2026-11-22 20:23:31.143 UTC","user":"postgres","dbname":"postgres","pid":15392,"remote_host":"[local]","session_id":"6b034f43.3c20","line_num":3,"ps":"DO","session_start":"2026-11-22 20:23:31 UTC","vxid":"3/4","txid":0,"error_severity":"ERROR","state_code":"42703","message":"column \\"nonsense\\" does not exist","internal_query":"select nonsense","internal_position":8,"context":"PL/pgSQL function inline_code_block line 1 at EXECUTE","statement":"do $$ begin execute \'select nonsense\'; end $$;","application_name":"psql","backend_type":"client backend","query_id":0}\n',
      ),
    ],
  ])('%s', (_, ours, theirs) => expect(ours).toBe(theirs));
});

describe('the record that a worker keeps ready for its SIGTERM', () => {
  afterEach(() => {
    configureLog({ minMessages: WARNING, linePrefix: '%m [%p] ', destination: ['stderr'] });
    setMyProcPid(process.pid);
  });
  const now = '2026-11-22 20:23:31.071 UTC';
  const forms = [now, '2026-11-22 20:23:31 UTC', '1795379011.071'];
  /** As native/core/last_words.c puts it together. */
  const put = ({ text, times }: ReturnType<typeof timelessRecord>): string => {
    const ends = [...times.map(({ offset }) => offset), text.length];
    return ends.map((end, n) => text.subarray(ends[n - 1] ?? 0, end).toString() + (forms[times[n]?.form ?? -1] ?? '')).join('');
  };

  test('is one JSON object with the time in its place', () => {
    configureLog({ destination: ['jsonlog'] });
    const line = put(timelessRecord(FATAL, '57P01', 'terminating background worker "a\\b" due to administrator command'));
    expect(line).toMatch(/^\{"timestamp":"2026-11-22 20:23:31\.071 UTC","pid":[^\n]*\}\n$/);
    expect(JSON.parse(line)).toMatchObject({
      timestamp: now,
      pid: process.pid,
      line_num: 1,
      error_severity: 'FATAL',
      state_code: '57P01',
      message: 'terminating background worker "a\\b" due to administrator command',
      backend_type: 'application',
    });
  });

  test('has both forms where both are wanted', () => {
    configureLog({ destination: ['stderr', 'jsonlog'] });
    const lines = put(timelessRecord(FATAL, '57P01', 'gone')).split('\n');
    expect(lines).toEqual([expect.stringMatching(/^\{"timestamp":"2026-11-22 20:23:31\.071 UTC",.*\}$/), `${now} [${process.pid}] FATAL:  gone`, '']);
  });

  test('is nothing where nothing is wanted', () => {
    configureLog({ destination: [] });
    expect(put(timelessRecord(FATAL, '57P01', 'gone'))).toBe('');
    configureLog({ destination: ['jsonlog'], minMessages: FATAL + 1 });
    expect(put(timelessRecord(FATAL, '57P01', 'gone'))).toBe('');
  });

  test.each([
    ['%m %t %n %m ', `${now} 2026-11-22 20:23:31 UTC 1795379011.071 ${now} `],
    ['%30m|', `   ${now}|`],
    ['%-30t|', '2026-11-22 20:23:31 UTC       |'],
    ['%16n|', '  1795379011.071|'],
    ['%l ', '1 '],
  ])('with the prefix %j it begins with %j', (linePrefix, expected) => {
    configureLog({ linePrefix });
    setMyProcPid(process.pid + 1); // a process that has logged nothing
    expect(put(timelessRecord(FATAL, '57P01', 'gone'))).toBe(`${expected}FATAL:  gone\n`);
  });

  test('a line that was logged since is counted', () => {
    configureLog({ destination: ['jsonlog'] });
    setMyProcPid(process.pid + 2);
    const number = (): number => (JSON.parse(put(timelessRecord(FATAL, '57P01', 'gone'))) as { line_num: number }).line_num;
    expect([number(), number()]).toEqual([1, 1]);
    ereport(LOG, { message: 'a line that a test has logged' });
    expect(number()).toBe(2);
  });
});
