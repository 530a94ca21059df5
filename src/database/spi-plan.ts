// Prepared plans: a command that the server parses once, kept over transactions where one asks for that. Workers.
// PostgreSQL: SPI_prepare and its likes in src/backend/executor/spi.c, REL_15_STABLE.
//
// A plan's statements are prepared statements of the connection under names that nobody else uses. Those that nobody keeps end with spiFinish.
// The server plans anew by itself when tables or statistics change. DIFFERS FROM POSTGRES: it does not accept that the columns of a result change
// ("cached plan must not change result type"), which C's SPI does. Such a plan is prepared again where it is used next, after its error.

import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INVALID_SQL_STATEMENT_NAME, ERRCODE_SYNTAX_ERROR } from '../elog/errcodes.js';
import type { DatabaseConnection } from './database-connection.js';
import { warnOfPooler } from './pooler.js';
import { PrepareQuery, type PreparedStatement } from './prepare-query.js';
import { statementError } from './server-error.js';
import {
  type RunnableStatement,
  type SPIExecuteOptions,
  type SPIResult,
  type SPIRunOptions,
  checkArrays,
  checkCommand,
  checkStatement,
  isCount,
  parseCommand,
  refused,
  runStatements,
} from './spi.js';
import { SPI_ERROR_ARGUMENT, SPI_ERROR_PARAM, SPI_ERROR_UNCONNECTED, spiResultCodeString } from './spi-codes.js';
import { atSpiFinish, isSpiConnected } from './spi-connect.js';
import type { SqlStatement } from './sql-statements.js';
import { failing, inHealthyTransaction } from './xact.js';

/** A prepared plan. Opaque; `Row` is what its rows are. @pg SPIPlanPtr */
export interface SPIPlan<Row = Record<string, unknown>> {
  readonly command: string;
  /** Only a type: what the rows are, for TypeScript. */
  readonly rowType?: Row;
}

export interface PlanState {
  readonly conn: DatabaseConnection;
  readonly statements: readonly SqlStatement[];
  readonly argTypes: readonly number[];
  prepared: readonly PreparedStatement[];
  kept: boolean;
  /** The server has no use for what it has of it: prepared again before it is used again. */
  stale: boolean;
}

const plans = new WeakMap<SPIPlan<unknown>, PlanState>();
/** Names are never used again, so a Close that is on its way cannot meet a plan that is prepared meanwhile. */
let lastName = 0;

/**
 * Prepares a command: the server parses and checks it once. The plan lives until spiFinish, or with `spiKeepplan` as long as the worker does.
 * @param argTypes OIDs of the parameters' types (`INT4OID` …); 0 where the server is to infer one; none at all: it infers all, and the command is one statement
 * @throws ErrorData with the server's fields where the command is wrong, and the transaction has failed then; `SPI_prepare failed: SPI_ERROR_UNCONNECTED` without
 * spiConnect
 * @example
 * const plan = await spiPrepare<{ n: number }>('SELECT n FROM t WHERE id = $1', [INT4OID]);
 * const { rows } = await spiExecutePlan(plan, [42]);
 * @pg SPI_prepare
 */
export async function spiPrepare<Row = Record<string, unknown>>(command: string, argTypes: readonly number[] = []): Promise<SPIPlan<Row>> {
  checkCommand('spiPrepare', command);
  checkArrays('spiPrepare', { argTypes });
  const conn = inHealthyTransaction();
  if (!isSpiConnected()) throw new ErrorData({ message: `SPI_prepare failed: ${spiResultCodeString(SPI_ERROR_UNCONNECTED)}` });
  return failing(async () => {
    const statements = parseCommand(conn, command);
    const plan: SPIPlan<Row> = Object.freeze({ command });
    const state: PlanState = { conn, statements, argTypes: [...argTypes], prepared: [], kept: false, stale: true };
    await prepare(plan, state);
    plans.set(plan, state);
    atSpiFinish(() => {
      if (!state.kept) free(plan, state);
    });
    return plan;
  });
}

/**
 * Runs a prepared plan.
 * @param values for its parameters, as many as it has
 * @returns as spiExecute. SPI_ERROR_ARGUMENT for a plan that was freed, or a bad count; SPI_ERROR_PARAM where the number of values is not the plan's
 * @throws ErrorData as spiExecute
 * @example const { rows } = await spiExecutePlan(plan, ['delta'], { count: 10 });
 * @pg SPI_execute_plan
 */
export async function spiExecutePlan<Row = Record<string, unknown>>(
  plan: SPIPlan<Row>,
  values: readonly unknown[] = [],
  options: SPIRunOptions = {},
): Promise<SPIResult<Row>> {
  checkArrays('spiExecutePlan', { values });
  const conn = inHealthyTransaction();
  const state = plans.get(plan);
  if (state === undefined || state.conn !== conn || !isCount(options.count ?? 0)) return refused<Row>(SPI_ERROR_ARGUMENT);
  if (values.length !== argCount(state)) return refused<Row>(SPI_ERROR_PARAM);
  if (!isSpiConnected()) return refused<Row>(SPI_ERROR_UNCONNECTED);
  return failing(() => usingPlan(plan, state, (statements) => runPlan<Row>(conn, plan, statements, { ...options, values })));
}

