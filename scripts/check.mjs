// Every gate before the tests, in the order of what is cheapest to learn first: lint, format, layers, documents, addon, build, types.
// All of them run, so that one call shows everything that is wrong; a gate's output is shown only when it fails.
// `npm test` runs this and then vitest. Where a gate fails the run ends here, with the closing line that vitest's reporter would have printed.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name) => join('node_modules', name);
const oxlint = [bin('oxlint/bin/oxlint'), '--type-aware', '--deny-warnings'];
const tsc = bin('typescript/bin/tsc');

/** name → the script that Node runs, with its arguments. */
const GATES = {
  lint: oxlint,
  format: ['scripts/format.mjs'],
  layers: ['scripts/check-layers.mjs'],
  docs: ['scripts/check-docs.mjs'],
  addon: addonIsFresh() ? null : ['scripts/build-addon.mjs'],
  build: [tsc, '-p', 'tsconfig.build.json'],
  types: [tsc, '-p', 'tsconfig.json'],
  harness: [tsc, '-p', 'tsconfig.test.json'],
};

/** Is the addon younger than everything it is built of? */
function addonIsFresh() {
  const built = statSync(join(root, 'build/Release/bgworker.node'), { throwIfNoEntry: false });
  if (!built) return false;
  const sources = readdirSync(join(root, 'native'), { recursive: true }).map((name) => join('native', name));
  return [...sources, 'binding.gyp'].every((name) => statSync(join(root, name)).mtimeMs < built.mtimeMs);
}

function runGate(name, args) {
  const started = performance.now();
  const result = args && spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  const ok = !result || result.status === 0;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${ok ? 'ok    ' : 'FAILED'}  ${name.padEnd(8)}${seconds.padStart(5)} s\n`);
  if (!ok) process.stdout.write(`${result.error?.message ?? ''}${result.stdout}${result.stderr}\n`);
  return ok;
}

const results = Object.entries(GATES).map(([name, args]) => runGate(name, args));
const failed = results.filter((ok) => !ok).length;
if (failed > 0) process.stdout.write(`\nThe tests were not run: gates failed.\n${results.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 ? 1 : 0;
