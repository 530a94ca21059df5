// Cuts a command string into its SQL statements, and says of each what an SPI has to know before it runs it. Pure; any process.
// PostgreSQL parses the string on the spot (_SPI_prepare_plan, src/backend/executor/spi.c). Our server is at the other end of a connection whose
// protocol takes one statement with parameters at a time, so statements are cut as psql does it (psqlscan.l): by knowing what is quoted, what is in
// parentheses, and what is the body of a function in SQL.

export interface SqlStatement {
  readonly text: string;
  /** Where it begins in the command string. */
  readonly offset: number;
  /** Its bare words in upper case, and its parentheses, in order: quoted things and comments are not among them. */
  readonly words: readonly string[];
}

const TOKEN =
  /(?<skip>--[^\n]*)|(?<comment>\/\*)|(?<estring>[eE]'(?:[^'\\]|''|\\.)*'?)|(?<string>'(?:[^']|'')*'?)|(?<ident>"(?:[^"]|"")*"?)|(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(?<number>\d[\w.]*|\$\d+)|(?<punct>[();])|\s+|./gsuy;

/** The statements of a command string; empty ones are left out. */
export function splitStatements(sql: string, standardConformingStrings = true): SqlStatement[] {
  const statements: SqlStatement[] = [];
  let words: string[] = [];
  let start = 0;
  let parens = 0;
  let begins = 0;
  let content = false;
  const finish = (end: number): void => {
    if (content) {
      const raw = sql.slice(start, end);
      const lead = raw.length - raw.trimStart().length;
      statements.push({ text: raw.trim(), offset: start + lead, words });
    }
    [words, parens, begins, content] = [[], 0, 0, false];
  };
  const token = new RegExp(TOKEN);
  for (let match = token.exec(sql); match !== null; match = token.exec(sql)) {
    const found = match.groups ?? {};
    if (found['comment'] !== undefined) token.lastIndex = endOfComment(sql, token.lastIndex);
    else if (found['dollar'] !== undefined) token.lastIndex = endOf(sql, match[0], token.lastIndex);
    else if (found['string'] !== undefined && !standardConformingStrings) token.lastIndex = endOfEscapeString(sql, match.index);
    if (found['skip'] !== undefined || found['comment'] !== undefined || /^\s+$/.test(match[0])) continue;
    if (match[0] === ';' && parens === 0 && begins === 0) {
      finish(match.index);
      start = match.index + 1;
      continue;
    }
    content = true;
    if (match[0] === '(') parens++;
    if (match[0] === ')' && parens > 0) parens--;
    if (found['punct'] === undefined && found['word'] === undefined) continue;
    const word = match[0].toUpperCase();
    words.push(word);
    if (parens === 0) begins += bodyDepthChange(word, words, begins);
  }
  finish(sql.length);
  return statements;
}

/** BEGIN ATOMIC … END of a function's body, with the CASE … END inside it. Anywhere else BEGIN and END are statements of their own. */
function bodyDepthChange(word: string, words: readonly string[], depth: number): number {
  if (words[0] !== 'CREATE' || !words.slice(1, 4).some((w) => w === 'FUNCTION' || w === 'PROCEDURE')) return 0;
  if (word === 'BEGIN' || (word === 'CASE' && depth > 0)) return 1;
  return word === 'END' && depth > 0 ? -1 : 0;
}

/** SQL's comments nest. */
function endOfComment(sql: string, from: number): number {
  let depth = 1;
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from;
  for (let match = mark.exec(sql); match !== null; match = mark.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}

function endOf(sql: string, text: string, from: number): number {
  const at = sql.indexOf(text, from);
  return at < 0 ? sql.length : at + text.length;
}

function endOfEscapeString(sql: string, from: number): number {
  const string = /'(?:[^'\\]|''|\\.)*'?/gsy;
  string.lastIndex = from;
  string.exec(sql);
  return string.lastIndex;
}

const TRANSACTION = new Set(['BEGIN', 'START', 'COMMIT', 'END', 'ROLLBACK', 'ABORT', 'SAVEPOINT', 'RELEASE']);

