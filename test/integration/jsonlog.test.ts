// The log as JSON, and log_line_prefix, as real processes write them: the postmaster, workers, sessions, and the handler that writes a worker's last line.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Postmaster, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, STOPPED, WORKERS, end, launch, openSession, register, worker } from './support.js';

type LogRecord = Record<string, unknown> & { message: string; pid: number; line_num: number };

const PRELOAD = [WORKERS, CALLS];
const userName = (): string | undefined =>
  readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([, , uid]) => Number(uid) === process.getuid?.())?.[0];

/** Every line of the log; one that is no record fails the test. */
function records(pm: Postmaster): LogRecord[] {
  const lines = pm.log().split('\n').slice(0, -1); // prettier-ignore
  return lines.map((line) => JSON.parse(line) as LogRecord);
}

async function waitForRecord(pm: Postmaster, message: string | RegExp): Promise<LogRecord> {
  const fits = (record: LogRecord): boolean => (typeof message === 'string' ? record.message === message : message.test(record.message));
  return waitUntil(() => records(pm).find(fits), { what: () => `the record ${String(message)}; the log:\n${pm.log()}` });
}

describe('log_destination = jsonlog', () => {
  test('every line of every process is a record with the keys of PostgreSQL 15 in its order, and each process counts its own', () =>
    withPostmaster({ preload: PRELOAD, settings: { log_destination: 'jsonlog', log_min_messages: 'debug1' } }, async (pm) => {
      const session = await openSession(pm);
      await register(session, worker('throwsErrorData', { name: 'a "failing" one', type: 'failing\ttype' }));
      const error = await waitForRecord(pm, 'division by zero');
      expect(Object.entries(error)).toEqual([
        ['timestamp', expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$/)],
        ['pid', expect.any(Number)],
        ['session_id', expect.stringMatching(new RegExp(`^[0-9a-f]{8}\\.${error.pid.toString(16)}$`))],
        ['line_num', 1],
        ['session_start', expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/)],
        ['txid', 0],
        ['error_severity', 'ERROR'],
        ['state_code', '22012'],
        ['message', 'division by zero'],
        ['detail', 'It was zero.'],
        ['hint', 'Do not.'],
        ['context', 'here'],
        ['backend_type', 'failing\ttype'],
        ['query_id', 0],
      ]);
      await waitForRecord(pm, `background worker "failing\ttype" (PID ${error.pid}) exited with exit code 1`);

      await session.call(CALLS, 'failsPlain').catch(() => {});
      expect(await waitForRecord(pm, 'out of range')).toMatchObject({
        user: userName(),
        remote_host: '[local]',
        ps: 'failsPlain',
        backend_type: 'client backend',
        pid: session.backendPid,
      });

      const numbers = records(pm).filter(({ pid }) => pid === pm.pid).map(({ line_num }) => line_num); // prettier-ignore
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
      const [first] = records(pm);
      expect(first).toMatchObject({ backend_type: 'postmaster', pid: pm.pid, error_severity: 'LOG' });
      expect(first).not.toHaveProperty('state_code');
    }));

  test('the line that the default SIGTERM action writes is a record, too, with the number that comes next', () =>
    withPostmaster({ preload: PRELOAD, settings: { log_destination: 'jsonlog' } }, async (pm) => {
      const session = await openSession(pm);
      const { handle, pid } = await launch(session, worker('idle', { name: 'w', type: 'it "is"' }));
      await waitForRecord(pm, /^@w ready/);
      await end(session, handle);
      expect(await waitForRecord(pm, 'terminating background worker "it "is"" due to administrator command')).toMatchObject({
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$/) as string,
        pid,
        line_num: 2,
        error_severity: 'FATAL',
        state_code: '57P01',
        backend_type: 'it "is"',
      });
    }));

  test('a reload changes the form; a worker that does not read the file again keeps the old one', () =>
    withPostmaster({ preload: PRELOAD, conf: "log_destination = 'stderr'\n" }, async (pm) => {
      const session = await openSession(pm);
      const { handle } = await launch(session, worker('idle', { name: 'w' }));
      await pm.waitForLog('@w ready');
      writeFileSync(join(pm.dir, 'bgworker.conf'), "log_destination = 'jsonlog'\n");
      pm.signal('SIGHUP');
      await pm.waitForLog('"message":"parameter \\"log_destination\\" changed to \\"jsonlog\\""');
      expect(pm.log()).toMatch(/ LOG: {2}received SIGHUP, reloading configuration files\n/);
      await end(session, handle);
      await pm.waitForLog(/"message":"background worker \\"w\\" \(PID \d+\) exited with exit code 1"/);
      expect(pm.log()).toMatch(/^[^{\n]*FATAL: {2}terminating background worker "w" due to administrator command\n/m);
    }));

  test('with stderr as well a record is there in both forms, and with an unknown word the server does not start', async () => {
    await withPostmaster({ settings: { log_destination: 'jsonlog, stderr' } }, async (pm) => {
      const log = await pm.waitForLog('LOG:  database system is ready');
      expect(log).toMatch(
        /^\{.*"message":"database system is ready to accept connections".*\}\n.*LOG: {2}database system is ready to accept connections$/m,
      );
    });
    await withPostmaster({ settings: { log_destination: 'csvlog' }, until: 'nothing' }, async (pm) => {
      expect(await pm.exited).toBe(1);
      expect(pm.log()).toMatch(/FATAL: {2}invalid value for parameter "log_destination": "csvlog"\n.*DETAIL: {2}Unrecognized key word: "csvlog"\.\n/);
    });
  });
});

test('log_line_prefix: what a session has, a worker has not', () =>
  withPostmaster({ preload: PRELOAD, settings: { log_line_prefix: '%b|%l|%c|%q%u@%d %r %a %i ' } }, async (pm) => {
    const session = await openSession(pm);
    await session.call(CALLS, 'failsPlain').catch(() => {});
    const id = session.backendPid.toString(16);
    const log = await pm.waitForLog(/ERROR: {2}out of range/);
    expect(log).toMatch(
      new RegExp(
        `^client backend\\|1\\|[0-9a-f]{8}\\.${id}\\|${userName()}@\\[unknown\\] \\[local\\] \\[unknown\\] failsPlain ERROR:  out of range$`,
        'm',
      ),
    );
    const handle = await register(session, worker('throwsErrorData', { name: 'w' }));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    // The text form counts lines, not records.
    expect(await pm.waitForLog(/CONTEXT: {2}here/)).toMatch(
      /^w\|1\|\S+\|ERROR: {2}division by zero\nw\|2\|\S+\|DETAIL: {2}It was zero\.\nw\|3\|\S+\|HINT: {2}Do not\.\nw\|4\|\S+\|CONTEXT: {2}here$/m,
    );
    // Its last line, by the handler.
    const { handle: idle } = await launch(session, worker('idle', { name: 'v' }));
    await pm.waitForLog('@v ready');
    await end(session, idle);
    expect(await pm.waitForLog(/FATAL: {2}terminating/)).toMatch(
      /^v\|2\|\S+\|FATAL: {2}terminating background worker "v" due to administrator command$/m,
    );
  }));
