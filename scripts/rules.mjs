// Which test holds which rule of PostgreSQL's? The rules are in docs/rules.md, the tests say theirs in their titles; this prints the table of both.
// With `--check` only what is wrong: a rule that has neither a test nor a reason, a title that names no rule. `--write` takes reasons that a test has overtaken
// off the page; what begins with `differs: ` is none, but says how far the test can go, and stays.
// Run by `npm test` (test/unit/scripts/rules.test.ts) and by hand: node scripts/rules.mjs
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROW = /^\| (?<id>[A-Z]-\d+[a-z]?) +\| (?<says>.*?) +\| (?<why>.*?) *\|$/;

/** The rules in the order of the page: what each says, and why it has no test ('' = it has one). */
export function readRules(page) {
  return page
    .split('\n')
    .map((line) => ROW.exec(line)?.groups)
    .filter((row) => row !== undefined)
    .map(({ id, says, why }) => ({ id, says, why }));
}

/** Titles of tests and of groups of tests; of `each`, the rows as well, since a title may be one of their cells. */
export function titlesOf(source) {
  const titles = [];
  for (const call of source.matchAll(/\b(?:it|test|describe)(?:\.(?:only|skip|each|for|runIf|skipIf|concurrent|sequential))*\(/g)) {
    let at = call.index + call[0].length;
    let text = argument(source, at);
    at += text.length + 1;
    // each(rows)(title, …): the rows first, then the title.
    if (/each|for|[Ii]f/.test(call[0]) && source[at] === '(') text += ` ${argument(source, at + 1)}`;
    titles.push(text);
  }
  return titles;
}

/** What stands between the opening parenthesis and the function that a test is, or the closing one. */
function argument(source, from) {
  let depth = 0;
  let quote = '';
  for (let at = from; at < source.length; at++) {
    const char = source[at];
    if (quote !== '') {
      if (char === '\\') at++;
      else if (char === quote) quote = '';
    } else if (char === "'" || char === '"' || char === '`') quote = char;
    else if (char === '(' || char === '[' || char === '{') depth++;
    else if ((char === ')' || char === ']' || char === '}') && depth-- === 0) return source.slice(from, at);
    else if (depth === 0 && /^(?:async\b|function\b|=>)/.test(source.slice(at, at + 9))) return source.slice(from, at);
  }
  return source.slice(from);
}

/** The rules that a text names; `S-10 … S-14` and `S-10 to S-14` are all from the one to the other, in the order of the page. */
export function rulesIn(text, ids) {
  const found = new Set();
  const range = /\b([A-Z]-\d+[a-z]?)\s*(?:…|\.\.\.?|to)\s*([A-Z]-\d+[a-z]?)\b/g;
  for (const [, first, last] of text.matchAll(range)) {
    const [from, to] = [ids.indexOf(first), ids.indexOf(last)];
    if (from >= 0 && to >= from) ids.slice(from, to + 1).forEach((id) => found.add(id));
  }
  for (const [id] of text.matchAll(/\b[RPSXTHCDLMOW]-\d\d[a-z]?\b/g)) found.add(id);
  return found;
}

/** Rule → the files with a test of that name. */
export function testsByRule(root, ids) {
  const tests = new Map();
  const names = readdirSync(join(root, 'test'), { recursive: true }).filter((name) => name.endsWith('.test.ts'));
  for (const name of names.map(String).toSorted((a, b) => a.localeCompare(b))) {
    const file = relative(root, join(root, 'test', name));
    for (const title of titlesOf(readFileSync(join(root, file), 'utf8')))
      for (const id of rulesIn(title, ids)) tests.set(id, new Set([...(tests.get(id) ?? []), file]));
  }
  return tests;
}

/** `scenarios`: the ids that a reason may name. A reason that a test has overtaken is none of these: `--write` takes it off the page. */
export function problemsOf(rules, tests, scenarios) {
  const ids = new Set(rules.map(({ id }) => id));
  const unknown = [...tests].filter(([id]) => !ids.has(id));
  const without = rules.filter(({ id, why }) => !tests.has(id) && why === '');
  const named = rules.flatMap(({ id, why }) => [...why.matchAll(/scenario `([^`]*)`/g)].map((match) => ({ id, scenario: match[1] })));
  return [
    ...without.map(({ id }) => `docs/rules.md: ${id} has neither a test of its name nor a reason`),
    ...unknown.map(([id, files]) => `${[...files].join(', ')}: a test names ${id}, which docs/rules.md does not have`),
    ...named
      .filter(({ scenario }) => !scenarios.has(scenario))
      .map(({ id, scenario }) => `docs/rules.md: ${id} names scenario ${scenario}, which does not exist`),
  ];
}

/** The page without the reasons of rules that have a test now. */
export function withoutOvertaken(page, tests) {
  return page.replace(new RegExp(ROW, 'gm'), (row, id, says, why) =>
    why !== '' && !why.startsWith('differs: ') && tests.has(id) ? row.replace(` ${why} `, ' '.repeat(why.length + 2)) : row,
  );
}

function main() {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..');
  const page = join(root, 'docs/rules.md');
  const rules = readRules(existsSync(page) ? readFileSync(page, 'utf8') : '');
  const tests = testsByRule(
    root,
    rules.map(({ id }) => id),
  );
  const scenarios = JSON.parse(readFileSync(join(root, 'test/conformance/scenarios.json'), 'utf8'));
  const problems = problemsOf(rules, tests, new Set(scenarios.map(({ id }) => id)));
  if (process.argv.includes('--write')) writeFileSync(page, withoutOvertaken(readFileSync(page, 'utf8'), tests));
  if (!process.argv.includes('--check'))
    for (const { id, says, why } of rules)
      process.stdout.write(
        `${id.padEnd(6)} ${says}\n       ${[...(tests.get(id) ?? [`no test: ${why}`])].join(', ')}${tests.has(id) && why !== '' ? ` (${why})` : ''}\n`,
      );
  for (const line of problems) process.stderr.write(`${line}\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
