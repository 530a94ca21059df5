// What a preloaded library leaves behind: each kind that does not survive a fork is refused by the library's name, and the others are not.
import { dirname } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { buildCrashAddon } from '../helpers/crash-addon.js';
import { fixture, makeTempDir, removeTempDir, withPostmaster } from '../helpers/index.js';
import { WORKERS, end, launch, logLines, openSession, worker } from './support.js';

const LEAVES = fixture('preload/leaves.mjs');
const addon = buildCrashAddon(makeTempDir('addon'));
afterAll(() => removeTempDir(dirname(addon)));

const options = (kind: string): { preload: string[]; env: Record<string, string> } => ({
  preload: [WORKERS, LEAVES],
  env: { BGW_TEST_LEAVES: kind, BGW_TEST_ADDON: addon },
});
const MESSAGE = `library "${LEAVES}" has left something behind that does not survive a fork`;

describe('refused', () => {
  test.each([
    ['thread', /^DETAIL: {2}Threads: \S+\.$/],
    ['worker thread', /^DETAIL: {2}Threads: /],
    ['server', /Descriptors: socket\./],
    ['udp socket', /Descriptors: socket\. Under way: UDP\w*\.$/],
    ['connection', /Descriptors: 3 x socket\. Under way: .*TCP/],
    ['watcher', /Descriptors: inotify\. Under way: FSEvent\w*\.$/],
    ['child process', /Descriptors: (socket|pipe)/],
    ['long request', /Requests without an answer: 1\./],
  ])('a %s', async (kind, detail) => {
    await withPostmaster({ ...options(kind), until: 'nothing' }, async (pm) => {
      expect(await pm.exited).toBe(1);
      const lines = logLines(pm);
      const at = lines.indexOf(`FATAL:  ${MESSAGE}`);
      expect(lines.slice(at, at + 4).map((line) => line.slice(0, 7))).toEqual(['FATAL: ', 'DETAIL:', 'HINT:  ', 'CONTEXT']);
      expect(lines[at + 1]).toMatch(detail);
    });
  });
});

describe('not refused', () => {
  test.each(['nothing', 'file', 'secret', 'finished request', 'short request'])('a %s', async (kind) => {
    await withPostmaster(options(kind), (pm) => expect(logLines(pm, 'behind')).toEqual([]));
  });

  test('timers, which each child has: a warning', async () => {
    await withPostmaster(options('timer'), (pm) =>
      expect(logLines(pm, 'behind')).toEqual([`WARNING:  library "${LEAVES}" has left timers behind: Timeout`]),
    );
  });

  test('a pool of random bytes, which siblings share: a warning', async () => {
    await withPostmaster(options('random pool'), (pm) =>
      expect(logLines(pm, 'in advance')).toEqual([`WARNING:  library "${LEAVES}" has drawn random bytes in advance: 2688, 256`]),
    );
  });

  test('with preload_audit = warning, a warning; with off, nothing; and workers run', async () => {
    for (const [preload_audit, expected] of [
      ['warning', [`WARNING:  ${MESSAGE}`]],
      ['off', []],
    ] as const) {
      await withPostmaster({ ...options('server'), settings: { preload_audit } }, async (pm) => {
        expect(logLines(pm, 'behind')).toEqual(expected);
        const session = await openSession(pm);
        await end(session, (await launch(session, worker('idle'))).handle);
      });
    }
  });
});
