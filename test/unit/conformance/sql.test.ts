// The small interpreter of the oracle's SQL functions. Pure; see test/conformance/sql.ts.

import { describe, expect, it } from 'vitest';
import { withActivity, type ActivityRow } from '../../conformance/library/activity-sql.js';
import { parseSql } from '../../conformance/sql.js';

describe('SQL of scenarios', () => {
  it.each([
    ['SELECT 1', { kind: 'plain', activity: false }],
    ['DO $$ BEGIN PERFORM 1; END $$', { kind: 'plain', activity: false }],
    ["SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE '%x.%'", { kind: 'plain', activity: true }],
    [
      "SELECT bgwo_type_by_pid(pid) FROM pg_stat_activity WHERE a='b'",
      { kind: 'each', function: 'bgwo_type_by_pid', pids: "SELECT pid FROM pg_stat_activity WHERE a='b'" },
    ],
    ["SELECT bgwo_crash('segv')", { kind: 'select', columns: [{ kind: 'call', name: 'bgwo_crash', args: [{ kind: 'value', value: 'segv' }] }] }],
    [
      'SELECT pg_terminate_backend(%PID:w%)',
      { kind: 'select', columns: [{ kind: 'call', name: 'pg_terminate_backend', args: [{ kind: 'value', value: '%PID:w%' }] }] },
    ],
    [
      'SELECT pg_cancel_backend(pg_backend_pid())',
      { kind: 'select', columns: [{ kind: 'call', name: 'pg_cancel_backend', args: [{ kind: 'value', value: 'pg_backend_pid()' }] }] },
    ],
  ])('understands %s', (sql, parsed) => {
    expect(parseSql(sql)).toEqual(parsed);
  });

  it('reads a DO block statement by statement', () => {
    const sql = String.raw`DO $d$ DECLARE h int; BEGIN h := bgwo_reg(E'name=a''b\nextra=a'); PERFORM bgwo_terminate(h); RAISE NOTICE 'is: %', bgwo_status(h); END $d$`;
    const h = { kind: 'variable', name: 'h', at: expect.any(Number) as number };
    expect(parseSql(sql)).toEqual({
      kind: 'do',
      statements: [
        { kind: 'assign', variable: 'h', value: { kind: 'value', value: null } },
        { kind: 'assign', variable: 'h', value: { kind: 'call', name: 'bgwo_reg', args: [{ kind: 'value', value: "name=a'b\nextra=a" }] } },
        { kind: 'perform', value: { kind: 'call', name: 'bgwo_terminate', args: [h] } },
        { kind: 'notice', format: 'is: %', args: [{ kind: 'call', name: 'bgwo_status', args: [h] }] },
      ],
    });
  });

  it('reads comparisons, casts and a series', () => {
    const call = (name: string, value: string | number): object => ({ kind: 'call', name, args: [{ kind: 'value', value }] });
    const stopped = { kind: 'value', value: 'STOPPED' };
    expect(parseSql("SELECT bgwo_status(0)::text = 'STOPPED' AND NOT bgwo_reg('') IS NULL AS so FROM generate_series(1, 9) AS g(i)")).toEqual({
      kind: 'select',
      columns: [
        {
          kind: 'operation',
          operator: 'AND',
          operands: [
            { kind: 'operation', operator: '=', operands: [{ kind: 'cast', type: 'text', operand: call('bgwo_status', 0) }, stopped] },
            { kind: 'operation', operator: 'NOT', operands: [{ kind: 'operation', operator: 'IS NULL', operands: [call('bgwo_reg', '')] }] },
          ],
        },
      ],
      series: { variable: 'i', from: { kind: 'value', value: 1 }, to: { kind: 'value', value: 9 } },
    });
  });

  it('knows where a name stands', () => {
    expect(parseSql('SELECT bgwo_status( h)')).toMatchObject({ columns: [{ args: [{ name: 'h', at: 21 }] }] });
  });

  it('reads what branches and repeats', () => {
    const sql = `DO $$ DECLARE n int := -1; BEGIN FOR i IN 1..n-1 LOOP IF i = 2 THEN PERFORM bgwo_terminate(i); ELSE n := i; END IF; END LOOP; END; $$`;
    const value = (number: number): object => ({ kind: 'value', value: number });
    const variable = (name: string): object => ({ kind: 'variable', name, at: expect.any(Number) as number });
    const operation = (operator: string, ...operands: object[]): object => ({ kind: 'operation', operator, operands });
    const perform = { kind: 'perform', value: { kind: 'call', name: 'bgwo_terminate', args: [variable('i')] } };
    const branches = [
      { condition: operation('=', variable('i'), value(2)), statements: [perform] },
      { condition: null, statements: [{ kind: 'assign', variable: 'n', value: variable('i') }] },
    ];
    expect(parseSql(sql)).toEqual({
      kind: 'do',
      statements: [
        { kind: 'assign', variable: 'n', value: value(-1) },
        {
          kind: 'for',
          series: { variable: 'i', from: value(1), to: operation('-', variable('n'), value(1)) },
          statements: [{ kind: 'if', branches }],
        },
      ],
    });
  });

  it.each([
    'SELECT bgwo_status(1), 2 +',
    'SELECT bgwo_status(1) FROM t',
    'SELECT bgwo_status(1, 2)',
    'SELECT bgwo_status(1)::point',
    'SELECT bgwo_status(1) FROM generate_series(1, 2) WHERE true',
    'DO $$ BEGIN IF bgwo_status(1) END IF; END $$',
    'DO $$ BEGIN FOR i IN 1..2 LOOP PERFORM bgwo_status(i); END $$',
    'DO $$ BEGIN PERFORM bgwo_status(1); RETURN; END $$',
  ])('refuses %s', (sql) => {
    expect(() => parseSql(sql)).toThrow(/unrecognized/);
  });

  it("puts our processes in the place of the catalog's view", () => {
    const rest = { datname: null, usename: null, application_name: '', wait_event_type: null, wait_event: null, state: null, query: null };
    const rows: ActivityRow[] = [{ pid: 7, backend_type: "it's", ...rest }];
    const sql = withActivity('SELECT 1 FROM pg_stat_activity', rows);
    expect(sql).toMatch(
      /^WITH pg_stat_activity\(pid, backend_type, .*\) AS \(SELECT 0, .* WHERE false UNION ALL SELECT 7, 'it''s'::text, NULL::text/,
    );
    expect(sql.endsWith(') SELECT 1 FROM pg_stat_activity')).toBe(true);
  });
});
