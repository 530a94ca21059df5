// What a `sql` step asks for. Plain SQL goes to the database behind us; the functions of the scenarios' C module (`bgwo_…`) and what PostgreSQL knows
// of its own processes are ours to answer. Pure: this file only reads a statement; the runner and the worker library carry it out.
//
// Of the calls from SQL it understands what scenarios are written in: SELECT of calls, and DO blocks of assignments, PERFORM and RAISE NOTICE, one after the other.

export type Expression =
  | { readonly kind: 'value'; readonly value: string | number | null }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

export type Statement =
  | { readonly kind: 'assign'; readonly variable: string; readonly value: Expression }
  | { readonly kind: 'perform'; readonly value: Expression }
  | { readonly kind: 'notice'; readonly format: string; readonly args: readonly Expression[] };

export type Sql =
  /** For the database; a statement that mentions pg_stat_activity gets ours in its place. */
  | { readonly kind: 'plain'; readonly activity: boolean }
  /** Calls, one column each. */
  | { readonly kind: 'select'; readonly columns: readonly Expression[] }
  | { readonly kind: 'do'; readonly statements: readonly Statement[] }
  /** Several statements, one after the other. */
  | { readonly kind: 'sequence'; readonly statements: readonly string[] }
  /** One call for each process that a query on pg_stat_activity finds: `pids` is that query. */
  | { readonly kind: 'each'; readonly function: string; readonly pids: string };

/** Every function that is not the database's, with the number of its arguments. */
const FUNCTIONS: Readonly<Record<string, number>> = {
  bgwo_reg: 1,
  bgwo_status: 1,
  bgwo_wait_startup: 1,
  bgwo_wait_shutdown: 1,
  bgwo_terminate: 1,
  bgwo_crash: 1,
  bgwo_type_by_pid: 1,
  pg_terminate_backend: 1,
  pg_cancel_backend: 1,
  pg_sleep: 1,
};
const OURS = /\b(?:bgwo_\w+|pg_terminate_backend|pg_cancel_backend)\b/;

/** @throws Error for a call of ours in a form that is not understood. */
export function parseSql(sql: string): Sql {
  const activity = /\bpg_stat_activity\b/.test(sql);
  if (!OURS.test(sql)) return { kind: 'plain', activity };
  const statements = splitStatements(sql);
  if (statements.length > 1) {
    for (const statement of statements) parseSql(statement);
    return { kind: 'sequence', statements };
  }
  const [, body] = /^\s*DO\s+(?:\$(\w*)\$)(?:.*)\$\1\$\s*;?\s*$/s.test(sql) ? (/\$\w*\$(.*)\$\w*\$/s.exec(sql) ?? []) : [];
  if (body !== undefined) return { kind: 'do', statements: new Reader(body).block() };
  const [, each, from] = /^\s*SELECT\s+(\w+)\(pid\)\s+(FROM\s+pg_stat_activity\b.*?);?\s*$/is.exec(sql) ?? [];
  if (each !== undefined && FUNCTIONS[each] !== undefined) return { kind: 'each', function: each, pids: `SELECT pid ${from}` };
  return { kind: 'select', columns: new Reader(sql).select() };
}

/** By semicolons that are not inside of quotes. */
function splitStatements(sql: string): string[] {
  const parts = sql.match(/(?:[^;'$]|'(?:[^'\\]|''|\\.)*'|\$(\w*)\$.*?\$\1\$|\$)+/gs) ?? [];
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

/** Reads a statement word by word. `%PID:w%` is a word too: it is filled in before a statement is carried out, but not before it is checked. */
class Reader {
  readonly #words: readonly string[];
  #next = 0;

  constructor(source: string) {
    const words = source.match(/[eE]?'(?:[^'\\]|''|\\.)*'|%PID:[^%]+%|:=|-?\d+(?:\.\d+)?|\w+|\S/gs) ?? [];
    this.#words = words;
  }

  select(): Expression[] {
    this.#expect('SELECT');
    const columns = this.#list();
    this.#accept(';');
    if (this.#word() !== undefined) throw this.#trouble();
    return columns;
  }

  /** `[DECLARE …] BEGIN …; END`. What is declared does not matter: every variable is what was assigned to it. */
  block(): Statement[] {
    while (this.#word() !== undefined && this.#word()?.toUpperCase() !== 'BEGIN') this.#next++;
    this.#expect('BEGIN');
    const statements: Statement[] = [];
    while (this.#word() !== undefined && !this.#accept('END')) {
      statements.push(this.#statement());
      this.#expect(';');
    }
    return statements;
  }

  #statement(): Statement {
    if (this.#accept('PERFORM')) return { kind: 'perform', value: this.#expression() };
    if (this.#accept('RAISE')) {
      this.#expect('NOTICE');
      const format = stringOf(this.#take());
      if (format === null) throw this.#trouble(-1);
      return { kind: 'notice', format, args: this.#accept(',') ? this.#list() : [] };
    }
    const variable = this.#take();
    this.#expect(':=');
    return { kind: 'assign', variable, value: this.#expression() };
  }

  #list(): Expression[] {
    const expressions = [this.#expression()];
    while (this.#accept(',')) expressions.push(this.#expression());
    return expressions;
  }

  #expression(): Expression {
    const word = this.#take();
    const text = stringOf(word);
    if (text !== null) return { kind: 'value', value: text };
    if (/^-?\d/.test(word)) return { kind: 'value', value: Number(word) };
    if (word.toUpperCase() === 'NULL') return { kind: 'value', value: null };
    if (word.startsWith('%PID:')) return { kind: 'value', value: word };
    if (!/^\w+$/.test(word)) throw this.#trouble(-1);
    if (!this.#accept('(')) return { kind: 'variable', name: word };
    const args = this.#accept(')') ? [] : this.#list();
    if (args.length > 0) this.#expect(')');
    if (FUNCTIONS[word] !== args.length) throw new Error(`unrecognized call of "${word}" in SQL`);
    return { kind: 'call', name: word, args };
  }

  #word(): string | undefined {
    return this.#words[this.#next];
  }

  #take(): string {
    const word = this.#word();
    if (word === undefined) throw this.#trouble();
    this.#next++;
    return word;
  }

  #accept(word: string): boolean {
    if (this.#word()?.toUpperCase() !== word) return false;
    this.#next++;
    return true;
  }

  #expect(word: string): void {
    if (!this.#accept(word)) throw this.#trouble();
  }

  #trouble(offset = 0): Error {
    return new Error(`unrecognized SQL near "${this.#words[this.#next + offset] ?? 'the end'}"`);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' };

/** The string that a literal stands for, or null for another word. */
function stringOf(word: string): string | null {
  const [, escape, body] = /^([eE]?)'(.*)'$/s.exec(word) ?? [];
  if (body === undefined) return null;
  const plain = body.replaceAll("''", "'");
  return escape === '' ? plain : plain.replaceAll(/\\(.)/gs, (_, char: string) => ESCAPES[char] ?? char);
}

/** Does the statement need a database, or only ourselves? */
export function needsDatabase(sql: string): boolean {
  const parsed = parseSql(sql);
  if (parsed.kind === 'sequence') return parsed.statements.some(needsDatabase);
  return parsed.kind === 'plain' || parsed.kind === 'each';
}
