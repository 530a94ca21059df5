// docs/fork-safety.md is a promise: each row of its table is whole, each test that it names exists, and its hazards are those that the recipe closes.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../helpers/index.js';

const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');
const page = read('docs/fork-safety.md');

interface Row {
  readonly number: string;
  readonly hazard: string;
  readonly remedy: string;
  readonly where: string;
  readonly tests: string;
  readonly nodes: string;
}

const section = /^## What is done\n([\s\S]*?)\n## /m.exec(`${page}\n## `)?.[1] ?? '';
const rows: Row[] = section
  .split('\n')
  .filter((line) => /^\| [A-Z]\d+ /.test(line))
  .map((line) => {
    const [number = '', hazard = '', remedy = '', where = '', tests = '', nodes = ''] = line.split('|').slice(1, -1).map((cell) => cell.trim()); // prettier-ignore
    return { number, hazard, remedy, where, tests, nodes };
  });

/** What a row has in its column of tests: files with titles in them, and commands. */
function named(tests: string): { files: { path: string; titles: string[] }[]; commands: string[] } {
  const files = [...tests.matchAll(/\[[^\]]+\]\(\.\.\/([^)]+)\)((?:,? “[^”]+”)*)/g)].map(([, path = '', titles = '']) => ({
    path,
    titles: [...titles.matchAll(/“([^”]+)”/g)].map(([, title = '']) => title),
  }));
  return { files, commands: [...tests.matchAll(/`npm run ([\w:]+)`/g)].map(([, command = '']) => command) };
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Is it the title of a test in that file? What stands for a title's %s must be in the file itself, as a value of its table. */
function isTitleIn(title: string, source: string): boolean {
  if (new RegExp(`^TEST\\(${escaped(title)}\\)`, 'm').test(source)) return true;
  const titles = [...source.matchAll(/(?:\b(?:test|it|describe)|\))\(\s*(['`])((?:(?!\1).)+)\1\s*,/g)].map(([, , text = '']) => text);
  return titles.some((text) => {
    if (!/%[sdij]/.test(text)) return text === title;
    const values = new RegExp(
      `^${text
        .split(/%[sdij]/)
        .map(escaped)
        .join('(.+)')}$`,
    ).exec(title);
    return (
      values !== null &&
      values.slice(1).every((value) => new RegExp(`(?<![\\w-])(['"]?)${escaped(value)}\\1(?![\\w-])`).test(source.replaceAll(`'${text}'`, '')))
    );
  });
}

describe('the table', () => {
  test('has rows, each with a number of its own', () => {
    expect(rows.length).toBeGreaterThan(25);
    expect(new Set(rows.map(({ number }) => number)).size).toBe(rows.length);
  });

  test.each(rows.map((row) => [row.number, row] as const))('%s is whole: hazard, remedy, place, tests that exist, lines of Node', (_number, row) => {
    expect(row.hazard.length).toBeGreaterThan(20);
    expect(row.remedy.length).toBeGreaterThan(10);
    for (const [, path = ''] of row.where.matchAll(/`((?:src|native)\/[^`]+)`/g)) expect(existsSync(join(projectRoot, path)), path).toBe(true);
    const { files, commands } = named(row.tests);
    expect(files.length).toBeGreaterThan(0);
    for (const { path, titles } of files) {
      expect(titles.length, `titles of ${path}`).toBeGreaterThan(0);
      const source = read(path);
      expect(titles.filter((title) => !isTitleIn(title, source)), path).toEqual([]); // prettier-ignore
    }
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    expect(commands.filter((command) => !(command in scripts))).toEqual([]);
    // Nothing else is in there that would only look like a test.
    expect(row.tests.replaceAll(/\[[^\]]+\]\([^)]+\)(?:,? “[^”]+”)+|`npm run [\w:]+`/g, '').replaceAll(/[; ]/g, '')).toBe('');
    expect(row.nodes).toMatch(/^(20|22|24|26)( (22|24|26))*$/);
  });

  test('a name that no test has is seen', () => {
    const source = "test('a title', () => {});\ntest.each([['one', 1]])('%s: of %d', () => {});\nTEST(in_c) {";
    for (const title of ['a title', 'one: of 1', 'in_c']) expect(isTitleIn(title, source), title).toBe(true);
    for (const title of ['a titl', 'two: of 1', 'one: of 2', 'in_cc', '%s: of %d', 'one']) expect(isTitleIn(title, source), title).toBe(false);
  });
});

describe('the recipe', () => {
  const header = read('src/launch/fork.ts').split('\nimport ')[0] ?? '';
  const steps = [...header.matchAll(/^\/\/ +(\d+) {2}((?: ?[A-Z]\d+)*) {2,}\S/gm)].map(([, step, hazards = '']) => ({
    step: Number(step),
    hazards: hazards.trim().split(/ +/).filter(Boolean),
  }));

  test('its steps are numbered in their order', () => {
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, n) => n + 1));
    expect(steps.length).toBeGreaterThan(20);
  });

  test('closes the hazards of the table, all of them and no others', () => {
    const closed = new Set(steps.flatMap(({ hazards }) => hazards));
    expect([...closed].toSorted()).toEqual(rows.map(({ number }) => number).toSorted());
  });

  test('each step that is a statement of the child’s is marked where it stands', () => {
    const body = read('src/launch/fork.ts').split('function initPostmasterChild')[1] ?? '';
    const marked = [...body.matchAll(/^ {2}\/\/ (\d+): /gm)].map(([, step]) => Number(step));
    expect(marked).toEqual([16, 17, 18, 19, 20, 21, 22]);
  });
});
