// The result codes of SPI, with C's names and values. Any process. PostgreSQL: src/include/executor/spi.h, REL_15_STABLE.

export const SPI_ERROR_CONNECT = -1;
export const SPI_ERROR_COPY = -2;
export const SPI_ERROR_OPUNKNOWN = -3;
export const SPI_ERROR_UNCONNECTED = -4;
export const SPI_ERROR_CURSOR = -5;
export const SPI_ERROR_ARGUMENT = -6;
export const SPI_ERROR_PARAM = -7;
export const SPI_ERROR_TRANSACTION = -8;
export const SPI_ERROR_NOATTRIBUTE = -9;
export const SPI_ERROR_NOOUTFUNC = -10;
export const SPI_ERROR_TYPUNKNOWN = -11;
export const SPI_ERROR_REL_DUPLICATE = -12;
export const SPI_ERROR_REL_NOT_FOUND = -13;

export const SPI_OK_CONNECT = 1;
export const SPI_OK_FINISH = 2;
export const SPI_OK_FETCH = 3;
export const SPI_OK_UTILITY = 4;
export const SPI_OK_SELECT = 5;
export const SPI_OK_SELINTO = 6;
export const SPI_OK_INSERT = 7;
export const SPI_OK_DELETE = 8;
export const SPI_OK_UPDATE = 9;
export const SPI_OK_CURSOR = 10;
export const SPI_OK_INSERT_RETURNING = 11;
export const SPI_OK_DELETE_RETURNING = 12;
export const SPI_OK_UPDATE_RETURNING = 13;
export const SPI_OK_REWRITTEN = 14;
export const SPI_OK_REL_REGISTER = 15;
export const SPI_OK_REL_UNREGISTER = 16;
export const SPI_OK_TD_REGISTER = 17;
export const SPI_OK_MERGE = 18;
/** Release 17's. */
export const SPI_OK_MERGE_RETURNING = 19;

const NAMES = new Map<number, string>(
  Object.entries({
    SPI_ERROR_CONNECT,
    SPI_ERROR_COPY,
    SPI_ERROR_OPUNKNOWN,
    SPI_ERROR_UNCONNECTED,
    SPI_ERROR_CURSOR,
    SPI_ERROR_ARGUMENT,
    SPI_ERROR_PARAM,
    SPI_ERROR_TRANSACTION,
    SPI_ERROR_NOATTRIBUTE,
    SPI_ERROR_NOOUTFUNC,
    SPI_ERROR_TYPUNKNOWN,
    SPI_ERROR_REL_DUPLICATE,
    SPI_ERROR_REL_NOT_FOUND,
    SPI_OK_CONNECT,
    SPI_OK_FINISH,
    SPI_OK_FETCH,
    SPI_OK_UTILITY,
    SPI_OK_SELECT,
    SPI_OK_SELINTO,
    SPI_OK_INSERT,
    SPI_OK_DELETE,
    SPI_OK_UPDATE,
    SPI_OK_CURSOR,
    SPI_OK_INSERT_RETURNING,
    SPI_OK_DELETE_RETURNING,
    SPI_OK_UPDATE_RETURNING,
    SPI_OK_REWRITTEN,
    SPI_OK_REL_REGISTER,
    SPI_OK_REL_UNREGISTER,
    SPI_OK_TD_REGISTER,
    SPI_OK_MERGE,
    SPI_OK_MERGE_RETURNING,
  }).map(([name, code]) => [code, name]),
);

/** The name of a result code, for messages. @pg SPI_result_code_string */
export function spiResultCodeString(code: number): string {
  return NAMES.get(code) ?? `Unrecognized SPI code ${code}`;
}
