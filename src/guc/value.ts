// From the text of a setting to its value, by its definition: spellings of booleans, units of integers, options of enums. Any process. Pure.
// PostgreSQL: parse_bool in src/backend/utils/adt/bool.c; parse_int, convert_to_base_unit and parse_and_validate_value in
// src/backend/utils/misc/guc.c, REL_15_STABLE.

import { ERRCODE_INVALID_PARAMETER_VALUE } from '../elog/errcodes.js';
import type { ErrorFields } from '../elog/error-data.js';
import {
  INT_MAX,
  type EnumSetting,
  type IntSetting,
  type SettingDefinition,
  type SettingUnit,
  type SettingValue,
  type StringSetting,
} from './settings.js';

/** A value, or the report that says why there is none. */
export type Parsed<T> = { readonly value: T } | { readonly error: ErrorFields };

/** The longest name of a unit; what follows three characters is garbage. */
const MAX_UNIT_LEN = 3;
/** NAMEDATALEN - 1. */
const NAME_BYTES = 63;

interface Conversion {
  readonly unit: string;
  readonly multiplier: number;
}

const MEMORY_UNITS_HINT = 'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".';
const TIME_UNITS_HINT = 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".';

/** Each unit in terms of the smallest one, largest first: the order in which fractions are handed down. */
const MEMORY: readonly Conversion[] = [4, 3, 2, 1, 0].map((power) => ({
  unit: ['B', 'kB', 'MB', 'GB', 'TB'][power] ?? '',
  multiplier: 1024 ** power,
}));
const TIME: readonly Conversion[] = [
  { unit: 'd', multiplier: 86_400_000_000 },
  { unit: 'h', multiplier: 3_600_000_000 },
  { unit: 'min', multiplier: 60_000_000 },
  { unit: 's', multiplier: 1_000_000 },
  { unit: 'ms', multiplier: 1_000 },
  { unit: 'us', multiplier: 1 },
];

const isMemory = (unit: SettingUnit): boolean => MEMORY.some((conversion) => conversion.unit === unit);

/** rint of C: halves go to the even neighbour. */
function rint(x: number): number {
  return Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
}

/**
 * Reads a boolean: `on`, `true`, `yes`, `1` and their opposites, in any case, and any beginning of one that fits one only.
 * @pg parse_bool
 */
export function parseBool(text: string): boolean | null {
  const lower = text.toLowerCase();
  if (lower === '') return null;
  if ('true'.startsWith(lower) || 'yes'.startsWith(lower) || lower === 'on' || lower === '1') return true;
  if ('false'.startsWith(lower) || 'no'.startsWith(lower) || lower === 'off' || lower === 'of' || lower === '0') return false;
  return null;
}

function convertToBaseUnit(value: number, unit: string, base: SettingUnit): number | null {
  const table = isMemory(base) ? MEMORY : TIME;
  const index = table.findIndex((conversion) => conversion.unit === unit);
  const from = table[index];
  const to = table.find((conversion) => conversion.unit === base);
  if (from === undefined || to === undefined) return null;
  const converted = (value * from.multiplier) / to.multiplier;
  // "30.1GB" means a whole number of MB: the user's fraction is rounded to the next smaller unit, not to the base unit.
  const smaller = table[index + 1];
  if (smaller === undefined) return converted;
  const step = smaller.multiplier / to.multiplier;
  return rint(converted / step) * step;
}

/**
 * Reads an integer, decimal, hexadecimal (0x) or octal (0), or a fraction, which is rounded; then perhaps a unit, if the setting has one.
 * @returns the value in the setting's own unit, or null, with a hint where there is one
 * @pg parse_int
 */
