// The acts of the demonstration: each does something, shows what is to be seen, verifies it, and names PostgreSQL's rule behind it.
//
// Patterns shown, for an application that uses bgworker:
//   - the commands: run, ps, stop
//   - a session: connect(), session.call(), registering a worker and asking its handle
//   - an ordinary database client beside the workers

import { spawnSync } from 'node:child_process';
import pg from 'pg';
import { BGWH_STARTED, BGWH_STOPPED, BGWORKER_SHMEM_ACCESS, BgWorkerStart_RecoveryFinished, connect } from 'bgworker';

import { ownedConninfo } from '../../dist/database/conninfo.js';
import { NotSeen } from './stage.mjs';

/** @typedef {import('./stage.mjs').Stage} Stage */
/** @typedef {import('./server.mjs').Server} Server */
export const WORKER_SPI = './examples/worker-spi/worker_spi.mjs';
const HELLO = './examples/hello/hello.mjs';
const RESTART_SECONDS = 3;

/** The acts, in order: as the line at the end has them, and their titles. */
export const ACTS = {
  'static workers': 'Static workers start with the server',
  'a worker works': 'A worker works on the database',
  'a dynamic worker': 'A worker is launched while the server runs',
  'the listing': 'The listing of processes',
  'kill and restart': 'A worker is killed, and comes back',
  'a crash': 'A worker crashes, and all begins anew',
  'fast shutdown': 'A fast shutdown',
  'nothing left': 'Nothing is left behind',
};

/** @typedef {import('bgworker').Session} Session */
/** @typedef {import('bgworker').BackgroundWorkerHandle} Handle */
/** What one act leaves to the next. @typedef {{ session: Session; client: pg.Client; launched: number; handle: Handle; hello: number }} Scene */

/** @param {Stage} stage @param {Server} server */
async function start(stage, server) {
  stage.say('A server is started in the foreground, with a PostgreSQL database of its own ("bgworker start" would do it in the background).');
  stage.command(server.command);
  server.start();
  await stage.waitFor(
    'a new database cluster, and both workers on it',
    () => {
      if (!server.runs) throw new NotSeen('the server ended while it started');
      return server.logLines(/LOG: {2}worker_spi worker \d initialized with/).length === 2;
    },
    60,
  );
  stage.quote(server.logLines(/creating a database|ready to accept|initialized/).join('\n'));
  stage.seen(server.processes().filter(({ title }) => title.includes('worker_spi worker')).length === 2, 'two processes "worker_spi worker" run');
  stage.rule(
    `The module in shared_preload_libraries registers them from its _PG_init. They are forked, with the module already loaded, when their
    bgw_start_time has come: here BgWorkerStart_RecoveryFinished, a database that can be written to.`,
  );
}

/** @param {Stage} stage @param {Server} server @param {Scene} scene */
async function deltas(stage, server, { client }) {
  const insert = `INSERT INTO schema1.counted VALUES ('total', 0), ('delta', 5), ('delta', 37)`;
  const table = async () => (await client.query('SELECT type, value FROM schema1.counted ORDER BY type')).rows;
  stage.say('An ordinary database client, which knows nothing of workers, inserts three rows:');
  stage.command(`psql -h ${server.dir}/pgsocket -U postgres -c "${insert}"`);
  await client.query(insert);
  await stage.waitFor('worker 1 to wake (worker_spi.naptime is 1 s)', async () => (await table()).every(({ type }) => type === 'total'));
  const rows = await table();
  stage.quote(rows.map(({ type, value }) => `${type} | ${value}`).join('\n'));
  stage.seen(rows.length === 1 && rows[0].value === 42, 'the rows of type delta are gone, and the total is 42');
  const logged = () => server.logLines(/worker_spi worker 1: count in schema1\.counted is now 42/)[0];
  stage.quote(await stage.waitFor('its line in the log', logged));
  stage.rule('A worker that has connected to a database runs transactions through SPI, one after the other, and sleeps on its latch in between.');
}

