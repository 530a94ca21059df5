// Cutting a command string into statements, and what is said about each.
import { describe, expect, test } from 'vitest';
import {
  isClientCopy,
  isTransactionStatement,
  mainVerb,
  splitStatements,
  writingCommand,
  type SqlStatement,
} from '../../../src/database/sql-statements.js';

function one(sql: string): SqlStatement {
  const statements = splitStatements(sql);
  expect(statements).toHaveLength(1);
  return statements[0]!;
}

describe('splitStatements', () => {
  test.each([
    ['', []],
    [' ; ;-- nothing\n/* at /* all */ */', []],
    ['SELECT 1', ['SELECT 1']],
    ['SELECT 1; SELECT 2;', ['SELECT 1', 'SELECT 2']],
    [`SELECT ';'; SELECT ";"`, [`SELECT ';'`, `SELECT ";"`]],
    [`SELECT 'it''s; x'; SELECT E'\\';'`, [`SELECT 'it''s; x'`, `SELECT E'\\';'`]],
    ["SELECT 'a\\'; SELECT 2", ["SELECT 'a\\'", 'SELECT 2']],
    ['SELECT $$;$$; SELECT $a$;$$;$a$', ['SELECT $$;$$', 'SELECT $a$;$$;$a$']],
    ['SELECT $1; SELECT a$b$c FROM t', ['SELECT $1', 'SELECT a$b$c FROM t']],
    ['SELECT 1 -- ; no\n; SELECT 2 /* ; /* ; */ */', ['SELECT 1 -- ; no', 'SELECT 2 /* ; /* ; */ */']],
    ['CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3', ['CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)', 'SELECT 3']],
    [
      'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3',
      ['CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END', 'SELECT 3'],
    ],
    ["SELECT 'unterminated; ", ["SELECT 'unterminated;"]],
    ['SELECT /* unterminated; ', ['SELECT /* unterminated;']],
    ['SELECT $x$ unterminated; ', ['SELECT $x$ unterminated;']],
  ])('%j', (sql, expected) => {
    expect(splitStatements(sql).map((statement) => statement.text)).toEqual(expected);
  });

  test('old-style strings: a backslash escapes', () => {
    expect(splitStatements("SELECT 'a\\'; b'; SELECT 2", false)).toHaveLength(2);
  });

  test('offset: where the statement stands in the command', () => {
    const sql = ' SELECT 1;\n  SELECT 2';
    expect(splitStatements(sql).map((statement) => sql.slice(statement.offset))).toEqual(['SELECT 1;\n  SELECT 2', 'SELECT 2']);
  });
});

describe('isTransactionStatement', () => {
  test.each([
    'BEGIN',
    'start transaction',
    'COMMIT',
    'end',
    'rollback to savepoint a',
    'ABORT',
    'savepoint a',
    'release a',
    "prepare transaction 'x'",
    '/* */ COMMIT',
  ])('%s', (sql) => expect(isTransactionStatement(one(sql))).toBe(true));
  test.each(['SELECT 1', 'PREPARE p AS SELECT 1', '"commit"', 'SET TRANSACTION READ ONLY'])('not %s', (sql) =>
    expect(isTransactionStatement(one(sql))).toBe(false),
  );
});

test('isClientCopy', () => {
  expect(isClientCopy(one('COPY t FROM STDIN'))).toBe(true);
  expect(isClientCopy(one('copy (select 1) to stdout'))).toBe(true);
  expect(isClientCopy(one("COPY t FROM '/tmp/stdin'"))).toBe(false);
});

test.each([
  ['(SELECT 1)', 'SELECT'],
  ['((SELECT 1) UNION SELECT 2)', 'SELECT'],
  ['WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a', 'INSERT'],
  ['WITH RECURSIVE a(x) AS (DELETE FROM t RETURNING *), b AS (SELECT 1) SELECT 1', 'SELECT'],
  ['values (1)', 'VALUES'],
])('mainVerb: %s', (sql, verb) => {
  expect(mainVerb(one(sql))).toBe(verb);
});

describe('writingCommand', () => {
  test.each([
    'SELECT 1',
    '(VALUES (1))',
    'TABLE t',
    'WITH a AS (SELECT 1) SELECT * FROM a',
    "SELECT 'insert into' FROM t",
    'SELECT substring(x FOR 2) FROM t',
    'SELECT (SELECT 1) FROM "for update"',
  ])('%s only reads', (sql) => {
    expect(writingCommand(one(sql))).toBeNull();
  });
  test.each([
    ['INSERT INTO t VALUES (1)', 'INSERT'],
    ['with a as (select 1) update t set x = 1', 'UPDATE'],
    ['CREATE TEMP TABLE t (a int)', 'CREATE TABLE'],
    ['CREATE OR REPLACE FUNCTION f()', 'CREATE FUNCTION'],
    ['DROP MATERIALIZED VIEW v', 'DROP MATERIALIZED VIEW'],
    ['TRUNCATE t', 'TRUNCATE TABLE'],
    ['SHOW work_mem', 'SHOW'],
    ['SELECT 1 FROM t FOR UPDATE', 'SELECT FOR UPDATE'],
    ['SELECT 1 FROM t FOR NO KEY UPDATE SKIP LOCKED', 'SELECT FOR NO KEY UPDATE'],
    ['SELECT 1 INTO t', 'SELECT INTO'],
    ['WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a', 'SELECT'],
  ])('%s is %s', (sql, name) => {
    expect(writingCommand(one(sql))).toBe(name);
  });
});
