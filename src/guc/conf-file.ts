// The syntax of a configuration file: one setting a line, `name = value` or `name value`, comments, quoted values. Any process. Pure.
// PostgreSQL: src/backend/utils/misc/guc-file.l (the token rules, ParseConfigFp, DeescapeQuotedString), REL_15_STABLE.
//
// DIFFERS FROM POSTGRES: no `include` directives; and an error at the end of a file that does not end with a newline is reported for the line on which
// it is, where PostgreSQL 15 names the line before.

import { ERRCODE_PROGRAM_LIMIT_EXCEEDED, ERRCODE_SYNTAX_ERROR } from '../elog/errcodes.js';
import type { ErrorFields } from '../elog/error-data.js';

/** One setting, as the file has it. */
export interface ConfigItem {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

export interface ParsedConfigFile {
  readonly items: readonly ConfigItem[];
  /** In the order of the lines; with one or more of them, no item should be used. */
  readonly errors: readonly ErrorFields[];
}

/** After so many errors in one file it is no configuration file, and the rest is not looked at. */
const MAX_SYNTAX_ERRORS = 100;

type TokenKind = 'id' | 'qualified-id' | 'string' | 'unquoted-string' | 'integer' | 'real' | 'equals' | 'error' | 'eol' | 'eof';

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const LETTER = 'A-Za-z_\\u0080-\\uffff';
const ID = `[${LETTER}][${LETTER}0-9]*`;

/** As in a lexer made by flex: the longest match wins, and of equally long ones the first. */
const RULES: readonly (readonly [TokenKind, RegExp])[] = (
  [
    ['id', ID],
    ['qualified-id', `${ID}\\.${ID}`],
    ['string', "'(?:[^'\\\\\\n]|\\\\[^\\n]|'')*'"],
    ['unquoted-string', `[${LETTER}](?:[${LETTER}0-9]|[-._:/])*`],
    ['integer', '[-+]?(?:0x[0-9a-fA-F]+|[0-9]+)[a-zA-Z]*'],
    ['real', '[-+]?[0-9]*\\.[0-9]*(?:[Ee][-+]?[0-9]+)?'],
    ['equals', '='],
    ['error', '[^\\n]'],
  ] as const
).map(([kind, source]) => [kind, new RegExp(source, 'y')]);

const BLANK = /(?:[ \t\r]+|#[^\n]*)+/y;

class Lexer {
  readonly #text: string;
  #at = 0;
  #lineEnded = false;
  line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  /** The next token. A line's end counts as part of its line: `line` advances with the token after it. */
  next(): Token {
    if (this.#lineEnded) this.line++;
    this.#lineEnded = false;
    this.#skipBlanks();
    if (this.#at >= this.#text.length) return { kind: 'eof', text: '' };
    if (this.#text[this.#at] === '\n') {
      this.#at++;
      this.#lineEnded = true;
      return { kind: 'eol', text: '\n' };
    }
    let best: Token = { kind: 'error', text: '' };
    for (const [kind, rule] of RULES) {
      rule.lastIndex = this.#at;
      const text = rule.exec(this.#text)?.[0] ?? '';
      if (text.length > best.text.length) best = { kind, text };
    }
    this.#at += best.text.length;
    return best;
  }

  #skipBlanks(): void {
    BLANK.lastIndex = this.#at;
    this.#at += BLANK.exec(this.#text)?.[0].length ?? 0;
  }
}

const VALUES: ReadonlySet<TokenKind> = new Set(['id', 'string', 'integer', 'real', 'unquoted-string']);
const ends = (token: Token): boolean => token.kind === 'eol' || token.kind === 'eof';

/** One line with something on it; `first` is its first token. Returns the item, or the token that should not be there. */
function parseLine(lexer: Lexer, first: Token): ConfigItem | Token {
  const { line } = lexer;
  if (first.kind !== 'id' && first.kind !== 'qualified-id') return first;
  let token = lexer.next();
  if (token.kind === 'equals') token = lexer.next();
  if (!VALUES.has(token.kind)) return token;
  const value = token.kind === 'string' ? deescapeQuotedString(token.text) : token.text;
  token = lexer.next();
  return ends(token) ? { name: first.text, value, line } : token;
}

/**
 * Reads the text of a configuration file.
 * @param path only for the messages
 * @pg ParseConfigFp
 */
export function parseConfigFile(text: string, path: string): ParsedConfigFile {
  const lexer = new Lexer(text);
  const items: ConfigItem[] = [];
  const errors: ErrorFields[] = [];
  for (let token = lexer.next(); token.kind !== 'eof'; token = lexer.next()) {
    if (token.kind === 'eol') continue;
    const result = parseLine(lexer, token);
    if ('name' in result) {
      items.push(result);
      continue;
    }
    const near = ends(result) ? 'near end of line' : `near token "${result.text}"`;
    errors.push({ code: ERRCODE_SYNTAX_ERROR, message: `syntax error in file "${path}" line ${lexer.line}, ${near}` });
    if (errors.length >= MAX_SYNTAX_ERRORS) {
      errors.push({ code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: `too many syntax errors found, abandoning file "${path}"` });
      break;
    }
    for (let rest = result; !ends(rest);) rest = lexer.next(); // the next line is a new beginning
  }
  return { items, errors };
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/**
 * What a quoted value says: '' is one quote, and backslashes are as in C, with octal numbers for bytes.
 * @pg DeescapeQuotedString
 */
export function deescapeQuotedString(quoted: string): string {
  const bytes: Buffer[] = [];
  const pieces = quoted.slice(1, -1).match(/\\[0-7]{1,3}|\\.|''|[^\\']+/gsu) ?? [];
  for (const piece of pieces) {
    if (piece === "''") bytes.push(Buffer.from("'"));
    else if (/^\\[0-7]/.test(piece)) bytes.push(Buffer.from([Number.parseInt(piece.slice(1), 8) & 0xff]));
    else if (piece.startsWith('\\')) bytes.push(Buffer.from(ESCAPES[piece.slice(1)] ?? piece.slice(1)));
    else bytes.push(Buffer.from(piece));
  }
  return Buffer.concat(bytes).toString();
}
