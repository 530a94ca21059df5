// Cursors: a query's rows in pieces, forward and backward. Workers.
// PostgreSQL: SPI_cursor_open and its likes in src/backend/executor/spi.c, src/backend/commands/portalcmds.c, REL_15_STABLE.
//
// A cursor over a plain query is declared (DECLARE … CURSOR): the server decides, as SPI does, whether it can go backward. What cannot be declared but returns rows
// (RETURNING, a WITH that modifies, SHOW, EXPLAIN) becomes a portal of the protocol, which goes forward only. FETCH, MOVE and CLOSE serve both. (The protocol's
// own way to read a portal, which pg-cursor uses, knows neither backward nor MOVE.)

import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_INVALID_CURSOR_DEFINITION } from '../elog/errcodes.js';
import type { DatabaseConnection } from './database-connection.js';
import { statementError } from './server-error.js';
import { type RunnableStatement, type SPIExecuteOptions, type SPIResult, checkArrays, checkCommand, checkStatement, parseCommand } from './spi.js';
import { SPI_OK_FETCH } from './spi-codes.js';
import { isSpiConnected } from './spi-connect.js';
import { type SPIPlan, planState, usingPlan } from './spi-plan.js';
import { StatementQuery } from './statement-query.js';
import { mainVerb, writingCommand } from './sql-statements.js';
import { failing, inHealthyTransaction, isTransactionState, quoteIdentifier } from './xact.js';

/** The rows can be fetched backward; an error where the query cannot. @pg CURSOR_OPT_SCROLL */
export const CURSOR_OPT_SCROLL = 0x0002;
/** Forward only. With neither: backward where it costs nothing. @pg CURSOR_OPT_NO_SCROLL */
export const CURSOR_OPT_NO_SCROLL = 0x0004;

/** The next so many rows. @pg FETCH_FORWARD */
export const FETCH_FORWARD = 0;
/** The so many before. @pg FETCH_BACKWARD */
export const FETCH_BACKWARD = 1;
/** The row of that number, from 1; from the end where it is negative. @pg FETCH_ABSOLUTE */
export const FETCH_ABSOLUTE = 2;
/** The row so many further on. @pg FETCH_RELATIVE */
export const FETCH_RELATIVE = 3;
/** As a count: all that are left. C's LONG_MAX. @pg FETCH_ALL */
export const FETCH_ALL = 0x7fffffffffffffffn;

/** An open cursor. Iterating over it fetches forward, in pieces, and closes it. It ends with its transaction. @pg Portal */
export interface Portal<Row = Record<string, unknown>> extends AsyncIterable<Row> {
  readonly name: string;
}

/** How a cursor is opened. */
export interface CursorOptions extends Pick<SPIExecuteOptions, 'readOnly' | 'signal'> {
  /** CURSOR_OPT_… bits. */
  readonly cursorOptions?: number | undefined;
}

/** How many rows an iteration fetches at first and at most, how many bytes a piece should have, and how long it may have taken for the next one to be larger. */
const PIECE = { first: 64, most: 8192, bytes: 262_144, ms: 200 } as const;
let lastName = 0;

/**
 * Opens a cursor with a prepared plan.
 * @param name null: one that nobody else has
 * @throws ErrorData 42P11 for a plan that returns no rows, or is several statements; 42P03 for a name that is taken; else as spiExecute
 * @example
 * const portal = await spiCursorOpen(null, plan, [42]);
 * for await (const row of portal) work(row);
 * @pg SPI_cursor_open
 */
export async function spiCursorOpen<Row = Record<string, unknown>>(
  name: string | null,
  plan: SPIPlan<Row>,
  values: readonly unknown[] = [],
  options: CursorOptions = {},
): Promise<Portal<Row>> {
  checkArrays('spiCursorOpen', { values });
  const conn = connectedToSpi('SPI_cursor_open');
  const state = planState(plan);
  if (state === undefined || state.conn !== conn) throw new ErrorData({ message: 'SPI_cursor_open called with invalid arguments' });
  return failing(() =>
    usingPlan(plan, state, (statements) =>
      open<Row>(conn, { name, command: plan.command, statements, values, types: state.prepared[0]?.types ?? [], options }),
    ),
  );
}

/**
 * The same with a command instead of a plan.
 * @example const portal = await spiCursorOpenWithArgs('c', 'SELECT * FROM t WHERE a > $1', { values: [7], cursorOptions: CURSOR_OPT_SCROLL });
 * @pg SPI_cursor_open_with_args
 */
