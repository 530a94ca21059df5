// test/fixtures/native/crash.c, compiled for the test that needs it. The compiler is there: the project's own addon was built with it.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fixture } from './paths.js';

/** Builds it into a directory; returns its path. */
export function buildCrashAddon(dir: string): string {
  const headers = (createRequire(import.meta.url)('node-api-headers') as { include_dir: string }).include_dir;
  const path = join(dir, 'crash.node');
  execFileSync('cc', ['-shared', '-fPIC', '-D_GNU_SOURCE', `-I${headers}`, fixture('native/crash.c'), '-o', path]);
  return path;
}
