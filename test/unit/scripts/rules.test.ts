// Every rule has a test of its name, or a reason why there is none; see scripts/rules.mjs.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../helpers/paths.js';
import { recorded } from '../conformance/scenarios.js';
// @ts-expect-error a script, without types
import * as script from '../../../scripts/rules.mjs';

interface Rule {
  readonly id: string;
  readonly says: string;
  readonly why: string;
}
type Tests = ReadonlyMap<string, ReadonlySet<string>>;

const { problemsOf, readRules, rulesIn, testsByRule, titlesOf, withoutOvertaken } = script as unknown as {
  problemsOf: (rules: readonly Rule[], tests: Tests, scenarios: ReadonlySet<string>) => string[];
  readRules: (page: string) => Rule[];
  rulesIn: (text: string, ids: readonly string[]) => Set<string>;
  testsByRule: (root: string, ids: readonly string[]) => Tests;
  titlesOf: (source: string) => string[];
  withoutOvertaken: (page: string, tests: Tests) => string;
};

test('every rule of docs/rules.md has a test of its name, or a reason why there is none; every title names a rule that is there', () => {
  const rules = readRules(readFileSync(join(projectRoot, 'docs/rules.md'), 'utf8'));
  expect(rules.length).toBeGreaterThan(250);
  expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
  const tests = testsByRule(
    projectRoot,
    rules.map(({ id }) => id),
  );
  expect(problemsOf(rules, tests, new Set(recorded.map(({ id }) => id)))).toEqual([]);
});

describe('what the script reads', () => {
  const page = '| R-01 | one |  |\n| R-02 | two | nobody can |\n| R-03 | three | scenario `a.b` |\n';
  const rules = readRules(page);
  const tests = (...ids: string[]): Tests => new Map(ids.map((id) => [id, new Set(['x.test.ts'])]));

  test('rules', () => expect(rules[1]).toEqual({ id: 'R-02', says: 'two', why: 'nobody can' }));

  test('titles, of `each` the rows too, and nothing of what a test does', () => {
    const call = ['te', 'st'].join('');
    const source = `${call}('S-01: x', () => { f('S-02') });\n${call}.each([['S-03'], [2]])('%s', (a) => g('S-04'));\n${call}("S-05", async () => {});`;
    expect([...rulesIn(titlesOf(source).join('\n'), [])]).toEqual(['S-01', 'S-03', 'S-05']);
  });

  test('a range is all rules from the one to the other, by the order of the page', () =>
    expect([...rulesIn('R-01 … R-03, X-29a', ['R-01', 'R-02', 'R-03'])]).toEqual(['R-01', 'R-02', 'R-03', 'X-29a']));

  test('what is wrong', () => {
    expect(problemsOf(rules, tests('R-01'), new Set(['a.b']))).toEqual([]);
    expect(problemsOf(rules, tests('R-09'), new Set())).toEqual([
      'docs/rules.md: R-01 has neither a test of its name nor a reason',
      'x.test.ts: a test names R-09, which docs/rules.md does not have',
      'docs/rules.md: R-03 names scenario a.b, which does not exist',
    ]);
  });

  test('a reason that a test has overtaken is taken off, and the table stays straight', () => {
    expect(withoutOvertaken(page, tests('R-02'))).toBe(page.replace('nobody can', '          '));
  });

  test('a note of what differs is no reason, and stays', () => {
    const noted = page.replace('nobody can', 'differs: ours');
    expect(withoutOvertaken(noted, tests('R-02'))).toBe(noted);
  });
});
