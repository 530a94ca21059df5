// Being connected to SPI: a stack, as in C, so that a function that uses SPI can be called by one that does. Workers.
// PostgreSQL: SPI_connect, SPI_finish, AtEOXact_SPI, AtEOSubXact_SPI in src/backend/executor/spi.c, REL_15_STABLE.

import { WARNING } from '../elog/error-data.js';
import { ERRCODE_WARNING } from '../elog/errcodes.js';
import { SPI_ERROR_UNCONNECTED, SPI_OK_CONNECT, SPI_OK_FINISH } from './spi-codes.js';
import { getCurrentTransactionNestLevel, inTransaction, onTransactionEnd } from './xact.js';

/** One spiConnect that is open. */
interface SpiLevel {
  /** How deep the transaction was when it was made. */
  readonly depth: number;
  /** What ends with it: plans that nobody keeps. */
  readonly atEnd: (() => void)[];
}

const stack: SpiLevel[] = [];

/**
 * Opens SPI for this transaction; calls nest.
 * @returns SPI_OK_CONNECT
 * @throws ErrorData 25P01 outside of a transaction
 * @example spiConnect();
 * @pg SPI_connect
 */
export function spiConnect(): number {
  inTransaction();
  stack.push({ depth: getCurrentTransactionNestLevel(), atEnd: [] });
  return SPI_OK_CONNECT;
}

/**
 * Closes what the latest spiConnect opened, and frees the plans that were prepared in it and not kept.
 * @returns SPI_OK_FINISH, or SPI_ERROR_UNCONNECTED where there was none
 * @example spiFinish();
 * @pg SPI_finish
 */
export function spiFinish(): number {
  const level = stack.pop();
  if (level === undefined) return SPI_ERROR_UNCONNECTED;
  for (const end of level.atEnd) end();
  return SPI_OK_FINISH;
}

/** Is SPI open? */
export function isSpiConnected(): boolean {
  return stack.length > 0;
}

/** Calls back when the innermost spiConnect is closed, however. */
export function atSpiFinish(end: () => void): void {
  stack.at(-1)?.atEnd.push(end);
}

// What a transaction or subtransaction opened ends with it. After a commit somebody has forgotten spiFinish; after an error nobody could call it.
onTransactionEnd((end, depth, conn) => {
  const open = stack.length;
  while ((stack.at(-1)?.depth ?? 0) >= depth) spiFinish();
  if (stack.length === open || !end.endsWith('commit')) return;
  const message = `${depth > 1 ? 'subtransaction' : 'transaction'} left non-empty SPI stack`;
  conn.owner.report(WARNING, { code: ERRCODE_WARNING, message, hint: 'Check for missing "SPI_finish" calls.' });
});
