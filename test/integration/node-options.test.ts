// Options and environment of Node: each works, or is refused by name; and a postmaster whose flags are missing or gainsaid gets them. docs/fork-safety.md.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dist, fixture, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { STOPPED, openSession, register, worker } from './support.js';

const LIBRARY = fixture('facility-workers.mjs');
/** Number of "garbage, compiling, vm" and "worker_threads that allocate", side by side. */
const WORK = 21 + 7 * 23;
const major = Number.parseInt(process.versions.node, 10);

/** A module that does nothing but be there. */
function writeRequired(): string {
  const file = join(tempDir(), 'required.cjs');
  writeFileSync(file, 'globalThis.required = true;');
  return file;
}

interface Given {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a postmaster with these flags alone, and waits until it is ready or has ended. */
async function start({ flags = [], env = {} }: Given, settings: readonly string[] = [], cwd: string = process.cwd()) {
  const top = tempDir();
  const dir = join(top, 'data');
  mkdirSync(dir, { mode: 0o700 });
  const root = process.getuid?.() === 0 ? ['-c', 'allow_root=on'] : [];
  const common = ['-c', 'database=none', '-c', 'allow_writable_libraries=on', '-c', `shared_preload_libraries=${LIBRARY}`];
  const child = spawn(process.execPath, [...flags, dist('postmaster/main.js'), '-D', dir, ...common, ...root, ...settings], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
    cwd,
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exited = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGQUIT');
    await exited;
  });
  await waitUntil(() => log.includes('ready to accept connections') || child.exitCode !== null, {
    timeoutMs: 40_000,
    what: () => `a start:\n${log}`,
  });
  return { dir, top, child, exited, log: () => log };
}

describe('works', () => {
  test.each<[string, Given]>([
    ['no flags at all', {}],
    ['flags that gainsay ours', { flags: ['--single-threaded', '--v8-pool-size=1', '--no-single-threaded', '--v8-pool-size=4'] }],
    ['a pool in NODE_OPTIONS', { env: { NODE_OPTIONS: '--v8-pool-size=4 --max-old-space-size=300' } }],
    ['helpers of V8’s asked for', { flags: ['--concurrent-recompilation', '--parallel-scavenge', '--concurrent-marking'] }],
    ['--require and --import', { flags: ['--require', 'REQUIRED', '--import', 'data:text/javascript,globalThis.imported=1'] }],
    ['NODE_COMPILE_CACHE, NODE_V8_COVERAGE', { env: { NODE_COMPILE_CACHE: 'CACHE', NODE_V8_COVERAGE: 'COVERAGE' } }],
    [
      '--experimental-vm-modules, --experimental-shadow-realm, --random-seed, --max-old-space-size',
      { flags: ['--experimental-vm-modules', '--experimental-shadow-realm', '--random-seed=7', '--max-old-space-size=300'] },
    ],
    // Nodes 20 and 22 themselves cannot: their fetch begins with WebAssembly, which is not there then.
    ...(major >= 24 ? [['--jitless', { flags: ['--jitless'] }] as [string, Given]] : []),
    ...(major >= 22 ? [['--disable-sigusr1', { flags: ['--disable-sigusr1'] }] as [string, Given]] : []),
    ...(major >= 24 ? [['--use-system-ca', { flags: ['--use-system-ca'] }] as [string, Given]] : []),
    ...(major >= 24
      ? [['--permission', { flags: ['--permission', '--allow-addons', '--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker', '--allow-net'].filter((flag) => major >= 25 || flag !== '--allow-net') }] as [string, Given]] // prettier-ignore
      : []),
  ])('%s', async (_what, { flags = [], env = {} }) => {
    const own = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, /^[A-Z]+$/.test(value) ? join(tempDir(), value) : value]));
    const { dir, log } = await start({ flags: flags.map((flag) => (flag === 'REQUIRED' ? writeRequired() : flag)), env: own });
    const { connect } = (await import(dist('index.js'))) as typeof import('../../dist/index.js');
    const session = await connect(dir);
    onTestFinished(() => session.close());
    const handle = await register(session, worker('facility', { name: 'works', mainArg: WORK, libraryName: LIBRARY }));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(log()).toContain('@works worked ["garbage, compiling, vm","worker_threads that allocate"]');
  });

  test('UV_THREADPOOL_SIZE: in the child, too', async () => {
    const env = { UV_THREADPOOL_SIZE: '2' };
    await withPostmaster({ preload: [LIBRARY], env }, async (pm) => {
      const session = await openSession(pm);
      const handle = await register(session, worker('facility', { name: 'pool', mainArg: 5 + 5 * 23, libraryName: LIBRARY }));
      expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
      expect(pm.log()).toContain('@pool worked ["thread pool","thread pool"]');
    });
  });

  test('a channel of child_process.fork is closed: nobody would serve it', async () => {
    const top = tempDir();
    const program = join(top, 'parent.mjs');
    const args = ['-D', join(top, 'data'), '-c', 'database=none', ...(process.getuid?.() === 0 ? ['-c', 'allow_root=on'] : [])];
    mkdirSync(join(top, 'data'), { mode: 0o700 });
    writeFileSync(
      program,
      `import { fork } from 'node:child_process';
       const flags = ['--single-threaded', '--v8-pool-size=1', '--no-memory-reducer', '--no-flush-bytecode'];
       const child = fork(${JSON.stringify(dist('postmaster/main.js'))}, ${JSON.stringify(args)}, { execArgv: flags, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
       child.once('disconnect', () => { console.log('disconnected', child.exitCode); child.kill('SIGINT'); });
       child.once('exit', (status) => console.log('exit', status));`,
    );
    const parent = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    parent.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(parent, 'close');
    expect(said).toMatch(/^disconnected null\nexit (0|null)\n$/);
  });
});

