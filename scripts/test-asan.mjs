// Runs the integration tests with the addon built for the address and undefined-behaviour sanitizers: real postmasters, real forks, and every write of the C core
// and of the binding looked at. (The C core alone, without Node: npm run test:sanitize.)
//   npm run test:asan                      every integration test
//   npm run test:asan -- --fast            those files that use most of the addon, for a machine that tests each change
//   npm run test:asan -- test/integration/dsm.test.ts …      these files; what begins with - goes to vitest
//
// Node itself is not instrumented. What the sanitizer needs of the C library (malloc, memcpy) is preloaded, into everything that the tests start. The tests run
// in a copy of the checkout, in build-cmake/asan-tree, so that the addon of the checkout stays what it is. A report fails the run, whichever process it is of and
// whatever the tests make of that process's end: the address sanitizer's are files, and are counted at the end; the other's are in the postmasters' logs, and found
// there by the tests' helper (test/helpers/postmaster.ts).
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const tree = join(root, 'build-cmake/asan-tree');
const PARTS = [
  'src',
  'test',
  'bench',
  'examples',
  'scripts',
  'native',
  'docs',
  'package.json',
  'binding.gyp',
  'vitest.config.ts',
  'tsconfig.json',
  'tsconfig.build.json',
];

const FAST =
  'channels children dsm exit-callbacks exit-matrix handles latch locks notify shared-memory shm-mq signals threads wait-event-set ways-out'
    .split(' ')
    .map((name) => `test/integration/${name}.test.ts`);

const ASAN = {
  // Node frees little at its end, and a worker's end frees nothing.
  detect_leaks: 0,
  // Tests let workers crash, by every signal there is: these must end so, not in a report.
  handle_segv: 0,
  handle_sigbus: 0,
  handle_sigfpe: 0,
  handle_sigill: 0,
  handle_abort: 0,
  // Memory that was freed is kept for a while, to find who still uses it: a little, as each fork copies it.
  quarantine_size_mb: 8,
  malloc_context_size: 8,
  // A library's own replacement of operator new, beside the sanitizer's.
  alloc_dealloc_mismatch: 0,
};

function step(file, args, options) {
  const { status, error } = spawnSync(file, args, { stdio: 'inherit', ...options });
  if (error) throw error;
  return status === 0;
}

function makeTree() {
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(tree, { recursive: true });
  for (const part of PARTS) cpSync(join(root, part), join(tree, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
}

const build = () =>
  step(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: tree }) &&
  step(process.execPath, ['scripts/build-addon.mjs', '--san=address,undefined', '--jobs=max'], { cwd: tree });

/** The sanitizer's library, of the compiler that builds the addon. */
function runtime() {
  const { stdout } = spawnSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  const path = stdout.trim();
  if (!path.startsWith('/')) throw new Error('the compiler has no libasan.so; on Debian it comes with gcc');
  return path;
}

/**
 * The system's ps without the sanitizer's library, in a folder for PATH: procps waits for ever in textdomain(3) with it (Debian 12), and the demo asks ps.
 */
function programs() {
  const dir = join(tree, 'bin');
  mkdirSync(dir);
  writeFileSync(join(dir, 'ps'), '#!/bin/sh\nunset LD_PRELOAD\nPATH="${PATH#*:}" exec ps "$@"\n', { mode: 0o755 });
  return dir;
}

function run(files, reports) {
  const options = Object.entries(ASAN).map(([name, value]) => `${name}=${value}`);
  const env = {
    ...process.env,
    PATH: `${programs()}${delimiter}${process.env.PATH}`,
    LD_PRELOAD: runtime(),
    ASAN_OPTIONS: [...options, `log_path=${join(reports, 'report')}`].join(':'),
    UBSAN_OPTIONS: 'print_stacktrace=1',
    BGWORKER_TEST_PATIENCE: '4',
  };
  // Each test has more time: the sanitizer's malloc is slow, above all in a fork.
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--testTimeout=180000', '--hookTimeout=180000', ...files];
  return step(process.execPath, args, { cwd: tree, env });
}

const args = process.argv.slice(2);
const asked = args.filter((arg) => arg !== '--fast');
const files = args.includes('--fast') ? [...FAST, ...asked] : asked.some((arg) => !arg.startsWith('-')) ? asked : ['test/integration/', ...asked];

const reports = mkdtempSync(join(tmpdir(), 'bgw-asan-'));
chmodSync(reports, 0o1777); // a database server may be another user
try {
  makeTree();
  if (!build()) throw new Error('the addon could not be built');
  const passed = run(files, reports);
  const found = readdirSync(reports).map((name) => readFileSync(join(reports, name), 'utf8'));
  for (const report of found) process.stdout.write(`\n--- a report of the sanitizers\n${report}\n`);
  process.stdout.write(`\n${found.length} reports of the sanitizers; the tests ${passed ? 'passed' : 'FAILED'}\n`);
  process.exitCode = passed && found.length === 0 ? 0 : 1;
} finally {
  rmSync(reports, { recursive: true, force: true });
  rmSync(tree, { recursive: true, force: true });
}