export async function spiCursorOpenWithArgs<Row = Record<string, unknown>>(
  name: string | null,
  command: string,
  options: CursorOptions & Pick<SPIExecuteOptions, 'values' | 'argTypes'> = {},
): Promise<Portal<Row>> {
  checkCommand('spiCursorOpenWithArgs', command);
  checkArrays('spiCursorOpenWithArgs', options);
  const conn = connectedToSpi('SPI_cursor_open');
  const { values = [], argTypes: types = [] } = options;
  return failing(() => open<Row>(conn, { name, command, statements: parseCommand(conn, command), values, types, options }));
}

interface Opening {
  readonly name: string | null;
  readonly command: string;
  readonly statements: readonly RunnableStatement[];
  readonly values: readonly unknown[];
  readonly types: readonly number[];
  readonly options: CursorOptions;
}

async function open<Row>(conn: DatabaseConnection, opening: Opening): Promise<Portal<Row>> {
  const { command, statements, values, types, options } = opening;
  const [statement] = statements;
  if (statement === undefined || statements.length > 1) throw invalidCursor('cannot open multi-query plan as cursor');
  checkStatement(conn, statement, options);
  const name = opening.name ?? `<bgworker portal ${++lastName}>`;
  const verb = mainVerb(statement);
  const writes = writingCommand(statement);
  if (writes === 'SELECT INTO') throw invalidCursor('cannot open SELECT INTO query as cursor');
  const plain = ['SELECT', 'VALUES', 'TABLE'].includes(verb) && writes !== 'SELECT';
  const { text, offset, prepared } = statement;
  const { signal, cursorOptions = 0 } = options;
  if (plain) {
    const scroll = (cursorOptions & CURSOR_OPT_SCROLL) !== 0 ? 'SCROLL ' : (cursorOptions & CURSOR_OPT_NO_SCROLL) !== 0 ? 'NO SCROLL ' : '';
    const declare = `DECLARE ${quoteIdentifier(name)} ${scroll}CURSOR FOR `;
    const query = new StatementQuery({ text: declare + text, values, types });
    // What an error points at lies behind our words.
    await conn.perform(query, { signal, error: (err) => statementError(err, command, text, offset - declare.length) });
    return makePortal(name);
  }
  const query = new StatementQuery({ ...(prepared === undefined ? { text } : { prepared }), values, types, portal: name });
  const { fields } = await conn.perform(query, { signal, error: (err) => statementError(err, command, text, offset) });
  // Nothing has been run yet.
  if (fields === null) throw invalidCursor(`cannot open ${writes ?? verb} query as cursor`);
  return makePortal(name);
}

/** A cursor that is open under this name, whoever opened it (a function that returned a refcursor, for example); null where there is none. @pg SPI_cursor_find */
export async function spiCursorFind<Row = Record<string, unknown>>(name: string): Promise<Portal<Row> | null> {
  const conn = inHealthyTransaction();
  const { rows } = await failing(() => conn.run({ text: "SELECT 1 FROM pg_catalog.pg_cursors WHERE name = $1 AND name <> ''", offset: 0 }, [name]));
  return rows.length === 0 ? null : makePortal(name);
}

/**
 * Fetches rows.
 * @param forward false: backward
 * @param count at most so many, or FETCH_ALL; 0: the row where it stands, again
 * @returns `code` SPI_OK_FETCH, `processed` and `rows`
 * @throws ErrorData with the server's fields: 34000 for a cursor that is not open, 55000 for one that cannot go backward
 * @example const { rows } = await spiCursorFetch(portal, true, 100);
 * @pg SPI_cursor_fetch
 */
export function spiCursorFetch<Row>(portal: Portal<Row>, forward: boolean, count: number | bigint): Promise<SPIResult<Row>> {
  return spiScrollCursorFetch(portal, forward ? FETCH_FORWARD : FETCH_BACKWARD, count);
}

/** The same with FETCH_FORWARD, FETCH_BACKWARD, FETCH_ABSOLUTE or FETCH_RELATIVE. @pg SPI_scroll_cursor_fetch */
export async function spiScrollCursorFetch<Row>(portal: Portal<Row>, direction: number, count: number | bigint): Promise<SPIResult<Row>> {
  const { rows, fields } = await operate('FETCH', portal, direction, count);
  const columns = (fields ?? []).map((field) => ({ name: field.name, typeOid: field.dataTypeID }));
  return { code: SPI_OK_FETCH, processed: rows.length, rows: rows as Row[], fields: columns };
}

