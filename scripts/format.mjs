// Formats the project (`--write`) or says what is not formatted (default): prettier for the JavaScript side, clang-format for native/ and test/native/.
// clang-format is a developer's tool that Node does not bring: where it is missing its half is left out, and the line says so.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const write = process.argv.includes('--write');

/**
 * Runs one formatter over the checkout: its exit status, or null where the program does not exist. Where a folder of PATH is closed to us (root's, kept by su),
 * that is EACCES.
 */
function run(file, args) {
  const result = spawnSync(file, args, { cwd: root, stdio: 'inherit' });
  if (result.error?.code === 'ENOENT' || result.error?.code === 'EACCES') return null;
  if (result.error) throw result.error;
  return result.status ?? 1;
}

function nativeSources() {
  return ['native', 'test/native']
    .flatMap((dir) => readdirSync(join(root, dir), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(c|cc|h)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

const prettier = run(process.execPath, ['node_modules/prettier/bin/prettier.cjs', write ? '--write' : '--check', '--log-level=warn', '.']);
const sources = nativeSources();
const clang = sources.length === 0 ? 0 : run('clang-format', write ? ['-i', ...sources] : ['--dry-run', '--Werror', ...sources]);
if (clang === null) process.stdout.write('clang-format is not installed: native/ was not looked at\n');
process.exitCode = prettier || clang || 0;
