// Connections whose other end is gone without a word: a proxy that falls silent, a link that is cut. Workers end by the rules; the startup process sees it.
import { spawnSync } from 'node:child_process';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Postmaster, fixture, withPostmaster } from '../helpers/index.js';
import { sharedDatabaseServer } from './database-support.js';
import { launch, logLines, openSession, said, seenToWait, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('server-workers.mjs');

const server = sharedDatabaseServer();

/** On loopback, to the server's socket. Silent, it takes connections and bytes, and passes nothing on: its kernel goes on answering for it. */
class Proxy {
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  #silent = false;

  constructor() {
    this.#listener = createServer((near) => {
      const far = connect(`${server.dataDir}/pgsocket/.s.PGSQL.5432`);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (bytes) => this.#silent || to.write(bytes));
        from.on('end', () => this.#silent || to.end());
        from.on('error', () => {});
        from.on('close', () => this.#sockets.delete(from));
      }
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#listener.listen(0, '127.0.0.1', resolve));
    return (this.#listener.address() as AddressInfo).port;
  }

  fallSilent(): void {
    this.#silent = true;
  }

  /** For those who come from now on. */
  speak(): void {
    this.#silent = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#listener.close(resolve));
  }
}

async function throughProxy(body: (pm: Postmaster, proxy: Proxy) => Promise<void>): Promise<void> {
  const proxy = new Proxy();
  const port = await proxy.listen();
  onTestFinished(() => proxy.close());
  const settings = { database: `host=127.0.0.1 port=${port} user=postgres dbname=postgres sslmode=disable`, database_check_interval: 1 };
  await withPostmaster({ preload: [LIBRARY], settings }, (pm) => body(pm, proxy));
}

const querying = (name: string, query: string): ReturnType<typeof worker> =>
  worker('queries', { name, extra: query, flags: 3, libraryName: LIBRARY, restartTime: 1 });

describe('a proxy falls silent', () => {
  test('a worker that waits for an answer ends with FATAL and status 1, the startup process sees the server away; both come back', () =>
    throughProxy(async (pm, proxy) => {
      const session = await openSession(pm);
      const { pid } = await launch(session, querying('waiting', 'SELECT pg_sleep(600)'));
      await waitForSaid(pm, 'waiting', 'connected');
      proxy.fallSilent();
      await pm.waitForLog(`background worker "waiting" (PID ${pid}) exited with exit code 1`, 20_000);
      expect(logLines(pm, `[${pid}]`, 'FATAL')).toHaveLength(1);
      expect(logLines(pm, 'FATAL:  terminating connection because the connection to the database server was lost')).toHaveLength(1);
      expect(pm.log()).toContain('DETAIL:  The server has been silent for 2 s, and does not answer a new connection.');
      await pm.waitForLog('LOG:  connection to the database server was lost', 30_000);
      proxy.speak();
      await pm.waitForLog('LOG:  connection to the database server was restored', 30_000);
      await waitForSaid(pm, 'waiting', 'connected', 2);
    }));

  test('a worker that connects is seen to wait for that', () =>
    throughProxy(async (pm, proxy) => {
      const session = await openSession(pm);
      proxy.fallSilent();
      const { pid } = await launch(session, querying('connecting', 'SELECT 1'));
      await seenToWait(session, pid, 'Client', 'LibPQWalReceiverConnect');
    }));

  test('a query that takes many intervals is left alone while the server lives', () =>
    throughProxy(async (pm) => {
      const session = await openSession(pm);
      await launch(session, querying('patient', 'SELECT pg_sleep(4)'));
      await waitForSaid(pm, 'patient', 'answered');
      expect(said(pm, 'patient', 'connected')).toHaveLength(1);
    }));
});

describe('a link is cut', () => {
  /** In a network of its own, which only root (or root in a namespace of its own) can have. */
  function inNetwork(mode: string): { skipped: string } | { fatal: string; ms: number } {
    const unshare = process.geteuid?.() === 0 ? ['--net'] : ['--user', '--map-root-user', '--net'];
    const script = fixture('cut-link.mjs');
    const run = spawnSync('unshare', [...unshare, process.execPath, script, mode, `${server.dataDir}/pgsocket/.s.PGSQL.5432`], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    if (run.error !== undefined || /unshare failed|Operation not permitted|ip: not found/.test(run.stderr))
      return { skipped: run.error?.message ?? run.stderr };
    expect(run.stderr).toBe('');
    return JSON.parse(run.stdout) as { fatal: string; ms: number };
  }

  test.each([
    ['keepalives find it where nobody speaks', 'keepalives'],
    ['tcp_user_timeout finds it where what was sent is not acknowledged', 'user timeout'],
  ])('%s', (_what, mode) => {
    const result = inNetwork(mode);
    if ('skipped' in result) process.stderr.write(`half-open.test.ts: not tried, there is no network of its own: ${result.skipped}\n`);
    else expect(result.fatal).toBe('terminating connection because the connection to the database server was lost');
  });
});
