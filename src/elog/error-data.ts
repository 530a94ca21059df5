// One error, with the fields that PostgreSQL gives one. Any process.
// PostgreSQL: struct ErrorData, src/include/utils/elog.h.

import { ERRCODE_INTERNAL_ERROR } from './errcodes.js';

/** Error levels, with PostgreSQL 15's values: a record is logged where its level is at least `log_min_messages`. */
export const DEBUG5 = 10;
export const DEBUG4 = 11;
export const DEBUG3 = 12;
export const DEBUG2 = 13;
export const DEBUG1 = 14;
export const LOG = 15;
export const INFO = 17;
export const NOTICE = 18;
export const WARNING = 19;
export const ERROR = 21;
export const FATAL = 22;
export const PANIC = 23;

/** How a level is spelt in a log line and in a message to a client. */
export function levelName(level: number): string {
  if (level <= DEBUG1) return 'DEBUG';
  const names: Record<number, string> = {
    [LOG]: 'LOG',
    [INFO]: 'INFO',
    [NOTICE]: 'NOTICE',
    [WARNING]: 'WARNING',
    [ERROR]: 'ERROR',
    [FATAL]: 'FATAL',
    [PANIC]: 'PANIC',
  };
  return names[level] ?? 'LOG';
}

/** What `ereport` takes. `message` is short, begins in lower case and has no full stop; `detail` and `hint` are sentences. */
export interface ErrorFields {
  readonly message: string;
  /** SQLSTATE, five characters. */
  readonly code?: string | undefined;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly context?: string | undefined;
  /** Where in `internalquery` the error is, in characters from 1. */
  readonly internalpos?: number | undefined;
  /** The statement that the error is in. */
  readonly internalquery?: string | undefined;
  readonly severity?: 'ERROR' | 'FATAL' | 'PANIC' | undefined;
  readonly cause?: unknown;
}

/**
 * An error as PostgreSQL reports one: a primary message with a SQLSTATE, and often a detail and a hint.
 *
 * Every error that this package raises on purpose is one; `code` is the SQLSTATE, as the common drivers have it.
 *
 * @example
 * try { registerDynamicBackgroundWorker(worker); }
 * catch (err) { if (err instanceof ErrorData && err.code === '22023') console.error(err.message, err.hint); }
 * @pg ErrorData
 */
export class ErrorData extends Error {
  readonly code: string;
  readonly severity: 'ERROR' | 'FATAL' | 'PANIC';
  readonly detail?: string;
  readonly hint?: string;
  readonly context?: string;
  /** Where in `internalquery` the error is, in characters from 1. */
  internalpos?: number;
  /** The statement that the error is in. */
  internalquery?: string;

  constructor(fields: ErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code ?? ERRCODE_INTERNAL_ERROR;
    this.severity = fields.severity ?? 'ERROR';
    if (fields.detail !== undefined) this.detail = fields.detail;
    if (fields.hint !== undefined) this.hint = fields.hint;
    if (fields.context !== undefined) this.context = fields.context;
    if (fields.internalpos !== undefined) this.internalpos = fields.internalpos;
    if (fields.internalquery !== undefined) this.internalquery = fields.internalquery;
  }

  override get name(): string {
    return 'ErrorData';
  }
}

/** Any thrown value as the fields of a report: a plain Error keeps its stack as context, since nothing else says where it came from. */
export function errorFields(err: unknown): ErrorFields {
  if (err instanceof ErrorData) {
    // Named one by one: an Error's message is not enumerable, so whoever spreads the result must find it here.
    const { message, code, severity, detail, hint, context, internalpos, internalquery, cause } = err;
    return { message, code, severity, detail, hint, context, internalpos, internalquery, cause };
  }
  if (!(err instanceof Error)) return { message: String(err), code: ERRCODE_INTERNAL_ERROR };
  const extra = err as Error & { code?: unknown; detail?: unknown; hint?: unknown };
  // A database error (node-postgres) has PostgreSQL's own fields; a system error's code is not a SQLSTATE.
  const code = typeof extra.code === 'string' && /^[0-9A-Z]{5}$/.test(extra.code) && !/^E[A-Z]+$/.test(extra.code) ? extra.code : undefined;
  const frames = (err.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return {
    message: err.message === '' ? err.name : err.message,
    code: code ?? ERRCODE_INTERNAL_ERROR,
    ...(typeof extra.detail === 'string' ? { detail: extra.detail } : {}),
    ...(typeof extra.hint === 'string' ? { hint: extra.hint } : {}),
    ...(code === undefined && frames.length > 0 ? { context: frames.map((line) => line.trim()).join('\n') } : {}),
  };
}
