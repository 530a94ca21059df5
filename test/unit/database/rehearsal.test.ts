// The rehearsal of a connection before the fork: it is played to its end, and nothing stays.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rehearseConnection } from '../../../src/database/rehearsal.js';
import { getCurrentTransactionNestLevel, hasConnection } from '../../../src/database/xact.js';
import { tempDir } from '../../helpers/index.js';
import { openFds } from '../../helpers/processes.js';

test('P8: it leaves no descriptor, no handle, no file, no connection, no transaction; what a killed one left is no hindrance', async () => {
  const path = join(tempDir('play'), 's');
  await rehearseConnection(path);
  const state = (): unknown => ({
    fds: [...openFds(process.pid).keys()],
    sockets: process.getActiveResourcesInfo().filter((name) => /Pipe|TCP|Wrap/.test(name)),
    file: existsSync(path),
    connected: hasConnection(),
    depth: getCurrentTransactionNestLevel(),
  });
  const before = state();
  writeFileSync(path, '');
  await rehearseConnection(path);
  expect(state()).toEqual(before);
  expect(before).toMatchObject({ file: false, connected: false, depth: 0 });
});

test('where there is no place for it, it says so, and leaves as little', async () => {
  const before = [...openFds(process.pid).keys()];
  await expect(rehearseConnection(join(tempDir('play'), 'nowhere', 's'))).rejects.toMatchObject({ syscall: 'listen' });
  expect([...openFds(process.pid).keys()]).toEqual(before);
});