/** Is it a TransactionStmt? */
export function isTransactionStatement(statement: SqlStatement): boolean {
  const [first = '', second] = statement.words;
  return TRANSACTION.has(first) || (first === 'PREPARE' && second === 'TRANSACTION');
}

/** Is it a COPY from or to the client? */
export function isClientCopy(statement: SqlStatement): boolean {
  return statement.words[0] === 'COPY' && (statement.words.includes('STDIN') || statement.words.includes('STDOUT'));
}

/** The verb of a statement, looked for behind parentheses and a WITH clause. */
export function mainVerb(statement: Pick<SqlStatement, 'words'>): string {
  const words = statement.words.filter((word, i, all) => word !== '(' || all.slice(0, i).some((w) => w !== '('));
  if (words[0] !== 'WITH') return words[0] ?? '';
  let depth = 0;
  for (const word of words) {
    if (word === '(') depth++;
    else if (word === ')') depth--;
    else if (depth <= 0 && ['SELECT', 'VALUES', 'TABLE', 'INSERT', 'UPDATE', 'DELETE', 'MERGE'].includes(word)) return word;
  }
  return 'SELECT';
}

/**
 * What read-only execution has to refuse, by the name that PostgreSQL calls it; null if the statement only reads. As in C, every utility command counts
 * as writing. PostgreSQL: CommandIsReadOnly and CreateCommandTag, src/backend/tcop/utility.c.
 */
export function writingCommand(statement: SqlStatement): string | null {
  const { words } = statement;
  const verb = mainVerb(statement);
  if (verb !== 'SELECT' && verb !== 'VALUES' && verb !== 'TABLE') return commandName(verb, words);
  const lock = /\bFOR (UPDATE|NO KEY UPDATE|SHARE|KEY SHARE)\b/.exec(words.join(' '));
  if (lock !== null) return `SELECT FOR ${lock[1]}`;
  if (hasTopLevelInto(words)) return 'SELECT INTO';
  return withModifies(words) ? 'SELECT' : null;
}

/** Does a WITH clause modify data? Each of its queries may have a WITH of its own. */
function withModifies(words: readonly string[]): boolean {
  for (let at = 1; at < words.length; at++) {
    if (words[at] !== '(' || !['AS', 'MATERIALIZED'].includes(words[at - 1] ?? '')) continue;
    let depth = 1;
    let end = at + 1;
    for (; end < words.length && depth > 0; end++) depth += words[end] === '(' ? 1 : words[end] === ')' ? -1 : 0;
    const inner = words.slice(at + 1, end - 1);
    if (['INSERT', 'UPDATE', 'DELETE', 'MERGE'].includes(mainVerb({ words: inner }))) return true;
  }
  return false;
}

function hasTopLevelInto(words: readonly string[]): boolean {
  let depth = 0;
  for (const word of words) {
    if (word === '(') depth++;
    else if (word === ')') depth--;
    else if (word === 'INTO' && depth === 0) return true;
  }
  return false;
}

/** Near enough to the command tag: verb and kind of object, without what stands between them. */
function commandName(verb: string, words: readonly string[]): string {
  const fixed: Record<string, string> = {
    TRUNCATE: 'TRUNCATE TABLE',
    LOCK: 'LOCK TABLE',
    REFRESH: 'REFRESH MATERIALIZED VIEW',
    DECLARE: 'DECLARE CURSOR',
  };
  if (fixed[verb] !== undefined) return fixed[verb];
  if (!['CREATE', 'ALTER', 'DROP'].includes(verb)) return verb;
  const between = new Set([
    'OR',
    'REPLACE',
    'TEMP',
    'TEMPORARY',
    'UNLOGGED',
    'GLOBAL',
    'LOCAL',
    'UNIQUE',
    'RECURSIVE',
    'TRUSTED',
    'PROCEDURAL',
    'CONSTRAINT',
  ]);
  const rest = words.slice(1).filter((word) => !between.has(word));
  const twoWords = ['MATERIALIZED', 'FOREIGN', 'EVENT', 'ACCESS', 'DEFAULT'].includes(rest[0] ?? '');
  return [verb, ...rest.slice(0, twoWords ? 2 : 1)].join(' ');
}
