// The words of a statement, one after the other. Pure.

/** Strings, `%PID:w%` and `pg_backend_pid()` (filled in before a statement is carried out, but not before it is checked), operators of two characters, numbers, names. */
const WORD = /[eE]?'(?:[^'\\]|''|\\.)*'|%PID:[^%]+%|pg_backend_pid\(\)|:=|::|\.\.|\|\||<>|!=|<=|>=|\d+(?:\.\d+)?|\w+|\S/gs;

export class Words {
  readonly #words: readonly string[];
  readonly #offsets: readonly number[];
  #next = 0;

  constructor(source: string) {
    const matches = [...source.matchAll(WORD)];
    this.#words = matches.map(([word]) => word);
    this.#offsets = matches.map(({ index }) => index);
  }

  /** Of the word that was taken last, from 1, as errors count. */
  get position(): number {
    return (this.#offsets[this.#next - 1] ?? 0) + 1;
  }

  /** The next one in capitals; nothing at the end. */
  next(): string | undefined {
    return this.#words[this.#next]?.toUpperCase();
  }

  take(): string {
    const word = this.#words[this.#next];
    if (word === undefined) throw this.trouble();
    this.#next++;
    return word;
  }

  accept(word: string): boolean {
    if (this.next() !== word) return false;
    this.#next++;
    return true;
  }

  expect(word: string): void {
    if (!this.accept(word)) throw this.trouble();
  }

  /** Of a variable, or an alias. */
  name(): string {
    const word = this.take();
    if (!/^[a-z_]\w*$/i.test(word)) throw this.trouble(-1);
    return word;
  }

  end(): void {
    this.accept(';');
    if (this.next() !== undefined) throw this.trouble();
  }

  /** `offset` -1: the word that was taken last is the wrong one. */
  trouble(offset = 0): Error {
    return new Error(`unrecognized SQL near "${this.#words[this.#next + offset] ?? 'the end'}"`);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' };

/** The string that a literal stands for, or null for another word. */
export function stringOf(word: string): string | null {
  const [, escape, body] = /^([eE]?)'(.*)'$/s.exec(word) ?? [];
  if (body === undefined) return null;
  const plain = body.replaceAll("''", "'");
  return escape === '' ? plain : plain.replaceAll(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)/gs, (_, char: string) => unescape(char));
}

function unescape(char: string): string {
  if (/^x./.test(char)) return String.fromCharCode(Number.parseInt(char.slice(1), 16));
  return /^[0-7]/.test(char) ? String.fromCharCode(Number.parseInt(char, 8)) : (ESCAPES[char] ?? char);
}
