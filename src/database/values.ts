// Values between SQL and JavaScript: how a parameter is written, and what a column becomes. Pure; any process that talks to a database.
//
// A column becomes the JavaScript value that holds every value of its type without loss, and a string where there is none:
//   int8, xid8 → bigint (as a Datum of the chapter's); int2, int4, oid, float4, float8 → number; numeric → string;
//   bool → boolean; bytea → Buffer; json, jsonb → parsed; timestamptz → Date (to the millisecond);
//   date, time, timetz, timestamp, interval → string, as the server writes them: they name no instant, and a Date would add a time zone;
//   arrays of these → arrays of these; everything else → string or what the client makes of it (points, boxes).

import pg from 'pg';

type Parser = (text: string) => unknown;

/** The client's own parser; its types know only some of the OIDs that it takes. */
const clientParser = pg.types.getTypeParser as unknown as (typeOid: number) => Parser;

const asIs: Parser = (text) => text;
const stringArray = clientParser(1009);
const bigintArray: Parser = (text) => mapDeep(stringArray(text), (item) => BigInt(item));

const PARSERS: Record<number, Parser> = {
  20: BigInt, // int8
  1016: bigintArray, // int8[]
  5069: BigInt, // xid8
  1114: asIs, // timestamp
  1115: stringArray, // timestamp[]
  1082: asIs, // date
  1182: stringArray, // date[]
  1186: asIs, // interval
  1187: stringArray, // interval[]
  1231: stringArray, // numeric[]
};

/** The function that turns a column's text into its value. */
export function columnParser(typeOid: number): Parser {
  return PARSERS[typeOid] ?? clientParser(typeOid);
}

function mapDeep(value: unknown, fn: (item: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapDeep(item, fn));
  return value === null ? null : fn(value as string);
}

/**
 * A parameter as the protocol takes it: text, bytes (sent as binary), or null. Arrays become SQL arrays; other objects JSON. (An array that is meant
 * as JSON is to be given as a string.)
 */
export function parameterValue(value: unknown): string | Buffer | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof Date) return dateText(value);
  if (Array.isArray(value)) return arrayText(value);
  if (typeof value === 'object') return JSON.stringify(value);
  throw new TypeError(`a query parameter cannot be a ${typeof value}`);
}

/** In UTC, with a year as PostgreSQL writes it. */
function dateText(date: Date): string {
  const year = date.getUTCFullYear();
  // toISOString throws a RangeError for an invalid date. It has four digits, or a sign and six.
  const rest = date.toISOString().replace(/^(?:[-+]\d{6}|\d{4})/, '');
  return year > 0 ? String(year).padStart(4, '0') + rest : `${String(1 - year).padStart(4, '0')}${rest} BC`;
}

function arrayText(items: readonly unknown[]): string {
  const texts = items.map((item) => {
    if (Array.isArray(item)) return arrayText(item);
    const value = parameterValue(item);
    if (value === null) return 'NULL';
    const text = typeof value === 'string' ? value : `\\x${value.toString('hex')}`;
    return `"${text.replace(/[\\"]/g, '\\$&')}"`;
  });
  return `{${texts.join(',')}}`;
}
