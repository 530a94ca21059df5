// Builds the addon with node-gyp, without a network where Node's headers are at hand. Runs at `npm install`.
//
// Node's headers: a distribution's Node has them under <prefix>/include/node, and so has the npm package of a Node binary.
// `npm_config_nodedir` (npm passes it on from its own configuration) wins, since the person who set it knew better.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

if (process.platform !== 'linux') fail(`bgworker runs on Linux only; this is ${process.platform}.`);

/** The directory that holds include/node, or '' where node-gyp must find the headers by itself. */
function nodedir() {
  const prefix = dirname(dirname(process.execPath));
  const candidates = [process.env.npm_config_nodedir, prefix, '/usr', '/usr/local'];
  return candidates.find((dir) => dir && existsSync(join(dir, 'include/node/node_api.h'))) ?? '';
}

/** node-gyp: the project's own in a checkout, npm's for whoever installs the package. */
function nodeGyp() {
  try {
    return require.resolve('node-gyp/bin/node-gyp.js');
  } catch {
    return process.env.npm_config_node_gyp ?? '';
  }
}

function fail(message) {
  process.stderr.write(`error: ${message}\n`);
  process.exit(1);
}

const gyp = nodeGyp();
if (gyp === '') fail('node-gyp was not found.\nHINT:  Run this script through npm: npm run build.');
const headers = nodedir();
const args = [gyp, 'rebuild', '--silent', ...(headers ? [`--nodedir=${headers}`] : []), ...process.argv.slice(2)];
const result = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
if (result.error) fail(`could not run node-gyp: ${result.error.message}`);
if (result.status !== 0) {
  fail('could not build the addon.\n' + 'HINT:  A C++ compiler, make and Python 3 are needed; on Debian: apt-get install g++ make python3.');
}
