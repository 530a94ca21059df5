// The check of the documents finds what it is there to find. Each test writes a small tree and runs the check on it. Tests: scripts/check-docs.mjs.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot, tempDir } from '../../helpers/index.js';

const script = join(projectRoot, 'scripts/check-docs.mjs');

/** A documented project of one function and one type. */
const GOOD = {
  'src/index.ts': "export { waitLatch, type Latch } from './ipc/latch.js';\n",
  'src/ipc/latch.ts':
    '/** @pg Latch */\nexport interface Latch {}\n\n/**\n * Waits.\n * @pg WaitLatch\n */\nexport async function waitLatch(): Promise<void> {}\n',
  'docs/api.md': '# API\n\n`waitLatch(latch)` waits for a `Latch`; see [differences](differences.md).\n',
  'docs/differences.md': '# Differences\n',
  'docs/c-mapping.md': '',
};

function tree(files: Record<string, string>): string {
  const root = tempDir();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  expect(spawnSync(process.execPath, [script, root, '--write']).error).toBeUndefined();
  return root;
}

function check(root: string): string {
  const { status, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' });
  expect(status).toBe(stderr === '' ? 0 : 1);
  return stderr;
}

describe('check-docs', () => {
  it('writes the C mapping from the tags, by name, and is content with it', () => {
    const root = tree(GOOD);
    const rows = readFileSync(join(root, 'docs/c-mapping.md'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows.map((row) => row.replaceAll(/ +/g, ' '))).toEqual([
      '| `Latch` | `Latch` | [src/ipc/latch.ts](../src/ipc/latch.ts) |',
      '| `WaitLatch` | `waitLatch` | [src/ipc/latch.ts](../src/ipc/latch.ts) |',
    ]);
    expect(check(root)).toBe('');
  });

  it('sees a mapping that is out of date', () => {
    const root = tree(GOOD);
    writeFileSync(join(root, 'docs/c-mapping.md'), '# C names\n');
    expect(check(root)).toContain('docs/c-mapping.md is not what the @pg tags say');
  });

  it('sees an export that is not described', () => {
    expect(check(tree({ ...GOOD, 'docs/api.md': '# API\n\nA `Latch`.\n' }))).toBe(
      'docs/api.md does not describe waitLatch, which src/index.ts exports\n',
    );
  });

  it('sees a link that leads nowhere, but not one in code or to the net', () => {
    const text = '[gone](docs/gone.md#part) [net](https://nodejs.org/) [here](docs/api.md)\n\n```\n[not](a-link.md)\n```\n';
    expect(check(tree({ ...GOOD, 'README.md': text }))).toBe('README.md: the link to docs/gone.md leads nowhere\n');
  });

  it('sees a departure that the list of differences does not have', () => {
    const files = { ...GOOD, 'src/ipc/exit.ts': '// DIFFERS FROM POSTGRES: no PANIC here.\n' };
    expect(check(tree(files))).toContain('docs/differences.md does not name src/ipc/exit.ts');
    expect(check(tree({ ...files, 'docs/differences.md': '- No PANIC (src/ipc/exit.ts).\n' }))).toBe('');
  });
});
