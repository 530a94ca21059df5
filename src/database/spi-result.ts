// From a statement and the server's answer to what SPI reports. Pure; any process that talks to a database.
// PostgreSQL: _SPI_execute_plan and _SPI_pquery in src/backend/executor/spi.c; ScanPgRelation in src/backend/utils/cache/relcache.c.

import type { ErrorFields } from '../elog/error-data.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import {
  SPI_OK_DELETE,
  SPI_OK_DELETE_RETURNING,
  SPI_OK_INSERT,
  SPI_OK_INSERT_RETURNING,
  SPI_OK_MERGE,
  SPI_OK_MERGE_RETURNING,
  SPI_OK_SELECT,
  SPI_OK_SELINTO,
  SPI_OK_UPDATE,
  SPI_OK_UPDATE_RETURNING,
  SPI_OK_UTILITY,
} from './spi-codes.js';
import { mainVerb, type SqlStatement } from './sql-statements.js';

const MODIFYING: Readonly<Record<string, readonly [plain: number, returning: number]>> = {
  INSERT: [SPI_OK_INSERT, SPI_OK_INSERT_RETURNING],
  UPDATE: [SPI_OK_UPDATE, SPI_OK_UPDATE_RETURNING],
  DELETE: [SPI_OK_DELETE, SPI_OK_DELETE_RETURNING],
  MERGE: [SPI_OK_MERGE, SPI_OK_MERGE_RETURNING],
};

/**
 * The result code of a statement that succeeded.
 * @param returnsRows whether it is of a kind that returns rows, be they none
 */
export function resultCode(statement: SqlStatement, returnsRows: boolean): number {
  const verb = mainVerb(statement);
  const modifying = MODIFYING[verb];
  if (modifying !== undefined) return modifying[returnsRows ? 1 : 0];
  if (verb === 'SELECT' || verb === 'VALUES' || verb === 'TABLE') return returnsRows ? SPI_OK_SELECT : SPI_OK_SELINTO;
  return SPI_OK_UTILITY;
}

/**
 * What a C worker dies of that runs SQL without having a database: any query needs pg_class, even one on a shared catalog. The position is
 * that of the first table, where the parser is when it happens; it stands in the message since the record goes to the log and nowhere else.
 */
export function noDatabaseSelected(statement: SqlStatement): ErrorFields {
  const table = /\b(?:from|join|into|update|table)\s+(?:only\s+)?(?=["\w])/i.exec(statement.text);
  const position = table === null ? '' : ` at character ${statement.offset + table.index + table[0].length + 1}`;
  return {
    code: ERRCODE_INTERNAL_ERROR,
    message: `cannot read pg_class without having selected a database${position}`,
  };
}
