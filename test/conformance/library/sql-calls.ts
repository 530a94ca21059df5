// What a session's backend does where a scenario calls the functions of the C module (`bgwo_…`) from SQL: works out what sql-program.ts has read. Runs in session
// backends.

import { setTimeout as sleep } from 'node:timers/promises';
import * as bgworker from 'bgworker';
import type { BackgroundWorkerHandle } from 'bgworker';
import { parseRegistration } from '../registration.js';
import type { CastType, Expression } from '../sql-expression.js';
import type { Select, Series, Statement } from '../sql-program.js';
import { crash } from './dying.js';
import { notifyPidOf, toWorker } from './oracle.js';

/** All handles of the session, by number: the judge knows those that were registered without SQL. */
let handles: BackgroundWorkerHandle[] = [];
const STATUS: Readonly<Record<number, string>> = {
  [bgworker.BGWH_NOT_YET_STARTED]: 'NOT_YET_STARTED',
  [bgworker.BGWH_STOPPED]: 'STOPPED',
  [bgworker.BGWH_POSTMASTER_DIED]: 'POSTMASTER_DIED',
};

const INTERRUPTS_MS = 10;

type Value = string | number | boolean | null;
type Variables = Map<string, Value>;

function handleOf(value: Value): BackgroundWorkerHandle {
  const handle = handles[Number(value)];
  if (handle === undefined) throw new Error(`there is no handle ${value}`);
  return handle;
}

function statusText({ status, pid }: { status: number; pid?: number }): string {
  return status === bgworker.BGWH_STARTED ? `STARTED ${pid}` : (STATUS[status] ?? String(status));
}

const CALLS: Readonly<Record<string, (argument: Value) => Value | Promise<Value>>> = {
  bgwo_reg: (text) => {
    const registration = parseRegistration(String(text));
    const handle = bgworker.registerDynamicBackgroundWorker(toWorker(registration, notifyPidOf(registration, bgworker.myProcPid)));
    return handle === null ? null : handles.push(handle) - 1;
  },
  bgwo_status: (handle) => statusText(bgworker.getBackgroundWorkerPid(handleOf(handle))),
  bgwo_wait_startup: async (handle) => statusText(await bgworker.waitForBackgroundWorkerStartup(handleOf(handle))),
  bgwo_wait_shutdown: async (handle) => statusText({ status: await bgworker.waitForBackgroundWorkerShutdown(handleOf(handle)) }),
  bgwo_terminate: (handle) => {
    bgworker.terminateBackgroundWorker(handleOf(handle));
    return '';
  },
  bgwo_type_by_pid: (pid) => bgworker.getBackgroundWorkerTypeByPid(Number(pid)),
  bgwo_crash: async (how) => {
    crash(String(how));
    await pause(INTERRUPTS_MS); // a signal with a handler: it comes now
    return '';
  },
  pg_sleep: async (seconds) => {
    await pause(Number(seconds) * 1000);
    return '';
  },
};

async function pause(ms: number): Promise<void> {
  for (const deadline = performance.now() + ms; performance.now() < deadline; bgworker.checkForInterrupts())
    await sleep(Math.min(INTERRUPTS_MS, deadline - performance.now()));
}

// --- expressions ------------------------------------------------------------------------------------------------------------------

const compareValues = (a: Value, b: Value): number => {
  if (typeof a !== 'string' || typeof b !== 'string') return Number(a) - Number(b);
  if (a === b) return 0;
  return a < b ? -1 : 1;
};

function isLike(text: Value, pattern: Value): boolean {
  const source = String(pattern).replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
  return new RegExp(`^${source.replaceAll('%', '.*').replaceAll('_', '.')}$`, 's').test(String(text));
}

/** Operators that know nothing of NULL: with one they give NULL. */
const OPERATORS: Readonly<Record<string, (a: Value, b: Value) => Value>> = {
  '=': (a, b) => compareValues(a, b) === 0,
  '<>': (a, b) => compareValues(a, b) !== 0,
  '!=': (a, b) => compareValues(a, b) !== 0,
  '<': (a, b) => compareValues(a, b) < 0,
  '>': (a, b) => compareValues(a, b) > 0,
  '<=': (a, b) => compareValues(a, b) <= 0,
  '>=': (a, b) => compareValues(a, b) >= 0,
  LIKE: isLike,
  '||': (a, b) => String(a) + String(b),
  '+': (a, b) => Number(a) + Number(b),
  '-': (a, b) => Number(a) - Number(b),
  NOT: (a) => a !== true,
};

