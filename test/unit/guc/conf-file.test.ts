// The syntax of a configuration file. The expectations were read off PostgreSQL 15.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deescapeQuotedString, parseConfigFile } from '../../../src/guc/conf-file.js';

const items = (text: string) => {
  const parsed = parseConfigFile(text, 'f');
  expect(parsed.errors).toStrictEqual([]);
  return parsed.items.map(({ name, value }) => [name, value]);
};
const messages = (text: string) => parseConfigFile(text, 'f').errors.map((error) => error.message);

describe('lines', () => {
  const good: [string, string[][]][] = [
    ['', []],
    ['\n\n  \t\r\n# only a comment', []],
    ['a = 1', [['a', '1']]],
    ['a=1\nb 2\n', [['a', '1'], ['b', '2']]], // prettier-ignore
    ["  a   =   'x y'   # why\r\n", [['a', 'x y']]],
    ['a on', [['a', 'on']]],
    ['a.b = 4kB', [['a.b', '4kB']]],
    ['a = -1.5e-3', [['a', '-1.5e-3']]],
    ['a = 0x1F', [['a', '0x1F']]],
    ['path = rel/dir-1.2:3', [['path', 'rel/dir-1.2:3']]],
    ["a = ''", [['a', '']]],
    ["a = 'it''s'", [['a', "it's"]]],
    ["a'x'", [['a', 'x']]],
    ['größe = ä', [['größe', 'ä']]],
    ["a = '#no comment'#comment", [['a', '#no comment']]],
    ['a=1\na=2', [['a', '1'], ['a', '2']]], // prettier-ignore
  ];
  test.each(good)('%j', (text, expected) => expect(items(text)).toStrictEqual(expected));

  test('each item knows its line', () => expect(parseConfigFile('#\na = 1\n\nb = 2', 'f').items.map(({ line }) => line)).toStrictEqual([2, 4]));
});

describe('errors', () => {
  const bad: [string, string][] = [
    ['log_min_messages = = 3\n', 'line 1, near token "="'],
    ['port\n', 'line 1, near end of line'],
    ['x = 3 4 # f\n', 'line 1, near token "4"'],
    ['work_mem "3"\n', 'line 1, near token """'],
    ['\n= 3\n', 'line 2, near token "="'],
    ["a = 'unterminated\n", `line 1, near token "'"`],
    ['1foo.x = 3\n', 'line 1, near token "1foo"'],
    ['a.b.c = 4\n', 'line 1, near token "a.b.c"'],
    ['foo-bar = 4\n', 'line 1, near token "foo-bar"'],
    ['a = x.y\n', 'line 1, near token "x.y"'],
    ['a = /x\n', 'line 1, near token "/"'],
    ['a = $x\n', 'line 1, near token "$"'],
    ['ok = 1\nport', 'line 2, near end of line'],
    ['ok = 1\nport =', 'line 2, near end of line'],
  ];
  test.each(bad)('%j', (text, where) => expect(messages(text)).toStrictEqual([`syntax error in file "f" ${where}`]));

  test('every line with an error is reported, and the good ones between are read', () => {
    const parsed = parseConfigFile('a b c\nd = 1\n= \nport\n', '/etc/x.conf');
    expect(parsed.errors).toStrictEqual([
      { code: '42601', message: 'syntax error in file "/etc/x.conf" line 1, near token "c"' },
      { code: '42601', message: 'syntax error in file "/etc/x.conf" line 3, near token "="' },
      { code: '42601', message: 'syntax error in file "/etc/x.conf" line 4, near end of line' },
    ]);
    expect(parsed.items).toStrictEqual([{ name: 'd', value: '1', line: 2 }]);
  });

  test('after a hundred errors the file is given up', () => {
    const { errors } = parseConfigFile('=\n'.repeat(500), 'f');
    expect(errors).toHaveLength(101);
    expect(errors.at(-1)).toStrictEqual({ code: '54000', message: 'too many syntax errors found, abandoning file "f"' });
  });
});

describe('deescapeQuotedString', () => {
  const cases: [string, string][] = [
    ["''", ''],
    ["'a'", 'a'],
    ["''''", "'"],
    [String.raw`'it\'s'`, "it's"],
    [String.raw`'\b\f\n\r\t'`, '\b\f\n\r\t'],
    [String.raw`'\101\60\7x'`, 'A0\u0007x'],
    [String.raw`'\1015'`, 'A5'],
    [String.raw`'\303\251'`, 'é'],
    [String.raw`'a\\b\q'`, String.raw`a\bq`],
    ["'grüße 😀'", 'grüße 😀'],
  ];
  test.each(cases)('%s', (quoted, plain) => expect(deescapeQuotedString(quoted)).toBe(plain));

  test('whatever is quoted comes back', () =>
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const text = Buffer.from(value).toString().replaceAll('\n', ' ');
        const quoted = `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
        expect(parseConfigFile(`a = ${quoted}`, 'f')).toStrictEqual({ items: [{ name: 'a', value: text, line: 1 }], errors: [] });
      }),
    ));
});

test('no text makes the parser throw or hang', () =>
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '1', '.', '=', '#', "'", '"', '\\', '\n', '\r', ' ', '-', 'ä', '\u2028', 'x', '0') }),
      (text) => {
        const { items: found, errors } = parseConfigFile(text, 'f');
        expect(found.length + errors.length).toBeLessThanOrEqual(text.split('\n').length + 1);
      },
    ),
  ));
