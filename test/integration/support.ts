// What the integration tests have in common: one postmaster for a file, workers of the fixtures, and what these say in the log.
import { afterAll, afterEach, beforeAll, expect, onTestFinished } from 'vitest';
import type { BackgroundWorkerHandle } from '../../dist/bgworker/handle.js';
import type { Session, SessionBackgroundWorker } from '../../dist/session/client.js';
import { BGWH_STARTED, BGWORKER_SHMEM_ACCESS, BGW_NEVER_RESTART, BgWorkerStart_RecoveryFinished } from '../../src/constants.js';
import { type Postmaster, type PostmasterOptions, fixture, startPostmaster, waitUntil } from '../helpers/index.js';
import { standIn } from '../helpers/stand-in.js';

export const WORKERS: string = fixture('workers.mjs');
export const CALLS: string = fixture('calls.mjs');

export const NOT_YET_STARTED = { status: 1 } as const;
export const STOPPED = { status: 2 } as const;

/** A postmaster for all tests of a file, with the fixtures preloaded: forks are cheap then. Its log is shown where one of them fails. Properties are those of the running one. */
export function sharedPostmaster(options: PostmasterOptions = {}): Postmaster {
  let running: Awaited<ReturnType<typeof startPostmaster>> | undefined;
  let shown = 0;
  beforeAll(async () => {
    running = await startPostmaster({ preload: [WORKERS, CALLS], ...options });
  });
  afterAll(() => running?.end());
  afterEach(({ task }) => {
    const log = running?.pm.log() ?? '';
    if (task.result?.state === 'fail') process.stderr.write(`--- log of the postmaster, since the last test\n${log.slice(shown)}---\n`);
    shown = log.length;
  });
  return standIn(() => running?.pm as Postmaster);
}

/** A session for the length of a test. */
export async function openSession(pm: Postmaster): Promise<Session> {
  const session = await pm.connect();
  onTestFinished(() => session.close());
  return session;
}

/** A session as soon as one can be had, while a postmaster begins again after a crash. */
export async function reopenSession(pm: Postmaster): Promise<Session> {
  const attempt = (): Promise<Session | null> =>
    pm.connect().catch((err: Error & { code?: string }) => {
      if (err.code === '57P03') return null; // the database system is in recovery mode
      throw err;
    });
  const session = await waitUntil(attempt, { what: 'a session after the crash' });
  onTestFinished(() => session.close());
  return session;
}

/** A worker that runs a function of the fixture, is never restarted, and notifies the session that registers it. */
export function worker(functionName: string, fields: Partial<SessionBackgroundWorker> = {}): SessionBackgroundWorker {
  return {
    name: functionName,
    flags: BGWORKER_SHMEM_ACCESS,
    startTime: BgWorkerStart_RecoveryFinished,
    restartTime: BGW_NEVER_RESTART,
    libraryName: WORKERS,
    functionName,
    notifyPid: 'self',
    ...fields,
  };
}

/** Registers where there must be room; ended at the end of the test, since the postmaster has others to serve. */
export async function register(session: Session, descriptor: SessionBackgroundWorker): Promise<BackgroundWorkerHandle> {
  const handle = await session.registerDynamicBackgroundWorker(descriptor);
  if (handle === null) throw new Error(`no slot for worker "${descriptor.name}"`);
  return handle;
}

/** Registers, and waits until it has been started. For workers that stay. */
export async function launch(session: Session, descriptor: SessionBackgroundWorker): Promise<{ handle: BackgroundWorkerHandle; pid: number }> {
  const handle = await register(session, descriptor);
  const { status, pid } = await session.waitForBackgroundWorkerStartup(handle);
  expect(status).toBe(BGWH_STARTED);
  return { handle, pid: pid as number };
}

/**
 * Registers one that ends by itself, and waits for that; the pid it had, from the line of its exit. `launch` would race with it: by the time
 * that its registrant asks, it may be gone.
 */
export async function runToEnd(pm: Postmaster, session: Session, descriptor: SessionBackgroundWorker): Promise<number> {
  const handle = await register(session, descriptor);
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  const exited = `LOG:  background worker "${descriptor.name}" (PID `;
  await pm.waitForLog(exited);
  return parseInt(pm.log().split(exited).at(-1) as string, 10);
}

/** Asks for the end of a worker and waits for it. */
export async function end(session: Session, handle: BackgroundWorkerHandle): Promise<void> {
  await session.terminateBackgroundWorker(handle);
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
}

export interface Said {
  /** Who wrote the line. */
  readonly pid: number;
  readonly data: unknown;
}

/** Waits until the process is seen to wait for that, by class and name. */
export async function seenToWait(session: Session, pid: number, type: string | null, event: string | null): Promise<void> {
  let last: unknown;
  await waitUntil(
    async () => {
      const entry = (await session.activity()).find((candidate) => candidate.pid === pid);
      last = [entry?.waitEventType, entry?.waitEvent];
      return entry !== undefined && entry.waitEventType === type && entry.waitEvent === event;
    },
    { what: () => `process ${pid} to wait for ${type}/${event}; it waits for ${String(last)}` },
  );
}

/** What a worker of the fixture has said under its name. */
export function said(pm: Postmaster, name: string, event: string): Said[] {
  const lines = [...pm.log().matchAll(/\[(\d+)\] LOG:  @(\S+) (\S+) (.*)/g)];
  return lines
    .filter((line) => line[2] === name && line[3] === event)
    .map((line) => ({ pid: Number(line[1]), data: JSON.parse(line[4] as string) as unknown }));
}

/** Waits until it has said it so many times; the last of them. */
export async function waitForSaid(pm: Postmaster, name: string, event: string, times = 1): Promise<Said> {
  const all = await waitUntil(() => [said(pm, name, event)].find((found) => found.length >= times), {
    what: () => `"${event}" of worker "${name}", ${times} times; the log:\n${pm.log()}`,
  });
  return all[times - 1] as Said;
}

/** The lines of the log that have all of this, without what stands before the level. */
export function logLines(pm: Postmaster, ...parts: string[]): string[] {
  return pm
    .log()
    .split('\n')
    .filter((line) => parts.every((part) => line.includes(part)))
    .map((line) => line.replace(/^\S+ \S+ \S+ \[\d+\] /, ''));
}

/** What an error of a session's is, as an object to compare. */
export async function errorOf(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  const error = (await promise.then(
    (value) => new Error(`it was no error, but ${String(value)}`),
    (err: unknown) => err,
  )) as Error & Record<string, unknown>;
  const { name, message, code, severity, detail, hint, context } = error;
  return Object.fromEntries(Object.entries({ name, message, code, severity, detail, hint, context }).filter(([, value]) => value !== undefined));
}
