// The examples of docs/shared-memory.md, docs/shm-mq.md and of the shared memory's part of docs/api.md, run as they stand there: all of a page are one preloaded
// module, whose functions sessions call.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as bgw from '../../dist/index.js';
import { dist, projectRoot } from '../helpers/paths.js';
import { type Postmaster, tempDir, withPostmaster } from '../helpers/index.js';
import { openSession, worker } from './support.js';

const PACKAGE = JSON.stringify(pathToFileURL(dist('index.js')).href);

/** The JavaScript of a page, from a heading on where one is given, to the next of its kind. */
function examplesOf(page: string, heading = ''): string[] {
  const text = readFileSync(join(projectRoot, 'docs', page), 'utf8');
  const part = heading === '' ? text : (text.split(`${heading}\n`)[1]?.split(/^### /m)[0] ?? '');
  return [...part.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code);
}

/** A module of examples and of what else the test has to say; names of the package's that nobody imports are imported. */
function moduleOf(examples: readonly string[], more: string): string {
  const code = [...examples, more].join('\n').replace(/from 'bgworker'/g, `from ${PACKAGE}`);
  const imported = /import \* as bgw/.test(code) ? [] : Object.keys(bgw).filter((name) => new RegExp(`(?<![.\\w])${name}\\b`).test(code));
  const library = join(tempDir('documented'), 'documented.mjs');
  writeFileSync(library, imported.length > 0 ? `import { ${imported.join(', ')} } from ${PACKAGE};\n${code}` : code);
  return library;
}

type Call = (name: string, ...args: unknown[]) => Promise<unknown>;
const withModule = (library: string, body: (call: Call, pm: Postmaster) => Promise<void>): Promise<void> =>
  withPostmaster({ preload: [library] }, async (pm) => {
    const session = await openSession(pm);
    await body((name, ...args) => session.call(library, name, ...args), pm);
  });
/** What a registration says besides. */
function workerOf(libraryName: string) {
  const { notifyPid: _, ...fields } = worker('', { name: 'documented', libraryName });
  return fields;
}

describe('docs/shared-memory.md', () => {
  const examples = examplesOf('shared-memory.md');

  test('every example does what it says', async () => {
    expect(examples).toHaveLength(4);
    const library = moduleOf(
      examples,
      `const Queue = bgw.shmemStruct({ lock: 'LWLock', head: 'int32', notEmpty: 'ConditionVariable', length: 'pg_atomic_uint32' });
      const queue = () => bgw.shmemInitStruct('queue', Queue).struct;
      export const hits = () => [counters.limit, String(bgw.pgAtomicReadU64(counters.hits))];
      export async function moves() {
        await Promise.all([move(queue()), move(queue())]);
        return queue().head;
      }
      export const takes = () => take(queue()).then(() => 'there is one');
      export function puts() {
        bgw.pgAtomicWriteU32(queue().length, 1);
        bgw.conditionVariableSignal(queue().notEmpty);
      }`,
    );
    await withModule(library, async (call, pm) => {
      await call('worker');
      expect(await call('hits')).toEqual([100, '1']);
      expect(await call('moves')).toBe(2);
      const other = await openSession(pm);
      const taken = call('takes');
      await other.call(library, 'puts');
      expect(await taken).toBe('there is one');
      expect(await call('share', workerOf(library))).toBe(42);
    });
  });
});

describe('docs/shm-mq.md', () => {
  test('every example does what it says', async () => {
    const examples = examplesOf('shm-mq.md');
    expect(examples).toHaveLength(4);
    const library = moduleOf(examples, '');
    const application = (await import(pathToFileURL(library).href)) as { prints: (dir: string, worker: unknown) => Promise<void> };
    const rows = ['a', 'b'].map((table) => ({ table, from: new Date(0), rows: 0n }));
    await withModule(library, async (call, pm) => {
      expect(await call('asks', workerOf(library))).toBe(42);
      expect(await call('listens', workerOf(library))).toEqual(['hello', 'there']);
      expect(await call('wantsSummary', workerOf(library))).toEqual(rows);
      const printed: unknown[] = [];
      const { log } = console;
      console.log = (row: unknown) => void printed.push(row);
      await application.prints(pm.dir, workerOf(library)).finally(() => (console.log = log));
      expect(printed).toEqual(rows);
    });
  });
});

test('the example of dynamic shared memory in docs/api.md does what it says', async () => {
  const examples = examplesOf('api.md', '### Dynamic shared memory');
  expect(examples).toHaveLength(1);
  const library = moduleOf(
    [],
    `export function idles() {
      backgroundWorkerUnblockSignals();
      return new Promise(() => setInterval(() => {}, 1 << 30));
    }
    export async function works(worker) {
      const handle = registerDynamicBackgroundWorker({ ...worker, functionName: 'idles', notifyPid: myProcPid });
      await waitForBackgroundWorkerStartup(handle);
      ${examples.join('\n')}
      const answer = new Int32Array(dsmSegmentAddress(segment).buffer)[0];
      dsmDetach(segment);
      await waitForBackgroundWorkerShutdown(handle);
      return answer;
    }`,
  );
  await withModule(library, async (call) => {
    expect(await call('works', workerOf(library))).toBe(42);
  });
});