/** @param {Stage} stage @param {Server} server @param {Scene} scene */
async function launch(stage, server, scene) {
  const { session } = scene;
  stage.say('An application opens a session (its backend is forked for it) and calls a function of the module there, as SQL would call C:');
  stage.command(`session.call('${WORKER_SPI}', 'worker_spi_launch', 3)`);
  scene.launched = Number(await session.call(WORKER_SPI, 'worker_spi_launch', 3));
  stage.seen(
    (await session.getBackgroundWorkerTypeByPid(scene.launched)) === 'worker_spi dynamic',
    `process ${scene.launched} runs, a worker of type "worker_spi dynamic"`,
  );
  const initialized = () => server.logLines(/worker 3 initialized with schema3\.counted/)[0];
  stage.quote(await stage.waitFor('it to make its table', initialized));

  stage.say(
    `Or it registers one by itself, and holds its handle. This one greets in the log, and is to be restarted ${RESTART_SECONDS} s after a failure:`,
  );
  stage.command(`session.registerDynamicBackgroundWorker({ name: 'hello', libraryName: '${HELLO}', restartTime: ${RESTART_SECONDS}, … })`);
  const handle = await session.registerDynamicBackgroundWorker({
    name: 'hello',
    flags: BGWORKER_SHMEM_ACCESS,
    startTime: BgWorkerStart_RecoveryFinished,
    restartTime: RESTART_SECONDS,
    libraryName: HELLO,
    functionName: 'hello',
    notifyPid: 'self',
  });
  if (handle === null) throw new NotSeen('a free slot for the worker');
  const { status, pid = 0 } = await session.waitForBackgroundWorkerStartup(handle);
  [scene.handle, scene.hello] = [handle, pid];
  const greeted = () => server.logLines(/hello number 1 from process/)[0];
  stage.quote(await stage.waitFor('it to greet', greeted));
  stage.seen(status === BGWH_STARTED && pid > 0, `the handle (slot ${handle.slot}, generation ${handle.generation}) says BGWH_STARTED, PID ${pid}`);
  stage.rule(
    `Registering stores a request in a slot of shared memory; the postmaster, and nobody else, forks, and tells bgw_notify_pid by SIGUSR1. The
    handle's generation keeps it from meaning a later worker in the same slot.`,
  );
}

/** @param {Stage} stage @param {Server} server @param {Scene} scene */
async function list(stage, server, { session, hello, launched }) {
  stage.command(`bgworker ps -D ${server.dir}`);
  const { status, output } = await server.run('ps');
  stage.quote(output);
  const names = ['worker_spi worker 1', 'worker_spi worker 2', 'worker_spi dynamic worker 3', 'hello'];
  const pids = [server.pid, session.backendPid, hello, launched];
  const complete = [...names, ...pids].every((part) => output.includes(String(part)));
  stage.seen(status === 0 && complete, 'the postmaster, the session and four workers are listed');

  stage.say("The system's own listing, with titles as PostgreSQL writes them (the database server's processes are children of its own postmaster):");
  const processes = server.processes();
  stage.command('ps -eo pid,ppid,args        # the part that concerns this server');
  stage.quote(systemListing(processes));
  const titled = names.every((name) => processes.some(({ title, parent }) => title === `postgres: bgworker: ${name}` && parent === server.pid));
  stage.seen(titled, 'each worker is a process of its own, a child of the postmaster, with its name in its title');
}

/** By ps, where it is installed. @param {ReturnType<Server['processes']>} processes */
function systemListing(processes) {
  const ps = spawnSync('ps', ['-ww', '-o', 'pid,ppid,args', '-p', processes.map(({ pid }) => pid).join(',')], { encoding: 'utf8' });
  const lines =
    ps.status === 0
      ? ps.stdout.trimEnd().split('\n')
      : processes.map(({ pid, parent, title }) => `${String(pid).padStart(7)} ${String(parent).padStart(7)} ${title}`);
  return lines.map((line) => (line.length > 110 ? `${line.slice(0, 109)}…` : line)).join('\n');
}

/** @param {Stage} stage @param {Server} server @param {Scene} scene */
async function kill(stage, server, scene) {
  const { session, handle, hello, launched } = scene;
  stage.say('Both dynamic workers are asked to end, by SIGTERM:');
  stage.command(`kill ${hello} ${launched}`);
  process.kill(hello, 'SIGTERM');
  process.kill(launched, 'SIGTERM');
  await stage.waitFor('their end', () =>
    [hello, launched].every((pid) => server.logLines(new RegExp(`\\(PID ${pid}\\) exited with exit code 1`)).length),
  );
  const stopped = performance.now();
  const { status } = await session.getBackgroundWorkerPid(handle);
  stage.quote(server.logLines(new RegExp(`(\\[${hello}\\] FATAL|\\[${launched}\\] FATAL|\\(PID (${hello}|${launched})\\))`)).join('\n'));
  stage.seen(status === BGWH_STOPPED, 'both have ended with status 1; the handle of "hello" says BGWH_STOPPED');

  scene.hello = await stage.waitFor(`"hello" again, ${RESTART_SECONDS} s later`, async () => (await session.getBackgroundWorkerPid(handle)).pid);
  const seconds = (performance.now() - stopped) / 1000;
  await stage.waitFor('it to greet', () => server.logLines(new RegExp(`hello number 1 from process ${scene.hello}$`))[0]);
  stage.seen(scene.hello !== hello, `"hello" is back as process ${scene.hello}, ${seconds.toFixed(1)} s after its end; the same handle leads to it`);
  if (seconds < RESTART_SECONDS - 0.5) throw new NotSeen(`a pause of ${RESTART_SECONDS} s before the restart`);
  const slots = (await session.activity()).map(({ name }) => name);
  stage.seen(!slots.includes('worker_spi dynamic worker 3'), '"worker_spi dynamic worker 3" is not: its slot is free');
  stage.rule(
    `Status 1 is a failure: the worker is started again after bgw_restart_time. With BGW_NEVER_RESTART, as worker_spi has it, it is forgotten; so is
    any worker that ends with status 0, or is ended by TerminateBackgroundWorker.`,
  );
}

