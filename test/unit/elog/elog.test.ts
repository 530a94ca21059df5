// Log records: levels, prefix, continuation lines; and what ereport does at which level.
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { configureLog, emitErrorReport, ereport, formatLogRecord, setClientSink, setExitProcess, timelessRecord } from '../../../src/elog/elog.js';
import * as levels from '../../../src/elog/error-data.js';

const { DEBUG1, DEBUG5, ERROR, ErrorData, FATAL, INFO, LOG, NOTICE, PANIC, WARNING, errorFields, levelName } = levels;

afterEach(() => configureLog({ minMessages: WARNING, linePrefix: '%m [%p] ' }));

describe('formatLogRecord', () => {
  test('the default prefix: time of day with milliseconds, and pid', () => {
    const record = formatLogRecord(LOG, { message: 'hello' });
    expect(record).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[\d+\] LOG: {2}hello\n$/);
    expect(record).toContain(`[${process.pid}]`);
  });

  test('DETAIL, HINT and CONTEXT follow, each with the prefix; lines of a text begin with a tab', () => {
    configureLog({ linePrefix: '> ' });
    const fields = { message: 'a\nb', detail: 'd', hint: 'h', context: 'c1\nc2' };
    expect(formatLogRecord(ERROR, fields)).toBe('> ERROR:  a\n\tb\n> DETAIL:  d\n> HINT:  h\n> CONTEXT:  c1\n\tc2\n');
  });

  test.each([
    ['%p|', `${process.pid}|`],
    ['%e|', '22012|'],
    ['%b|', 'application|'],
    ['%%|', '%|'],
    ['<%q|', '<'],
    ['%z|', '|'],
    ['%8e|', '   22012|'],
    ['%-8e|', '22012   |'],
  ])('the prefix %j is %j', (linePrefix, expected) => {
    configureLog({ linePrefix });
    expect(formatLogRecord(ERROR, { message: 'm', code: '22012' })).toBe(`${expected}ERROR:  m\n`);
  });

  test('%t has no milliseconds', () => {
    configureLog({ linePrefix: '%t ' });
    expect(formatLogRecord(LOG, { message: 'm' })).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC LOG/);
  });

  test.each([
    [LOG, '00000'],
    [NOTICE, '00000'],
    [WARNING, '01000'],
    [ERROR, 'XX000'],
    [FATAL, 'XX000'],
  ])('at level %i the SQLSTATE is %s where none is given', (level, code) => {
    configureLog({ linePrefix: '%e ' });
    expect(formatLogRecord(level, { message: 'm' })).toMatch(new RegExp(`^${code} `));
  });

  test('a FATAL record without its times says where they go', () => {
    configureLog({ linePrefix: 'é %m %e %n ' });
    const { text, times } = timelessRecord(FATAL, '57P01', 'gone');
    expect(text.toString()).toBe('é  57P01  FATAL:  gone\n');
    expect(times).toEqual([{ offset: 3, form: 0 }, { offset: 10, form: 2 }]); // prettier-ignore
    configureLog({ linePrefix: '%p ' });
    expect(timelessRecord(FATAL, '57P01', 'gone')).toEqual({ text: Buffer.from(`${process.pid} FATAL:  gone\n`), times: [] });
  });
});

test('the values and names of the levels are PostgreSQL 15’s', () => {
  expect([DEBUG5, DEBUG1, LOG, INFO, NOTICE, WARNING, ERROR, FATAL, PANIC]).toEqual([10, 14, 15, 17, 18, 19, 21, 22, 23]);
  expect([DEBUG5, DEBUG1, LOG, INFO, NOTICE, WARNING, ERROR, FATAL, PANIC].map(levelName)).toEqual(
    ['DEBUG', 'DEBUG', 'LOG', 'INFO', 'NOTICE', 'WARNING', 'ERROR', 'FATAL', 'PANIC'], // prettier-ignore
  );
});

describe('ereport', () => {
  function sink(): [number, string][] {
    const reports: [number, string][] = [];
    configureLog({ minMessages: PANIC + 1 }); // nothing to the log of the tests
    setClientSink((level, { message }) => reports.push([level, message]));
    onTestFinished(() => setClientSink(null));
    return reports;
  }

  test('below ERROR it returns, at ERROR it throws, above it ends the process', () => {
    const reports = sink();
    const ends: number[] = [];
    setExitProcess(((code: number) => ends.push(code)) as never);
    onTestFinished(() => setExitProcess((code) => process.exit(code)));
    ereport(NOTICE, { message: 'n' });
    expect(() => ereport(ERROR, { message: 'e', code: '22012', hint: 'h' })).toThrow(
      expect.objectContaining({ message: 'e', code: '22012', hint: 'h', severity: 'ERROR' }) as Error,
    );
    expect(ends).toEqual([]);
    ereport(FATAL, { message: 'f' });
    expect(ends).toEqual([1]);
    expect(reports.map(([, message]) => message)).toEqual(['n', 'f']); // the error is reported by who catches it
  });

  test('a caught error can be thrown again, or reported, whole', () => {
    const reports = sink();
    const caught = new ErrorData({ message: 'm', code: '22012', detail: 'd' });
    expect(() => ereport(ERROR, caught)).toThrow(expect.objectContaining({ message: 'm', code: '22012', detail: 'd' }) as Error);
    emitErrorReport(caught);
    expect(reports).toEqual([[ERROR, 'm']]);
    expect({ ...errorFields(caught) }).toMatchObject({ message: 'm', code: '22012', detail: 'd', severity: 'ERROR' });
  });
});