export function parseInt(text: string, unit?: SettingUnit): { value: number } | { value: null; hint?: string } {
  const number =
    /^\s*[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?/.exec(text)?.[0] ?? /^\s*[+-]?(?:0[xX][\da-fA-F]+|0[0-7]*|[1-9]\d*)/.exec(text)?.[0];
  if (number === undefined) return { value: null };
  let value = toNumber(number.trim());
  if (!Number.isFinite(value)) return { value: null }; // out of the range of a double
  const rest = text.slice(number.length).trim();
  if (rest !== '') {
    if (unit === undefined) return { value: null };
    const converted = rest.length > MAX_UNIT_LEN ? null : convertToBaseUnit(value, rest, unit);
    if (converted === null) return { value: null, hint: isMemory(unit) ? MEMORY_UNITS_HINT : TIME_UNITS_HINT };
    value = converted;
  }
  value = rint(value) + 0; // no negative zero
  if (value > INT_MAX || value < -INT_MAX - 1) return { value: null, hint: 'Value exceeds integer range.' };
  return { value };
}

/** What strtol with base 0, or strtod where it is no integer, makes of a text that has been matched already. */
function toNumber(text: string): number {
  const [, sign = '', digits = ''] = /^([+-]?)(.*)$/.exec(text) ?? [];
  const magnitude = /^0[0-7]+$/.test(digits) ? Number(`0o${digits}`) : Number(digits);
  return sign === '-' ? -magnitude : magnitude;
}

function invalidValue(name: string, text: string, hint?: string): { error: ErrorFields } {
  const message = `invalid value for parameter "${name}": "${text}"`;
  return { error: { code: ERRCODE_INVALID_PARAMETER_VALUE, message, ...(hint === undefined ? {} : { hint }) } };
}

function parseIntSetting(definition: IntSetting, name: string, text: string): Parsed<number> {
  const parsed = parseInt(text, definition.unit);
  if (parsed.value === null) return invalidValue(name, text, parsed.hint);
  const { minValue, maxValue } = definition;
  if (parsed.value >= minValue && parsed.value <= maxValue) return parsed;
  const shown = definition.unit === undefined ? `${parsed.value}` : `${parsed.value} ${definition.unit}`;
  const message = `${shown} is outside the valid range for parameter "${name}" (${minValue} .. ${maxValue})`;
  return { error: { code: ERRCODE_INVALID_PARAMETER_VALUE, message } };
}

function parseEnumSetting(definition: EnumSetting, name: string, text: string): Parsed<string> {
  const lower = text.toLowerCase();
  const value = definition.options.find((option) => option.toLowerCase() === lower) ?? definition.hidden?.[lower];
  return value === undefined ? invalidValue(name, text, `Available values: ${definition.options.join(', ')}.`) : { value };
}

/** A name goes into process titles: ASCII only, and no more of it than an identifier holds (pg_clean_ascii counts bytes, so do we). */
function parseStringSetting(definition: StringSetting, text: string): Parsed<string> {
  if (definition.isName !== true) return { value: text };
  const clean = Buffer.from(text).map((byte) => (byte < 32 || byte > 126 ? 0x3f : byte));
  return { value: Buffer.from(clean).toString('latin1', 0, NAME_BYTES) };
}

function parseByType(definition: SettingDefinition, name: string, text: string): Parsed<SettingValue> {
  switch (definition.type) {
    case 'bool': {
      const value = parseBool(text);
      if (value !== null) return { value };
      return { error: { code: ERRCODE_INVALID_PARAMETER_VALUE, message: `parameter "${name}" requires a Boolean value` } };
    }
    case 'int':
      return parseIntSetting(definition, name, text);
    case 'enum':
      return parseEnumSetting(definition, name, text);
    case 'string':
      return parseStringSetting(definition, text);
  }
}

/**
 * Reads the text of a setting and checks the value, with the setting's own check last.
 * @param name as the user wrote it, for the messages
 * @pg parse_and_validate_value
 */
export function parseAndValidateValue(definition: SettingDefinition, name: string, text: string): Parsed<SettingValue> {
  const parsed = parseByType(definition, name, text);
  if ('error' in parsed || definition.checkHook === undefined) return parsed;
  // The definition's type and the value's go together; the compiler cannot see it.
  const verdict = (definition.checkHook as (value: SettingValue) => ReturnType<NonNullable<SettingDefinition['checkHook']>>)(parsed.value);
  if (verdict === true) return parsed;
  const quote = definition.type === 'string' || definition.type === 'enum' ? '"' : '';
  const shown = definition.type === 'int' ? String(parsed.value) : text;
  const standard = { code: ERRCODE_INVALID_PARAMETER_VALUE, message: `invalid value for parameter "${name}": ${quote}${shown}${quote}` };
  return { error: verdict === false ? standard : { ...standard, ...verdict } };
}
