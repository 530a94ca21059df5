// Expressions with calls of ours in them: what they are, and how they are read. Pure; library/sql-calls.ts works them out.

import { stringOf, type Words } from './sql-words.js';

export type Expression =
  | { readonly kind: 'value'; readonly value: string | number | boolean | null }
  /** `at`: where it stands, which an error tells. */
  | { readonly kind: 'variable'; readonly name: string; readonly at: number }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'operation'; readonly operator: string; readonly operands: readonly Expression[] }
  | { readonly kind: 'cast'; readonly type: CastType; readonly operand: Expression };

export type CastType = 'text' | 'number' | 'boolean';

/** Every function that is not the database's, with the number of its arguments. */
export const FUNCTIONS: Readonly<Record<string, number>> = {
  bgwo_reg: 1,
  bgwo_status: 1,
  bgwo_wait_startup: 1,
  bgwo_wait_shutdown: 1,
  bgwo_terminate: 1,
  bgwo_crash: 1,
  bgwo_type_by_pid: 1,
  pg_terminate_backend: 1,
  pg_cancel_backend: 1,
  pg_sleep: 1,
};

/** What binds weakest comes first. */
const LEVELS: readonly (readonly string[])[] = [['OR'], ['AND'], ['=', '<>', '!=', '<=', '>=', '<', '>'], ['LIKE'], ['||'], ['+', '-']];
/** What NOT denies is a comparison. */
const COMPARISON = 2;

const TYPES: Readonly<Record<string, CastType>> = {
  TEXT: 'text',
  VARCHAR: 'text',
  INT: 'number',
  INTEGER: 'number',
  BIGINT: 'number',
  BOOL: 'boolean',
  BOOLEAN: 'boolean',
};
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ['NULL', null],
  ['TRUE', true],
  ['FALSE', false],
]);

/** @throws Error that names the word which is not understood */
export function readExpression(words: Words, level = 0): Expression {
  const operators = LEVELS[level];
  if (operators === undefined) return readOperand(words);
  if (level === COMPARISON && words.accept('NOT')) return { kind: 'operation', operator: 'NOT', operands: [readExpression(words, level)] };
  let left = readExpression(words, level + 1);
  for (;;) {
    const operator = operators.find((one) => words.accept(one));
    if (operator === undefined) return left;
    left = { kind: 'operation', operator, operands: [left, readExpression(words, level + 1)] };
  }
}

export function readList(words: Words, read: (words: Words) => Expression = readExpression): Expression[] {
  const expressions = [read(words)];
  while (words.accept(',')) expressions.push(read(words));
  return expressions;
}

function readOperand(words: Words): Expression {
  let operand = readPrimary(words);
  for (;;) {
    if (words.accept('::')) {
      const type = TYPES[words.take().toUpperCase()];
      if (type === undefined) throw words.trouble(-1);
      operand = { kind: 'cast', type, operand };
    } else if (words.accept('IS')) {
      const denied = words.accept('NOT');
      words.expect('NULL');
      operand = { kind: 'operation', operator: denied ? 'IS NOT NULL' : 'IS NULL', operands: [operand] };
    } else return operand;
  }
}

function readPrimary(words: Words): Expression {
  if (words.accept('(')) {
    const inner = readExpression(words);
    words.expect(')');
    return inner;
  }
  const negative = words.accept('-');
  const word = words.take();
  if (/^\d/.test(word)) return { kind: 'value', value: negative ? -Number(word) : Number(word) };
  if (negative) throw words.trouble(-1);
  const text = stringOf(word);
  if (text !== null) return { kind: 'value', value: text };
  const constant = CONSTANTS.get(word.toUpperCase());
  if (constant !== undefined) return { kind: 'value', value: constant };
  if (word.startsWith('%PID:') || word === 'pg_backend_pid()') return { kind: 'value', value: word };
  if (!/^\w+$/.test(word)) throw words.trouble(-1);
  const at = words.position;
  return words.accept('(') ? readCall(words, word) : { kind: 'variable', name: word, at };
}

function readCall(words: Words, name: string): Expression {
  const args = words.accept(')') ? [] : readList(words);
  if (args.length > 0) words.expect(')');
  if (!Object.hasOwn(FUNCTIONS, name) || FUNCTIONS[name] !== args.length) throw new Error(`unrecognized call of "${name}" in SQL`);
  return { kind: 'call', name, args };
}