async function resultOf(operator: string, operands: readonly Expression[], variables: Variables): Promise<Value> {
  const [left, right] = operands as [Expression, Expression?];
  const a = await valueOf(left, variables);
  if (operator === 'IS NULL') return a === null;
  if (operator === 'IS NOT NULL') return a !== null;
  // What decides already is enough: the other side is not asked.
  if (operator === 'AND' && a === false) return false;
  if (operator === 'OR' && a === true) return true;
  const b = right === undefined ? a : await valueOf(right, variables);
  if (operator === 'AND' || operator === 'OR') return a !== null || b === (operator === 'OR') ? b : null;
  return a === null || b === null ? null : (OPERATORS[operator]?.(a, b) ?? null);
}

const CASTS: Readonly<Record<CastType, (value: Exclude<Value, null>) => Value>> = {
  text: String,
  number: Number,
  boolean: (value) => (typeof value === 'string' ? /^t/i.test(value) : Boolean(value)),
};

async function valueOf(expression: Expression, variables: Variables): Promise<Value> {
  switch (expression.kind) {
    case 'value':
      return expression.value;
    case 'variable': {
      const value = variables.get(expression.name);
      if (value === undefined) {
        const message = `column "${expression.name}" does not exist`;
        throw new bgworker.ErrorData({ code: '42703', message, internalpos: expression.at });
      }
      return value;
    }
    case 'cast': {
      const value = await valueOf(expression.operand, variables);
      return value === null ? null : CASTS[expression.type](value);
    }
    case 'operation':
      return resultOf(expression.operator, expression.operands, variables);
    case 'call': {
      const [argument] = expression.args;
      const call = CALLS[expression.name];
      if (call === undefined) throw new Error(`function ${expression.name} is not implemented`);
      return call(argument === undefined ? null : await valueOf(argument, variables));
    }
  }
}

/** As the database writes it. */
function textOf(value: Value): string | null {
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return value === null ? null : String(value);
}

/** For each of the numbers, with the variable set to it. */
async function forEach({ variable, from, to }: Series, variables: Variables, body: () => Promise<void>): Promise<void> {
  const last = Number(await valueOf(to, variables));
  for (let number = Number(await valueOf(from, variables)); number <= last; number++) {
    variables.set(variable, number);
    await body();
  }
}

// --- statements -------------------------------------------------------------------------------------------------------------------

interface Answer {
  readonly rows: (string | null)[][];
  readonly handles: BackgroundWorkerHandle[];
}

/** One row, or one for each number of a series. */
export async function select({ columns, series }: Select, known: BackgroundWorkerHandle[]): Promise<Answer> {
  handles = known;
  const variables: Variables = new Map();
  const rows: (string | null)[][] = [];
  const addRow = async (): Promise<void> => {
    const row: (string | null)[] = [];
    for (const column of columns) row.push(textOf(await valueOf(column, variables)));
    rows.push(row);
  };
  await (series === undefined ? addRow() : forEach(series, variables, addRow));
  return { rows, handles };
}

/** A DO block: its statements, one after the other, in this process. */
export async function doBlock(statements: readonly Statement[], known: BackgroundWorkerHandle[]): Promise<Answer> {
  handles = known;
  await carryOut(statements, new Map());
  return { rows: [], handles };
}

async function carryOut(statements: readonly Statement[], variables: Variables): Promise<void> {
  for (const statement of statements) await carryOutOne(statement, variables);
}

async function carryOutOne(statement: Statement, variables: Variables): Promise<void> {
  switch (statement.kind) {
    case 'assign':
      variables.set(statement.variable, await valueOf(statement.value, variables));
      return;
    case 'perform':
      await valueOf(statement.value, variables);
      return;
    case 'notice': {
      let message = statement.format;
      for (const argument of statement.args) {
        const text = textOf(await valueOf(argument, variables)) ?? '<NULL>';
        message = message.replace('%', () => text);
      }
      bgworker.ereport(bgworker.NOTICE, { code: '00000', message });
      return;
    }
    case 'if':
      for (const { condition, statements } of statement.branches) {
        if (condition !== null && (await valueOf(condition, variables)) !== true) continue;
        await carryOut(statements, variables);
        return;
      }
      return;
    case 'for':
      await forEach(statement.series, variables, () => carryOut(statement.statements, variables));
      return;
    case 'while':
      while ((await valueOf(statement.condition, variables)) === true) await carryOut(statement.statements, variables);
  }
}
