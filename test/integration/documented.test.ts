// The examples of docs/spi.md and of the database's part of docs/api.md, each run by a worker on a real database, as they stand there; those in TypeScript also go
// through its compiler.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../helpers/paths.js';
import { type Postmaster, fixture, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { sharedDatabaseServer } from './database-support.js';
import { openSession, register, said, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('documented.mjs');
const server = sharedDatabaseServer();

interface Example {
  readonly section: string;
  readonly language: string;
  readonly code: string;
}

/** Blocks of code, with the heading that they stand under. */
function examplesOf(page: string, from = ''): Example[] {
  const text = readFileSync(join(projectRoot, 'docs', page), 'utf8');
  let section = '';
  const examples: Example[] = [];
  for (const [, heading, language, code] of text.matchAll(/^#{2,3} (.*)$|^```(js|ts)\n([\s\S]*?)^```$/gm)) {
    if (heading !== undefined) section = heading;
    else if (language !== undefined && code !== undefined) examples.push({ section, language, code });
  }
  return examples.filter((example) => from === '' || example.section === from);
}

/** How an example is run: what is around it, how often, what is asked of its names afterwards, and what has to come of it. */
interface Run {
  readonly around: 'nothing' | 'connection' | 'transaction';
  readonly times?: number;
  readonly then?: string;
  readonly result?: unknown;
  readonly handled?: readonly string[];
  /** In the database. */
  readonly left?: readonly [query: string, rows: unknown[][]];
  /** Said to the channel that it listens to, until it has heard. */
  readonly notify?: string;
}

const SPI_RUNS: Readonly<Record<string, readonly Run[]>> = {
  Transactions: [
    { around: 'connection', left: ['SELECT a FROM t', [[2]]] },
    { around: 'transaction', times: 2, left: ['SELECT * FROM seen', [[7]]] },
  ],
  Rows: [
    {
      around: 'transaction',
      then: 'return latest.toISOString()',
      result: '2026-01-03T00:00:00.000Z',
      handled: ['2', '3', '4', '5', '5', '5', '5', '4'],
    },
  ],
  Plans: [{ around: 'transaction', then: 'return [await price(1), await price(1)]', result: ['9.99', '9.99'] }],
  Cursors: [{ around: 'transaction', then: 'return rows.length', result: 100, handled: Array.from({ length: 1200 }, () => '[object Object]') }],
  COPY: [{ around: 'transaction', then: 'return processed', result: 1200, left: ['SELECT count(*)::int FROM events', [[2400]]] }],
  'LISTEN and NOTIFY': [{ around: 'connection', notify: 'jobs', result: 'a job' }],
  'Seen from outside': [{ around: 'connection' }],
};
const API_RUNS: readonly Run[] = [{ around: 'nothing' }, { around: 'nothing' }, { around: 'nothing', notify: 'jobs' }];

const SETUP = [
  'CREATE TABLE t (a int)',
  'INSERT INTO t VALUES (1)',
  'CREATE TABLE seen (id int PRIMARY KEY)',
  'CREATE TABLE items (id int, price numeric)',
  'INSERT INTO items VALUES (1, 9.99)',
  'CREATE TABLE events (id bigint, kind text, at timestamptz)',
  `INSERT INTO events VALUES (1, 'order', '2026-01-01Z'), (2, 'visit', '2026-01-02Z'), (3, 'order', '2026-01-03Z'), (4, 'call', '2026-01-04Z')`,
];
/** After the example of rows: as many as it takes to see pieces. */
const MANY = `INSERT INTO events SELECT i, 'more', now() FROM generate_series(5, 1200) i`;

let count = 0;
async function runExample(pm: Postmaster, example: Example, run: Run): Promise<void> {
  const session = await openSession(pm);
  const dir = tempDir('doc');
  const file = join(dir, 'example.json');
  const compiled = ts.transpileModule(example.code, { compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext } }).outputText;
  const { around, times = 1, then = '' } = run;
  writeFileSync(file, JSON.stringify({ code: compiled.replace(/^export \{\};$/m, ''), around, times, then, dir }));
  const name = `example-${++count}`;
  const handle = await register(session, worker('runsExample', { name, extra: file, flags: 3, libraryName: LIBRARY }));
  if (run.notify !== undefined) {
    const heard = async (): Promise<boolean> => {
      await server.sql(`NOTIFY ${run.notify}, 'a job'`);
      return said(pm, name, 'ran').length > 0 || pm.log().includes('LOG:  job a job');
    };
    await waitUntil(heard, { what: () => `the example to hear; the log:\n${pm.log()}`, pauseMs: 50 });
    // This one goes on for ever.
    if (around === 'nothing') await session.terminateBackgroundWorker(handle);
  }
  if (around === 'nothing' && run.notify !== undefined) return;
  const { data } = await waitForSaid(pm, name, 'ran');
  expect(data).toEqual({ result: run.result ?? null, handled: run.handled ?? [] });
  if (run.left !== undefined) expect(await server.sql(run.left[0])).toEqual(run.left[1]);
}

const attached = (body: (pm: Postmaster) => Promise<void>): Promise<void> =>
  withPostmaster({ preload: [LIBRARY], settings: { database: `host=${server.dataDir}/pgsocket user=postgres dbname=postgres` } }, body);

beforeAll(async () => {
  for (const statement of SETUP) await server.sql(statement);
});

describe('docs/spi.md', () => {
  const examples = examplesOf('spi.md');

  test('every example does what it says', () =>
    attached(async (pm) => {
      const runs = Object.entries(SPI_RUNS).flatMap(([section, all]) => all.map((run) => ({ section, run })));
      expect(examples.map(({ section }) => section)).toEqual(runs.map(({ section }) => section));
      for (const [i, example] of examples.entries()) {
        if (example.section === 'Cursors') await server.sql(MANY);
        await runExample(pm, example, runs[i]!.run);
      }
    }));

  test('what is written in TypeScript is, and its rows have the types that it says', () => {
    const typed = examples.filter(({ language }) => language === 'ts');
    expect(typed).not.toEqual([]);
    for (const { code } of typed) {
      expect(complaints(code)).toEqual([]);
      // The types are looked at: a column that is none, and one of another type.
      expect(complaints(`${code}\nrows[0]?.nope;`)).toEqual([`Property 'nope' does not exist on type 'Event'.`]);
      expect(complaints(`${code}\nconst wrong: string | undefined = rows[0]?.id; handle(wrong);`)).toHaveLength(1);
    }
  });
});

test('the examples in the database’s part of docs/api.md do what they say', () =>
  attached(async (pm) => {
    const examples = examplesOf('api.md', 'Database');
    expect(examples).toHaveLength(API_RUNS.length);
    for (const [i, example] of examples.entries()) await runExample(pm, example, API_RUNS[i]!);
    expect(pm.log()).toMatch(/LOG: {2}\d+ tables in database [1-9]\d*\n/);
    expect(pm.log()).toContain('LOG:  42\n');
  }));

/** What the compiler has to say about an example, with the package's own types. */
function complaints(code: string): string[] {
  const file = join(projectRoot, 'test', 'documented-example.ts');
  const names = [...new Set(code.match(/\b(?:spi\w+|[A-Z0-9]+OID)\b/g))];
  const text = `import { ${names.join(', ')} } from 'bgworker';\ndeclare function handle(value: unknown): void;\n${code}\nexport {};\n`;
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
    noEmit: true,
  };
  const host = ts.createCompilerHost(options);
  const [fileExists, getSourceFile] = [host.fileExists.bind(host), host.getSourceFile.bind(host)];
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, languageVersion, ...more) =>
    name === file ? ts.createSourceFile(name, text, languageVersion) : getSourceFile(name, languageVersion, ...more);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
}
