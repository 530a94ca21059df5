// The demonstration: `npm run demo`. Starts a server with a database of its own in a temporary directory, shows what background workers do there, verifies
// each thing that it says, and leaves nothing behind. Exit status 0: all was seen. `--help` lists the options. What it shows is in acts.mjs.

import { constants } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { ACTS, WORKER_SPI, play } from './acts.mjs';
import { Server } from './server.mjs';
import { NotSeen, Stage } from './stage.mjs';

/** A machine so slow that it needs more is stuck. */
const DEADLINE_SECONDS = 180;

const USAGE = `Usage: npm run demo [-- OPTIONS]

Shows in about 20 seconds what background workers do, on a server and a database in a temporary directory.

  --keep           keep the directory, to look at it or to start the server again
  -c NAME=VALUE    a setting of the server's more, e.g. -c pg_bindir=/usr/lib/postgresql/15/bin
  --help           show this help

Exit status: 0 all was seen, 1 something was not, 2 bad usage.
`;

/** Rejects when we should break off: Ctrl-C, a closed terminal, nobody who reads, an error that nobody caught, or too long a time. */
function interruption() {
  /** @type {(reason: Error) => void} */
  let reject = () => undefined;
  /** @type {Promise<never>} */
  const promise = new Promise((_resolve, rejectIt) => (reject = rejectIt));
  promise.catch(() => undefined); // where it comes after the end
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      process.exitCode = 128 + constants.signals[signal];
      reject(new NotSeen(`interrupted by ${signal}`));
    });
  }
  process.stdout.on('error', reject);
  process.on('uncaughtException', reject);
  setTimeout(() => reject(new NotSeen(`the end within ${DEADLINE_SECONDS} s`)), DEADLINE_SECONDS * 1000);
  return promise;
}

/** @param {boolean} keep @param {readonly string[]} settings */
async function demonstrate(keep, settings) {
  const started = performance.now();
  const interrupted = interruption(); // first of all: from here on there is something to clean up
  const stage = new Stage(ACTS);
  const server = new Server([`shared_preload_libraries=${WORKER_SPI}`, 'worker_spi.naptime=1', ...settings]);
  stage.write(`bgworker: PostgreSQL's background workers for Node.js. Everything below happens in ${server.top}.\n`);
  let failure;
  try {
    await Promise.race([interrupted, play(stage, server, keep)]);
  } catch (err) {
    failure = err;
    stage.muted = true; // whatever is still under way
    await server.end();
    stage.muted = false;
  }
  const all = stage.summary(failure, (performance.now() - started) / 1000);
  if (!all && !process.exitCode) {
    stage.write(`The end of the server's log${keep ? ` (${join(server.top, 'server.log')})` : ''}:\n`);
    stage.quote(server.log().trimEnd().split('\n').slice(-20).join('\n'));
  }
  if (!keep) server.remove();
  process.exit(process.exitCode || (all ? 0 : 1));
}

function options() {
  try {
    const { values } = parseArgs({
      options: { keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' }, setting: { type: 'string', short: 'c', multiple: true } },
    });
    return values;
  } catch (err) {
    process.stderr.write(`${/** @type {Error} */ (err).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

const { keep = false, help = false, setting = [] } = options();
if (help) process.stdout.write(USAGE);
else await demonstrate(keep, setting);
