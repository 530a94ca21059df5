// What the judge makes of its files and of several runs: readable errors, honest counts, a document that cannot drift.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { documentText, exceptionsText, HEAD } from '../../conformance/document.js';
import { problemsOf } from '../../conformance/language.js';
import { parseOptions } from '../../conformance/options.js';
import { isWorthAnotherTry } from '../../conformance/lateness.js';
import { disagreements, repeatText } from '../../conformance/repeat.js';
import { summaryText } from '../../conformance/report.js';
import type { Result, Verdict } from '../../conformance/runner.js';
import { readScenarioFile } from '../../conformance/scenario-files.js';
import { projectRoot } from '../../helpers/paths.js';
import { makeTempDir, removeTempDir } from '../../helpers/temp-dir.js';
import { scenarioWith } from './scenarios.js';

function withFile<T>(content: string, use: (file: string) => T): T {
  const dir = makeTempDir('judge');
  try {
    const file = join(dir, 'some.json');
    writeFileSync(file, content);
    return use(file);
  } finally {
    removeTempDir(dir);
  }
}

const result = (id: string, verdict: Verdict, discarded: Result['discarded'] = []): Result => ({
  id,
  group: 'g',
  verdict,
  seconds: 1,
  reasons: [],
  lateMs: 0,
  starvedMs: 0,
  discarded,
  slowestLook: null,
  unchecked: [],
});

test.each([
  ['{', /could not read ".*some\.json"/],
  ['{}', /".*some\.json" is no list of scenarios/],
  ['[{"id":"a"}]', /".*some\.json": scenario "a" is none: its field "group" is missing/],
  ['[1]', /scenario number 1 is none: it is no object/],
])('a file that is not of the format: %s', (content, message) => {
  withFile(content, (file) => expect(() => readScenarioFile(file)).toThrow(message));
});

test('two scenarios of one name, and one whose steps are no steps', () => {
  const one = scenarioWith({ id: 'twice' });
  withFile(JSON.stringify([one, one]), (file) => expect(() => readScenarioFile(file)).toThrow(/has two scenarios "twice"/));
  const wrong = { ...one, setup: { steps: ['open'] } };
  withFile(JSON.stringify([wrong]), (file) => expect(() => readScenarioFile(file)).toThrow(/its field "setup" is not what it must be/));
});

test('words that the language does not have are named with their step', () => {
  const steps = [{ op: 'reg', w: 'w', script: 'U;J5' }, { op: 'fly' }, { op: 'status' }, { op: 'kill', who: 'w', sig: 'TERM', hard: true }];
  expect(problemsOf(scenarioWith({ setup: { steps } }))).toEqual([
    'step 1 (reg): unrecognized script command "J5"',
    'step 2 (fly): unrecognized operation "fly"',
    'step 3 (status): field "w" is missing',
    'step 4 (kill): unrecognized field "hard"',
  ]);
});

test('runs that do not agree are named, with the verdict in each', () => {
  const runs = [
    [result('a', 'passed'), result('b', 'passed')],
    [result('a', 'passed'), result('b', 'failed')],
  ];
  expect(disagreements(runs)).toEqual(['b: passed, failed']);
  expect(repeatText(runs, [1, 2])).toContain('NOT THE SAME:\nb: passed, failed');
  expect(disagreements([runs[0] ?? [], []])).toEqual(['a: passed', 'b: passed']);
});

test.each([
  ['passed', 1000, 1000, false],
  ['failed', 24, 0, false],
  ['failed', 0, 24, false],
  ['failed', 25, 0, true],
  ['failed', 0, 25, true],
  ['failed', 13, 11, false],
  ['failed', 13, 12, true],
  ['not applicable', 1000, 1000, false],
] as const)('a scenario that %s, the judge %i ms late, a process starved for %i ms: tried again? %s', (verdict, lateMs, starvedMs, again) => {
  expect(isWorthAnotherTry({ verdict, lateMs, starvedMs })).toBe(again);
});

test('tries that did not count are counted, and what had differed is shown', () => {
  const text = summaryText([result('a', 'passed', [{ lateMs: 70, starvedMs: 0, reasons: ['- one line', '+ another'] }])]);
  expect(text).toContain(
    'tries that did not count, as the judge was late or a process had no processor: 1\na, try 1: the judge was 70 ms late, a process had no processor for 0 ms, and\n        - one line\n',
  );
});

test('the document says of how many runs it is, and whether they agreed', () => {
  const date = new Date('2026-11-23T08:00:00Z');
  const node = 'v20.20.2';
  const late = { lateMs: 70, starvedMs: 0, reasons: [] };
  const runs = [[result('a', 'passed')], [result('a', 'passed', [late])], [result('a', 'passed')]];
  const first = (list: Result[][], busy: boolean): string | undefined => /## The table\n\n(.*)/.exec(documentText(list, { date, node, busy }))?.[1];
  expect(first(runs, true)).toBe('2026-11-23, Node 20.20.2. 3 runs, every processor busy, the same verdict each time. Tries that did not count: 1.');
  expect(first(runs.slice(0, 1), false)).toBe('2026-11-23, Node 20.20.2. 1 run. Tries that did not count: 0.');
  expect(first([...runs, [result('a', 'failed')]], false)).toContain('4 runs, NOT the same verdict each time (a: passed, passed, passed, failed).');
});

test('the summary names the look that had to be repeated for longest, and on a quiet machine each one above a second', () => {
  const slow = (id: string, ms: number): Result => ({ ...result(id, 'passed'), slowestLook: { what: 's1: status w ->', ms } });
  const results = [slow('a', 1100), slow('b', 1500), slow('c', 900), result('d', 'passed')];
  const notes = (text: string): string[] => text.split('\n').filter((line) => line.includes(' ms, '));
  expect(notes(summaryText(results))).toEqual([
    '  the longest wait until a look was the recorded one: 1500 ms, b, "s1: status w ->"',
    '  longer than 1000 ms, too: 1100 ms, a, "s1: status w ->"',
  ]);
  expect(notes(summaryText(results, { busy: true }))).toHaveLength(1);
  expect(summaryText([result('d', 'passed')])).not.toContain('notes:');
});

test('the summary names each text whose SQLSTATE nobody has checked, once', () => {
  const unchecked = ['SQLSTATE 42P07 was not checked: ERROR:  relation "t" already exists'];
  const text = summaryText(['a', 'b'].map((id) => ({ ...result(id, 'passed'), unchecked })));
  expect(text.split(unchecked[0] as string)).toHaveLength(2);
});

test('the command line: numbers of at least 1', () => {
  expect(parseOptions(['--repeat', '10', '--busy', '--tries', '1'])).toMatchObject({ repeat: 10, busy: true, tries: 1, jobs: 4 });
  expect(() => parseOptions(['--repeat', '0'])).toThrow('--repeat must be a number of at least 1, not "0"');
});

test('docs/conformance.md has the lists that the judge goes by', () => {
  const squeeze = (text: string): string => text.replaceAll(/[ -]+/g, ' ');
  const written = squeeze(readFileSync(join(projectRoot, 'docs/conformance.md'), 'utf8'));
  expect(written).toContain(squeeze(exceptionsText()));
  expect(written).toContain(squeeze(HEAD));
});
