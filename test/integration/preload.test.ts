// shared_preload_libraries: what is loaded, and what keeps a server from starting. Contract R-34, 7.4.
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type PostmasterOptions, fixture, makeTempDir, removeTempDir, withPostmaster } from '../helpers/index.js';
import { errorOf, launch, logLines, openSession, register, said, waitForSaid, worker } from './support.js';

const module = (name: string): string => fixture(`preload/${name}`);

/** A module that cannot be parsed; no fixture, for the tools that look at all files of the project would stumble over it. */
const syntaxError = join(makeTempDir('module'), 'syntax.cjs');
writeFileSync(syntaxError, 'exports.main = function ( {;\n');
afterAll(() => removeTempDir(dirname(syntaxError)));

/** A server that must not start: the lines of its log from FATAL on, when it has gone and taken its lock file with it. */
async function refusal(options: PostmasterOptions): Promise<string[]> {
  return withPostmaster({ ...options, until: 'nothing' }, async (pm) => {
    expect(await pm.exited).toBe(1);
    for (const name of ['postmaster.pid', '.s.bgworker']) expect(existsSync(join(pm.dir, name))).toBe(false);
    const lines = logLines(pm);
    return lines.slice(lines.findIndex((line) => line.startsWith('FATAL')));
  });
}

describe('a server without what it was told to load does not start', () => {
  test('a missing library', async () => {
    const [fatal, hint, context] = await refusal({ preload: ['./no/such/library'] });
    expect(fatal).toBe('FATAL:  could not access file "./no/such/library": No such file or directory');
    expect(hint).toMatch(/^HINT: {2}A library is named by/);
    expect(context).toBe('CONTEXT:  while preloading "./no/such/library"');
  });

  test('a directory is no library', async () => {
    expect((await refusal({ preload: [fixture('preload')] }))[0]).toMatch(/^FATAL: {2}could not access file ".*preload": No such file or directory/);
  });

  test('a module that throws while it is loaded', async () => {
    const lines = await refusal({ preload: [module('throws.mjs')] });
    expect(lines[0]).toBe(`FATAL:  could not load library "${module('throws.mjs')}": this module does not want to be loaded`);
    expect(lines[1]).toBe(`CONTEXT:  while preloading "${module('throws.mjs')}"`);
    expect(lines.join('\n')).toContain('throws.mjs:2');
  });

  test('a module that is no JavaScript', async () => {
    const [fatal] = await refusal({ preload: [syntaxError] });
    expect(fatal).toMatch(/^FATAL: {2}could not load library ".*syntax\.cjs": Unexpected token/);
  });

  test.each([
    ['throws', 'thrown in _PG_init'],
    ['rejects', 'rejected in _PG_init'],
  ])('_PG_init that %s', async (how, message) => {
    const [fatal] = await refusal({ preload: [module('init-throws.mjs')], env: { BGW_TEST_INIT: how } });
    expect(fatal).toBe(`FATAL:  ${message}`);
  });

  test('an error of _PG_init is shown whole', async () => {
    const lines = await refusal({ preload: [module('init-throws.mjs')], env: { BGW_TEST_INIT: 'ErrorData' } });
    expect(lines.slice(0, 3)).toEqual(['FATAL:  cannot initialise', 'DETAIL:  a detail', 'HINT:  a hint']);
  });
});

