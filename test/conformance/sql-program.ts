// What scenarios write around calls of ours in SQL: SELECT of expressions, also FROM generate_series, and DO blocks of assignments, PERFORM, RAISE NOTICE, IF,
// FOR and WHILE. Pure; library/sql-calls.ts carries them out.

import { readExpression, readList, type Expression } from './sql-expression.js';
import { stringOf, Words } from './sql-words.js';

/** Whole numbers, one after the other, in a variable. */
export interface Series {
  readonly variable: string;
  readonly from: Expression;
  readonly to: Expression;
}

export interface Select {
  /** One column each. */
  readonly columns: readonly Expression[];
  /** A row for each number. */
  readonly series?: Series;
}

export type Statement =
  | { readonly kind: 'assign'; readonly variable: string; readonly value: Expression }
  | { readonly kind: 'perform'; readonly value: Expression }
  | { readonly kind: 'notice'; readonly format: string; readonly args: readonly Expression[] }
  /** The first branch whose condition holds. */
  | { readonly kind: 'if'; readonly branches: readonly Branch[] }
  | { readonly kind: 'for'; readonly series: Series; readonly statements: readonly Statement[] }
  | { readonly kind: 'while'; readonly condition: Expression; readonly statements: readonly Statement[] };

export interface Branch {
  /** Null: ELSE. */
  readonly condition: Expression | null;
  readonly statements: readonly Statement[];
}

/** @throws Error that names the word which is not understood */
export function readSelect(source: string): Select {
  const words = new Words(source);
  words.expect('SELECT');
  const columns = readList(words, readColumn);
  const series = words.accept('FROM') ? readSeries(words) : undefined;
  words.end();
  return series === undefined ? { columns } : { columns, series };
}

/** An expression, and maybe a name for it, which nobody sees. */
function readColumn(words: Words): Expression {
  const expression = readExpression(words);
  if (words.accept('AS')) words.name();
  return expression;
}

/** `generate_series(a, b) [[AS] alias[(column)]]`. */
function readSeries(words: Words): Series {
  words.expect('GENERATE_SERIES');
  words.expect('(');
  const from = readExpression(words);
  words.expect(',');
  const to = readExpression(words);
  words.expect(')');
  let variable = 'generate_series';
  if (words.accept('AS') || /^[A-Z_]/.test(words.next() ?? '')) variable = words.name();
  if (words.accept('(')) {
    variable = words.name();
    words.expect(')');
  }
  return { variable, from, to };
}

/** `[DECLARE …] BEGIN …; END`. @throws Error that names the word which is not understood */
export function readBlock(source: string): Statement[] {
  const words = new Words(source);
  const declared = words.accept('DECLARE') ? readDeclarations(words) : [];
  words.expect('BEGIN');
  const statements = readStatements(words, 'END');
  words.expect('END');
  words.end();
  return [...declared, ...statements];
}

const DEFAULT = [':=', '=', 'DEFAULT'];

/** A variable is NULL until something is assigned to it; of which type it is does not matter. */
function readDeclarations(words: Words): Statement[] {
  const statements: Statement[] = [];
  while (words.next() !== 'BEGIN') {
    const variable = words.name();
    while (![...DEFAULT, ';'].includes(words.next() ?? ';')) words.take();
    const value: Expression = DEFAULT.some((word) => words.accept(word)) ? readExpression(words) : { kind: 'value', value: null };
    words.expect(';');
    statements.push({ kind: 'assign', variable, value });
  }
  return statements;
}

/** Up to one of the words, which is left where it is. */
function readStatements(words: Words, ...ends: string[]): Statement[] {
  const statements: Statement[] = [];
  while (!ends.includes(words.next() ?? '')) {
    statements.push(readStatement(words));
    words.expect(';');
  }
  return statements;
}

function readStatement(words: Words): Statement {
  if (words.accept('PERFORM')) return { kind: 'perform', value: readExpression(words) };
  if (words.accept('RAISE')) return readNotice(words);
  if (words.accept('IF')) return readIf(words);
  if (words.accept('FOR')) return readFor(words);
  if (words.accept('WHILE')) {
    const condition = readExpression(words);
    return { kind: 'while', condition, statements: readLoop(words) };
  }
  const variable = words.name();
  words.expect(':=');
  return { kind: 'assign', variable, value: readExpression(words) };
}

function readNotice(words: Words): Statement {
  words.expect('NOTICE');
  const format = stringOf(words.take());
  if (format === null) throw words.trouble(-1);
  return { kind: 'notice', format, args: words.accept(',') ? readList(words) : [] };
}

function readIf(words: Words): Statement {
  const branches: Branch[] = [];
  const readBranch = (condition: Expression | null): void =>
    void branches.push({ condition, statements: readStatements(words, 'ELSIF', 'ELSE', 'END') });
  do {
    const condition = readExpression(words);
    words.expect('THEN');
    readBranch(condition);
  } while (words.accept('ELSIF'));
  if (words.accept('ELSE')) readBranch(null);
  words.expect('END');
  words.expect('IF');
  return { kind: 'if', branches };
}

function readFor(words: Words): Statement {
  const variable = words.name();
  words.expect('IN');
  const from = readExpression(words);
  words.expect('..');
  const to = readExpression(words);
  return { kind: 'for', series: { variable, from, to }, statements: readLoop(words) };
}

function readLoop(words: Words): Statement[] {
  words.expect('LOOP');
  const statements = readStatements(words, 'END');
  words.expect('END');
  words.expect('LOOP');
  return statements;
}
