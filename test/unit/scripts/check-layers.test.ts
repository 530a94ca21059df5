// The layer check finds what it is there to find. Each test writes a small tree and runs the check on it. Tests: scripts/check-layers.mjs.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot, tempDir } from '../../helpers/index.js';

/** What the check says about a tree of these files; '' where it is content. */
function check(files: Record<string, string>): string {
  const root = tempDir();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  const { status, stderr } = spawnSync(process.execPath, [join(projectRoot, 'scripts/check-layers.mjs'), root], { encoding: 'utf8' });
  expect(status).toBe(stderr === '' ? 0 : 1);
  return stderr;
}

const H = '// What this is.\n';

describe('check-layers', () => {
  it('lets a later layer import an earlier one', () => {
    expect(check({ 'src/ipc/latch.ts': `${H}import { x } from '../shmem/layout.js';\n`, 'src/shmem/layout.ts': `${H}export const x = 1;\n` })).toBe(
      '',
    );
  });

  it.each([
    ['a static import', "import { x } from '../ipc/latch.js';"],
    ['an import over several lines', "import {\n  x,\n} from '../ipc/latch.js';"],
    ['a type', "import type { X } from '../ipc/latch.js';"],
    ['a re-export', "export * from '../ipc/latch.js';"],
    ['a dynamic import', "await import('../ipc/latch.js');"],
    ['a bare import', "import '../ipc/latch.js';"],
  ])('refuses the other way: %s', (_kind, line) => {
    expect(check({ 'src/elog/elog.ts': `${H}${line}\n` })).toMatch('src/elog/elog.ts: imports "../ipc/latch.js", which is in a later layer (ipc)');
  });

  it('takes a comment for a comment', () => {
    expect(check({ 'src/elog/elog.ts': `${H}// not like import x from '../ipc/latch.js'\n` })).toBe('');
  });

  it('keeps the state machine pure', () => {
    const text = check({
      'src/postmaster/schedule.ts': `${H}import 'node:fs';\nimport '../elog/errcodes.js';\nimport './state-types.js';\nimport '../guc/guc.js';\n`,
    });
    expect(text.trim().split('\n')).toEqual([
      'src/postmaster/schedule.ts: is pure, and may not import "node:fs"',
      'src/postmaster/schedule.ts: is pure, and may not import "../guc/guc.js"',
    ]);
  });

  it.each([
    ['fork', "import { native } from '../native.js';\nnative.fork();", 'forks, which only ^launch'],
    ['fork by name', "import { fork } from '../native.js';", 'forks, which only ^launch'],
    ['the addon', "const native = require('../../build/Release/bgworker.node');", 'loads the addon, which only'],
    ['the database client', "import pg from 'pg';", 'speaks to a database, which only'],
  ])('allows %s in one place only', (_what, line, message) => {
    expect(check({ 'src/worker/main.ts': `${H}${line}\n` })).toContain(message);
  });

  it('knows every file', () => {
    expect(check({ 'src/misc/util.ts': H })).toContain('src/misc/util.ts: is in no layer');
  });

  it('keeps index.ts to re-exports', () => {
    const good = `${H}export { a, type B } from './elog/elog.js';\nexport type { C } from './guc/guc.js';\nexport * from './ipc/latch.js';\n`;
    expect(check({ 'src/index.ts': good })).toBe('');
    expect(check({ 'src/index.ts': `${good}export const x = 1;\n` })).toContain('src/index.ts: re-exports only');
  });

  it('keeps Node out of the C core', () => {
    expect(check({ 'native/core/fork.c': `${H}#include <uv.h>\n`, 'native/binding/fork.cc': `${H}#include <napi.h>\n` })).toBe(
      'native/core/fork.c: includes uv.h: the core knows nothing of Node\n',
    );
  });

  it('counts lines and asks for a header', () => {
    expect(check({ 'src/ipc/latch.ts': H.repeat(301) })).toContain('has 301 lines; at most 300');
    expect(check({ 'native/core/latch.c': H.repeat(401) })).toContain('has 401 lines; at most 400');
    expect(check({ 'test/unit/x.test.ts': 'export {};\n', 'scripts/x.mjs': `#!/usr/bin/env node\n${H}` })).toMatch(
      /^test\/unit\/x.test.ts: has no header comment.*\n$/,
    );
  });

  it('looks for the partner of every pairing', () => {
    const slots = `${H}export function noticeSlotChanges(): void {}\n`;
    const says = (sentence: string): string =>
      check({ 'src/bgworker/slots.ts': slots, 'src/bgworker/register.ts': `${H}// Publish: contents before use.\n// ${sentence}\n` });
    expect(says('Pairs with the load in noticeSlotChanges().')).toBe('');
    expect(says('Pairs with the load in\n// noticeSlotChanges(), first line.')).toBe('');
    expect(says('Pairs with the load in noticeSlotChange().')).toContain('there is no noticeSlotChange');
    expect(says('Pairs with the other load.')).toContain('names no identifier');
  });
});