/**
 * Moves over rows without fetching them.
 * @returns how many it moved over
 * @example await spiCursorMove(portal, true, 1000);
 * @pg SPI_cursor_move
 */
export function spiCursorMove(portal: Portal<unknown>, forward: boolean, count: number | bigint): Promise<number> {
  return spiScrollCursorMove(portal, forward ? FETCH_FORWARD : FETCH_BACKWARD, count);
}

/** The same with FETCH_FORWARD, FETCH_BACKWARD, FETCH_ABSOLUTE or FETCH_RELATIVE. @pg SPI_scroll_cursor_move */
export async function spiScrollCursorMove(portal: Portal<unknown>, direction: number, count: number | bigint): Promise<number> {
  return (await operate('MOVE', portal, direction, count)).affected ?? 0;
}

/**
 * Closes a cursor. The end of its transaction does as well.
 * @throws ErrorData 34000 for one that is not open
 * @example await spiCursorClose(portal);
 * @pg SPI_cursor_close
 */
export async function spiCursorClose(portal: Portal<unknown>): Promise<void> {
  const conn = inHealthyTransaction();
  await failing(() => conn.run({ text: `CLOSE ${quoteIdentifier(nameOf(portal))}`, offset: 0 }));
}

async function operate(
  what: 'FETCH' | 'MOVE',
  portal: Portal<unknown>,
  direction: number,
  count: number | bigint,
): ReturnType<DatabaseConnection['run']> {
  const conn = connectedToSpi('SPI cursor operation');
  const word = ['FORWARD', 'BACKWARD', 'ABSOLUTE', 'RELATIVE'][direction];
  if (word === undefined) throw new RangeError(`direction must be one of FETCH_…, not ${direction}`);
  const all = BigInt(count) === FETCH_ALL;
  if (!all && Math.abs(Number(count)) > 0x7fffffff) throw new RangeError(`count must be of 32 bits, or FETCH_ALL, not ${count}`);
  const text = `${what} ${word} ${all ? 'ALL' : count} FROM ${quoteIdentifier(nameOf(portal))}`;
  checkStatement(conn, { text, offset: 0, words: [what] }, {});
  // In C the cursor's query is not on the error context stack either.
  const query = new StatementQuery({ text });
  return failing(() =>
    conn.perform(query, {
      error: (err) => {
        const { message, code, detail, hint, where } = err;
        return new ErrorData({ message, code, detail, hint, context: where, cause: err });
      },
    }),
  );
}

function connectedToSpi(what: string): DatabaseConnection {
  const conn = inHealthyTransaction();
  if (!isSpiConnected()) throw new ErrorData({ message: `${what} called while not connected` });
  return conn;
}

function nameOf(portal: Portal<unknown>): string {
  if (typeof portal?.name !== 'string') throw new ErrorData({ message: 'invalid portal in SPI cursor operation' });
  return portal.name;
}

function makePortal<Row>(name: string): Portal<Row> {
  const portal: Portal<Row> = { name, [Symbol.asyncIterator]: () => iterate(portal) };
  return Object.freeze(portal);
}

/**
 * The size of the piece after one of `count` rows. Time makes none smaller: what was slow may be the way, and then small pieces make it slower.
 */
function nextPiece(count: number, bytes: number, ms: number): number {
  const fits = Math.floor((count * PIECE.bytes) / bytes);
  return Math.max(1, Math.min(fits, ms < PIECE.ms ? 4 * count : count, PIECE.most));
}

async function* iterate<Row>(portal: Portal<Row>): AsyncGenerator<Row, void> {
  try {
    for (let count: number = PIECE.first; ;) {
      const begin = performance.now();
      const { rows, bytes } = await operate('FETCH', portal, FETCH_FORWARD, count);
      const next = nextPiece(count, bytes, performance.now() - begin);
      for (const row of rows) yield row as Row;
      if (rows.length < count) return;
      count = next;
    }
  } finally {
    // Not where an error has ended the transaction, and the cursor with it.
    if (isTransactionState()) await spiCursorClose(portal);
  }
}

function invalidCursor(message: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INVALID_CURSOR_DEFINITION, message });
}