async function runPlan<Row>(
  conn: DatabaseConnection,
  plan: SPIPlan<Row>,
  statements: readonly RunnableStatement[],
  options: SPIExecuteOptions,
): Promise<SPIResult<Row>> {
  return (await runStatements(conn, plan.command, statements, options)) as SPIResult<Row>;
}

/** Hands out a plan's statements, prepared, and finds out where the server has no use for them any more. */
export async function usingPlan<T>(
  plan: SPIPlan<unknown>,
  state: PlanState,
  body: (statements: readonly RunnableStatement[]) => Promise<T>,
): Promise<T> {
  if (state.stale) await prepare(plan, state);
  try {
    return await body(state.statements.map((statement, i) => ({ ...statement, prepared: state.prepared[i]?.name })));
  } catch (err) {
    const code = err instanceof ErrorData ? err.code : '';
    // "cached plan must not change result type"; and DEALLOCATE ALL, or DISCARD, has taken them away.
    if (code === ERRCODE_FEATURE_NOT_SUPPORTED || code === ERRCODE_INVALID_SQL_STATEMENT_NAME) state.stale = true;
    throw err;
  }
}

async function prepare(plan: SPIPlan<unknown>, state: PlanState): Promise<void> {
  const { conn, statements, argTypes } = state;
  const [first] = statements;
  if (argTypes.length === 0 && statements.length > 1 && statements.some(({ text }) => /\$\d/.test(text))) {
    const hint = 'Give the types of the parameters: each statement has the same ones then.';
    throw new ErrorData({ code: ERRCODE_SYNTAX_ERROR, message: 'cannot insert multiple commands into a prepared statement', hint });
  }
  if (first !== undefined) checkStatement(conn, first, {});
  for (const { name } of state.prepared) conn.closeStatement(name);
  state.prepared = [];
  // One at a time, so that an error is known to be this statement's.
  for (const { text, offset } of statements) {
    const query = new PrepareQuery({ text, name: `bgw_plan_${++lastName}`, types: argTypes });
    state.prepared = [...state.prepared, await conn.perform(query, { error: (err) => statementError(err, plan.command, text, offset) })];
  }
  state.stale = false;
}

/**
 * Keeps a plan beyond spiFinish and the transaction: it can be used in every later one.
 * @returns 0; SPI_ERROR_ARGUMENT for one that was freed, or is kept already
 * @example spiKeepplan(plan);
 * @pg SPI_keepplan
 */
export function spiKeepplan(plan: SPIPlan<unknown>): number {
  const state = plans.get(plan);
  if (state === undefined || state.kept) return SPI_ERROR_ARGUMENT;
  state.kept = true;
  warnOfPooler(state.conn, 'a plan that is kept');
  return 0;
}

/**
 * Frees a plan; the server forgets it with the next command.
 * @returns 0; SPI_ERROR_ARGUMENT for one that was freed already
 * @example spiFreeplan(plan);
 * @pg SPI_freeplan
 */
export function spiFreeplan(plan: SPIPlan<unknown>): number {
  const state = plans.get(plan);
  if (state === undefined) return SPI_ERROR_ARGUMENT;
  free(plan, state);
  return 0;
}

function free(plan: SPIPlan<unknown>, state: PlanState): void {
  if (!plans.delete(plan)) return;
  for (const { name } of state.prepared) state.conn.closeStatement(name);
}

/** How many parameters a plan has; SPI_ERROR_ARGUMENT for one that was freed. @pg SPI_getargcount */
export function spiGetargcount(plan: SPIPlan<unknown>): number {
  const state = plans.get(plan);
  return state === undefined ? SPI_ERROR_ARGUMENT : argCount(state);
}

/**
 * The OID of the type of a plan's parameter, given or inferred; 0 (InvalidOid) where there is no such parameter.
 * @param argIndex from 0
 * @example spiGetargtypeid(plan, 0) === INT4OID;
 * @pg SPI_getargtypeid
 */
export function spiGetargtypeid(plan: SPIPlan<unknown>, argIndex: number): number {
  return plans.get(plan)?.prepared[0]?.types[argIndex] ?? 0;
}

/** Can a cursor be opened with this plan: is it one statement that returns rows? @pg SPI_is_cursor_plan */
export function spiIsCursorPlan(plan: SPIPlan<unknown>): boolean {
  const prepared = plans.get(plan)?.prepared;
  return prepared?.length === 1 && prepared[0]?.fields != null;
}

export function planState(plan: SPIPlan<unknown>): PlanState | undefined {
  return plans.get(plan);
}

function argCount(state: PlanState): number {
  return Math.max(state.argTypes.length, ...state.prepared.map(({ types }) => types.length));
}