describe('what is loaded', () => {
  test('a list that cannot be read is logged, and nothing is loaded, as in PostgreSQL', async () => {
    await withPostmaster({ settings: { shared_preload_libraries: 'a,,b' } }, (pm) => {
      expect(logLines(pm, 'LOG:  invalid list syntax in parameter "shared_preload_libraries"')).toHaveLength(1);
    });
  });

  test('by path, relative path, and name along dynamic_library_path; each once, in their order, suffixes tried', async () => {
    const preload = ['./preload/init-waits', module('common.cjs'), 'init-waits', '"common"', '$libdir/workers.mjs'];
    const settings = { log_min_messages: 'debug1', dynamic_library_path: '/no/such/directory:$libdir/preload' };
    await withPostmaster({ preload, settings, cwd: fixture('') }, async (pm) => {
      const names = preload.map((name) => name.replaceAll('"', ''));
      expect(logLines(pm, 'loaded library')).toEqual(names.map((name) => `DEBUG:  loaded library "${name}"`));
      expect([said(pm, 'init', 'ran'), said(pm, 'common', 'init')].map(({ length }) => length)).toEqual([1, 1]);
      const session = await openSession(pm);
      // _PG_init was waited for, and did not run again in the child; a CommonJS module's functions are found.
      await register(session, worker('main', { name: 'preloaded', libraryName: './preload/init-waits' }));
      expect(String((await waitForSaid(pm, 'preloaded', 'initialised')).data)).not.toContain('postgres: ');
      await register(session, worker('main', { name: 'cjs', libraryName: 'common' }));
      await waitForSaid(pm, 'common', 'main');
      expect(said(pm, 'init', 'ran')).toHaveLength(1);
    });
  });

  test('forks go well from a heavy image with a timer and a promise under way', async () => {
    await withPostmaster({ preload: [module('heavy.mjs')] }, async (pm) => {
      const session = await openSession(pm);
      const names = Array.from({ length: 6 }, (_, n) => `heavy${n}`);
      await Promise.all(names.map((name) => register(session, worker('main', { name, libraryName: module('heavy.mjs') }))));
      for (const name of names) {
        expect((await waitForSaid(pm, name, 'heavy')).data).toEqual({ sum: 19_999_900_000, same: true, garbage: 100_000 });
      }
      expect(logLines(pm, 'crash', 'terminat')).toEqual([]);
    });
  });

  test('C-11, C-30, R-34: a library that is not preloaded is loaded in the child, and its _PG_init runs there, each time', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      for (const name of ['first', 'second']) {
        await register(session, worker('main', { name, libraryName: module('init-waits.mjs') }));
        expect((await waitForSaid(pm, name, 'initialised')).data).toBe(`in postgres: bgworker: ${name} `);
      }
      expect(said(pm, 'init', 'ran').map(({ data }) => data)).toEqual(['worker', 'worker']);
    });
  });
});

describe('what goes wrong in the child leaves the postmaster as it was (C-38)', () => {
  const CASES: readonly (readonly [rule: string, library: string, fn: string, lines: (string | RegExp)[]])[] = [
    ['C-31', 'postgres', 'ParallelWorkerMain', ['ERROR:  internal function "ParallelWorkerMain" not found']],
    ['C-32', '/no/such/library', 'main', ['ERROR:  could not access file "/no/such/library": No such file or directory']],
    [
      'C-33',
      module('throws.mjs'),
      'main',
      [/^ERROR: {2}could not load library ".*throws\.mjs": this module does not want to be loaded/, /^CONTEXT: /],
    ],
    ['C-33', syntaxError, 'main', [/^ERROR: {2}could not load library ".*syntax\.cjs": Unexpected token/, /^CONTEXT: /]],
    ['C-35', fixture('calls.mjs'), 'nowhere', [`ERROR:  could not find function "nowhere" in file "${fixture('calls.mjs')}"`]],
    ['C-35', fixture('calls.mjs'), 'toString', [`ERROR:  could not find function "toString" in file "${fixture('calls.mjs')}"`]],
    [
      'C-35',
      fixture('calls.mjs'),
      'notAFunction',
      [
        `ERROR:  could not find function "notAFunction" in file "${fixture('calls.mjs')}"`,
        'DETAIL:  "notAFunction" is exported, but it is not a function.',
      ],
    ],
    ['C-30', module('init-throws.mjs'), 'main', ['ERROR:  thrown in _PG_init', /^CONTEXT: /]],
  ];

  test('R-47, C-31 … C-38: the worker starts, says why it cannot go on, and exits with status 1', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      for (const [index, [, libraryName, functionName, expected]] of CASES.entries()) {
        const handle = await register(session, worker(functionName, { name: `case ${index}`, libraryName }));
        expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(2);
        await pm.waitForLog(new RegExp(`background worker "case ${index}" \\(PID \\d+\\) exited with exit code 1`));
        const pid = /"case \d+" \(PID (\d+)\)/.exec(logLines(pm, `background worker "case ${index}"`).at(-1) as string)?.[1];
        const lines = pm.log().split('\n').filter((line) => line.includes(`[${pid}]`)).map((line) => line.slice(line.indexOf(']') + 2)); // prettier-ignore
        expect(lines).toHaveLength(expected.length);
        for (const [at, line] of lines.entries())
          expect(line).toMatch(expected[at] instanceof RegExp ? expected[at] : new RegExp(`^${escape(expected[at] as string)}$`));
      }
      expect((await launch(session, worker('idle'))).pid).toBeGreaterThan(0);
    });
  });

  test('session.call finds libraries by the same rules, and gets the same errors', async () => {
    await withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      const errors = [];
      for (const [, library, fn] of CASES.slice(0, 6)) errors.push((await errorOf(session.call(library, fn)))['code']);
      expect(errors).toEqual(['XX000', '58P01', '58P01', '58P01', '42883', '42883']);
    });
  });
});

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
