// Builds the C core and its tests with cmake, without Node in the program, and runs them. Each argument is a list of sanitizers and makes a run of its own
// (`address,undefined`, `thread`); no argument is the plain build. All runs are made, and the last line counts them.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

function step(file, args) {
  const { status, error } = spawnSync(file, args, { cwd: root, stdio: 'inherit' });
  if (error?.code === 'ENOENT' || error?.code === 'EACCES') throw new Error(`${file} is not installed; on Debian: apt-get install cmake g++ make`);
  if (error) throw error;
  return status === 0;
}

function run(sanitize) {
  const dir = join('build-cmake', sanitize.replaceAll(',', '-') || 'plain');
  process.stdout.write(`\n== ${sanitize || 'plain'} (${dir})\n`);
  return (
    step('cmake', ['-S', '.', '-B', dir, `-DSANITIZE=${sanitize}`, '-DADDON=OFF']) &&
    step('cmake', ['--build', dir, '--parallel', '2']) &&
    // A run of no tests is no success.
    step('ctest', ['--test-dir', dir, '--output-on-failure', '--no-tests=error'])
  );
}

const runs = process.argv.length > 2 ? process.argv.slice(2) : [''];
const failed = runs.filter((sanitize) => !run(sanitize)).length;
process.stdout.write(`\n${runs.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