/** @param {Stage} stage @param {Server} server @param {Scene} scene */
async function crash(stage, server, scene) {
  const { session, client } = scene;
  /** @type {Error | undefined} */
  let sessionError;
  void session.closed.then((err) => (sessionError = err));
  stage.say('The same worker, killed without a chance to clean up. It may have left anything in the memory that all of them share:');
  stage.command(`kill -9 ${scene.hello}`);
  const greetings = () => server.logLines(/hello number 1 from process/);
  const before = greetings().length;
  const killed = performance.now();
  process.kill(scene.hello, 'SIGKILL');
  const greeting = await stage.waitFor('the server to begin anew', () => greetings()[before]);
  const seconds = (performance.now() - killed) / 1000;
  stage.quote([...server.logLines(/signal 9|terminating any other|reinitializing/), greeting].join('\n'));
  stage.seen(seconds < RESTART_SECONDS, `"hello" is back after ${seconds.toFixed(1)} s: nobody waits for intervals now`);
  await stage.waitFor('the end of the session', () => sessionError);
  stage.seen(true, `the session was ended with all the others: "${sessionError?.message}"`);
  scene.session = await connect(server.dir);
  const workers = (await scene.session.activity()).filter(({ kind }) => kind === 'background worker').map(({ name }) => name);
  stage.seen(workers.join() === 'hello', 'a new session finds "hello", and the workers of worker_spi no more');
  const { rows } = await client.query('SELECT value FROM schema1.counted');
  stage.seen(rows[0]?.value === 42, "the database server, a program of its own, went on, and so did the client's connection");
  stage.rule(
    `Any end but status 0 or 1 is a crash. Whoever is attached to shared memory is ended, the memory is made anew, and workers with a restart time
    start at once. Those with BGW_NEVER_RESTART are forgotten, static ones too.`,
  );
}

/** @param {Stage} stage @param {Server} server @param {Scene} scene */
async function stop(stage, server, { session, client }) {
  await client.end();
  await session.close();
  server.processes(); // a last look: these must be gone at the end
  stage.command(`bgworker stop -D ${server.dir}`);
  const { status, output } = await server.run('stop');
  stage.quote(output);
  const exitStatus = await server.exited;
  stage.quote(
    server
      .logLines(/received fast|FATAL: {2}terminating background worker "hello"|is shut down/)
      .slice(-3)
      .join('\n'),
  );
  stage.seen(status === 0 && exitStatus === 0, 'the server has ended, with exit status 0');
  stage.rule(
    `Fast: workers and sessions get SIGTERM, transactions are rolled back, and when all have ended so does the database, and at last the postmaster.
    Smart waits for sessions first; immediate waits for nobody.`,
  );
}

/** @param {Stage} stage @param {Server} server @param {boolean} keep */
async function nothing(stage, server, keep) {
  const processes = server.leftProcesses();
  if (processes.length > 0) throw new NotSeen(`no process left; there is ${processes.join(', ')}`);
  stage.seen(true, 'no process is left, and no zombie');
  const files = server.leftFiles();
  if (files.length > 0) throw new NotSeen(`no socket or lock file left; there is ${files.join(', ')}`);
  stage.seen(true, 'no socket and no lock file is left');
  if (keep) {
    stage.say(`The directory ${server.top} is kept, as you wished.`);
    return;
  }
  server.remove();
  stage.seen(!server.exists, `${server.top} is removed`);
}

/** @param {Stage} stage @param {Server} server @param {boolean} keep */
export async function play(stage, server, keep) {
  const scene = /** @type {Scene} */ ({});
  await stage.act('static workers', () => start(stage, server));
  scene.client = new pg.Client(ownedConninfo(server.dir));
  scene.client.on('error', () => undefined); // its end is the server's, when we break off
  await scene.client.connect();
  scene.session = await connect(server.dir);
  await stage.act('a worker works', () => deltas(stage, server, scene));
  await stage.act('a dynamic worker', () => launch(stage, server, scene));
  await stage.act('the listing', () => list(stage, server, scene));
  await stage.act('kill and restart', () => kill(stage, server, scene));
  await stage.act('a crash', () => crash(stage, server, scene));
  await stage.act('fast shutdown', () => stop(stage, server, scene));
  await stage.act('nothing left', () => nothing(stage, server, keep));
}