describe('refused, by name', () => {
  test.each<[string, Given, string]>([
    ['--inspect', { flags: ['--inspect=127.0.0.1:0'] }, 'option "--inspect" of Node, given on the command line, cannot be used for a postmaster'],
    [
      'NODE_OPTIONS',
      { env: { NODE_OPTIONS: '--inspect=127.0.0.1:0' } },
      'option "--inspect" of Node, given in NODE_OPTIONS, cannot be used for a postmaster',
    ],
    ...['--cpu-prof', '--heap-prof', '--trace-event-categories', '--report-on-signal', '--heapsnapshot-signal', '--frozen-intrinsics'].map(
      (option): [string, Given, string] => [
        option,
        { flags: [['--trace-event-categories', '--heapsnapshot-signal'].includes(option) ? `${option}=SIGUSR2` : option] },
        `option "${option}" of Node, given on the command line, cannot be used for a postmaster`,
      ],
    ),
    [
      '--experimental-loader',
      { flags: ['--experimental-loader=data:text/javascript,'] },
      'option "--experimental-loader" of Node, given on the command line, cannot be used for a postmaster',
    ],
    // All that a program can see of it. Node itself would start it again and again.
    ['--watch', { env: { WATCH_REPORT_DEPENDENCIES: '1' } }, 'option "--watch" of Node, given on the command line, cannot be used for a postmaster'],
    [
      'hooks in a thread',
      { flags: ['--import', 'HOOKS'] },
      'what Node has loaded by its options has left something behind that does not survive a fork',
    ],
  ])('%s', async (_what, { flags = [], env = {} }, message) => {
    const top = tempDir();
    const hooks = join(top, 'hooks.mjs');
    writeFileSync(
      hooks,
      `import { register } from 'node:module'; register('data:text/javascript,export async function resolve(a, b, next) { return next(a, b); }');`,
    );
    const { log, exited } = await start({ flags: flags.map((flag) => (flag === 'HOOKS' ? hooks : flag)), env }, [], top);
    expect(await exited).toEqual([1, null]);
    expect(log()).toContain(`FATAL:  ${message}\n`);
    expect(log()).toMatch(/\n[^\n]*DETAIL: {2}.*\n[^\n]*HINT: {2}/);
  });

  test('hooks in a thread are a warning where preload_audit says so', async () => {
    const hooks = join(tempDir(), 'hooks.mjs');
    writeFileSync(
      hooks,
      `import { register } from 'node:module'; register('data:text/javascript,export async function resolve(a, b, next) { return next(a, b); }');`,
    );
    const { log } = await start({ flags: ['--import', hooks] }, ['-c', 'preload_audit=warning']);
    expect(log()).toContain('WARNING:  what Node has loaded by its options');
    expect(log()).toContain('ready to accept connections');
  });
});
