// log_line_prefix. The lines were written by PostgreSQL 15.18; our formatter is given the same moment, process and client.
import { describe, expect, test } from 'vitest';
import { type LogContext, timesOf } from '../../../src/elog/log-context.js';
import { logStatusFormat } from '../../../src/elog/log-line-prefix.js';

const EVERYTHING =
  'a=%a|u=%u|d=%d|r=%r|h=%h|b=%b|p=%p|P=%P|t=%t|m=%m|n=%n|i=%i|e=%e|c=%c|l=%l|s=%s|v=%v|x=%x|Q=%Q|z=%z|pc=%%|5pc=%5%|sp=% |' +
  'a6=%6a|u-6=%-6u|p8=%8p|p-8=%-8p|v5=%5v|P5=%5P|i7=%7i|b14=%-14b|q=%q|end ';

function context(time: string, fields: Partial<LogContext>): LogContext {
  return { times: timesOf(new Date(time)), pid: 15382, startTime: 0x6b034f43, backendType: 'postmaster', port: null, ...fields };
}

describe('as PostgreSQL 15 writes it', () => {
  test('a process without a client', () =>
    expect(logStatusFormat(EVERYTHING, context('2026-11-22T20:23:31.071Z', {}), '00000', 5)).toBe(
      'a=|u=|d=|r=|h=|b=postmaster|p=15382|P=|t=2026-11-22 20:23:31 UTC|m=2026-11-22 20:23:31.071 UTC|n=1795379011.071|i=|e=00000|' +
        'c=6b034f43.3c16|l=5|s=2026-11-22 20:23:31 UTC|v=|x=0|Q=0|z=|pc=%|5pc=|sp=|a6=      |u-6=      |p8=   15382|p-8=15382   |v5=     |' +
        'P5=     |i7=       |b14=postmaster    |q=',
    ));

  test('O-04: a background worker: its type, and a number of its own for each line', () =>
    expect(
      logStatusFormat(EVERYTHING, context('2026-11-22T20:23:31.090Z', { pid: 15390, backendType: 'logical replication launcher' }), '00000', 1),
    ).toBe(
      'a=|u=|d=|r=|h=|b=logical replication launcher|p=15390|P=|t=2026-11-22 20:23:31 UTC|m=2026-11-22 20:23:31.090 UTC|n=1795379011.090|i=|' +
        'e=00000|c=6b034f43.3c1e|l=1|s=2026-11-22 20:23:31 UTC|v=|x=0|Q=0|z=|pc=%|5pc=|sp=|a6=      |u-6=      |p8=   15390|p-8=15390   |' +
        'v5=     |P5=     |i7=       |b14=logical replication launcher|q=',
    ));

  // It had a database, and a virtual transaction: `d=postgres`, `v=3/6`, `v5=  3/6` there.
  test('a session without an application name', () =>
    expect(
      logStatusFormat(
        EVERYTHING,
        context('2026-11-22T20:23:31.166Z', {
          pid: 15395,
          backendType: 'client backend',
          port: { userName: 'postgres', remoteHost: '[local]', activity: 'startup' },
        }),
        '55P02',
        1,
      ),
    ).toBe(
      'a=[unknown]|u=postgres|d=[unknown]|r=[local]|h=[local]|b=client backend|p=15395|P=|t=2026-11-22 20:23:31 UTC|m=2026-11-22 20:23:31.166 UTC|' +
        'n=1795379011.166|i=startup|e=55P02|c=6b034f43.3c23|l=1|s=2026-11-22 20:23:31 UTC|v=|x=0|Q=0|z=|pc=%|5pc=|sp=|a6=[unknown]|' +
        'u-6=postgres|p8=   15395|p-8=15395   |v5=     |P5=     |i7=startup|b14=client backend|q=|end ',
    ));

  test.each([
    ['x%', 'x'],
    ['x%-', 'x'],
    ['x%5', 'x'],
    ['x%-5p|', 'x15382|'],
    ['x%05p|', 'x15382|'],
    ['x% y|', 'xy|'],
    ['x%.3p|', 'x3p|'],
    ['x%--5p|y', 'x5p|y'],
  ])('the prefix %j is %j', (format, expected) =>
    expect(logStatusFormat(format, context('2026-11-22T20:23:31.071Z', {}), '00000', 1)).toBe(expected),
  );
});

test('a client whose name is not known is [unknown]', () =>
  expect(
    logStatusFormat('%u@%d ', context('2026-11-22T20:23:31.071Z', { port: { userName: null, remoteHost: '[local]', activity: '' } }), '00000', 1),
  ).toBe('[unknown]@[unknown] '));
