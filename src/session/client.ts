// A session, from the application's side. Any Node process; nothing here needs shared memory.
// PostgreSQL: libpq's place. DIFFERS FROM POSTGRES: see protocol.ts.

import { EventEmitter } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join, resolve } from 'node:path';

import type { ActivityEntry } from './activity.js';
import { SessionChannel } from './channel.js';
import { connectionError, endHint, versionError } from './connection-errors.js';
import { SessionSocket } from './session-socket.js';
import { postmasterIsGone } from './postmaster-gone.js';
import {
  type BackendMessage,
  FrameReader,
  PROTOCOL_VERSION,
  SOCKET_NAME,
  UNEXPECTED_POSTMASTER_EXIT,
  type WireError,
  encodeFrame,
} from './protocol.js';
import type { BackgroundWorker } from '../bgworker/background-worker.js';
import type { BackgroundWorkerHandle, BackgroundWorkerStatus } from '../bgworker/handle.js';
import { BGWH_POSTMASTER_DIED } from '../constants.js';
import { ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { native, systemError } from '../native.js';

interface PendingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (err: Error) => void;
}

/** A worker as a session registers it: `notifyPid: 'self'` is the session's own backend, which is what waiting needs. */
export type SessionBackgroundWorker = Omit<BackgroundWorker, 'main' | 'notifyPid'> & { notifyPid?: number | 'self' };

/**
 * A connection of an application to a postmaster, served by a backend of its own. Several calls may be under way at a time. Made by
 * {@link connect}; ends by `close()`, by the backend's end, or with the postmaster.
 *
 * Events: `notice` (an ErrorData-like object with `level`) for what the backend reports below ERROR; `close` (an ErrorData or undefined).
 */
export class Session extends EventEmitter<{ notice: [Omit<WireError, 'severity'> & { level: string }]; close: [ErrorData | undefined] }> {
  /** The pid of the session's backend: what `notifyPid: 'self'` stands for. */
  readonly backendPid: number;
  readonly postmasterPid: number;
  /** Resolves when the session has ended, with the error that ended it, or undefined after `close()`. */
  readonly closed: Promise<ErrorData | undefined>;

  readonly #socket: Socket;
  readonly #calls = new Map<number, PendingCall>();
  #nextId = 1;
  #closing = false;
  #end: { error: ErrorData | undefined } | null = null;
  #fatal: ErrorData | undefined;
  #saidWhy = false;

  /** @internal */
  constructor(socket: Socket, reader: FrameReader, pids: { backendPid: number; postmasterPid: number }, early: readonly BackendMessage[] = []) {
    super();
    this.#socket = socket;
    this.backendPid = pids.backendPid;
    this.postmasterPid = pids.postmasterPid;
    this.closed = new Promise((resolve) => this.once('close', resolve));
    socket.on('data', (chunk) => this.#receive(reader, chunk));
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => this.#finish());
    // What came before `ready` or in one piece with it: a backend that is told to go at once says so.
    for (const message of early) this.#take(message);
  }

  /**
   * Runs an exported function of a library in the session's backend.
   *
   * @param library a path or name, as `libraryName` of a worker
   * @param functionName an export of it; its result, or what its promise resolves to, is the call's
   * @param args anything that can be structured-cloned; so must the result be
   * @returns the function's result
   * @throws ErrorData what the function threw, with message, detail, hint and SQLSTATE; 08006 where the session ends first
   * @example const rows = await session.call('./reports.js', 'daily', { day: new Date() });
   */
  call(library: string, functionName: string, ...args: unknown[]): Promise<unknown> {
    if (typeof library !== 'string' || library === '') return Promise.reject(new TypeError('library must be a non-empty string'));
    if (typeof functionName !== 'string') return Promise.reject(new TypeError('function name must be a string'));
    return this.#request(library, functionName, args);
  }

  /** Registers a worker, as the function of that name does in the backend. @returns a handle, or null where no slot is free. @throws ErrorData 22023 */
  async registerDynamicBackgroundWorker(worker: SessionBackgroundWorker): Promise<BackgroundWorkerHandle | null> {
    if (typeof (worker as BackgroundWorker | null)?.main === 'function') {
      throw new TypeError('a session cannot register a worker by its main function; give libraryName and functionName');
    }
    return (await this.#builtIn('registerDynamicBackgroundWorker', worker)) as BackgroundWorkerHandle | null;
  }

  /**
   * Registers a worker with a channel to it; the worker opens its end with `acceptWorkerChannel(mainArg)`. `mainArg` and `notifyPid` are set here.
   * @param options `queueSize`: bytes of the queue in each direction, 65,536 where nothing else is said
   * @returns null where no slot is free
   */
  openChannel(
    worker: Omit<SessionBackgroundWorker, 'mainArg' | 'notifyPid'>,
    options?: { readonly queueSize?: number },
  ): Promise<SessionChannel | null> {
    return SessionChannel.open((name, ...args) => this.#builtIn(name, ...args), worker, options);
  }

  /** The status of a worker, without waiting. */
  async getBackgroundWorkerPid(handle: BackgroundWorkerHandle): Promise<BackgroundWorkerStatus> {
    return (await this.#builtIn('getBackgroundWorkerPid', handle)) as BackgroundWorkerStatus;
  }

  /** Waits until the postmaster has tried to start the worker; it must have been registered with `notifyPid: 'self'` by this session.
   * Resolves with BGWH_POSTMASTER_DIED where the postmaster goes first. */
  async waitForBackgroundWorkerStartup(handle: BackgroundWorkerHandle): Promise<BackgroundWorkerStatus> {
    return (await this.#wait('waitForBackgroundWorkerStartup', handle, { status: BGWH_POSTMASTER_DIED })) as BackgroundWorkerStatus;
  }

  /** Waits until the worker is not running. The same conditions. */
  async waitForBackgroundWorkerShutdown(handle: BackgroundWorkerHandle): Promise<number> {
    return (await this.#wait('waitForBackgroundWorkerShutdown', handle, BGWH_POSTMASTER_DIED)) as number;
  }

  /** Asks the postmaster to end a worker for good. Does not wait. */
  async terminateBackgroundWorker(handle: BackgroundWorkerHandle): Promise<void> {
    await this.#builtIn('terminateBackgroundWorker', handle);
  }

  /** The type of the worker that runs under this pid, or null. */
  async getBackgroundWorkerTypeByPid(pid: number): Promise<string | null> {
    return (await this.#builtIn('getBackgroundWorkerTypeByPid', pid)) as string | null;
  }

  /** Every process of the postmaster, and the workers that have none at the moment. */
  async activity(): Promise<ActivityEntry[]> {
    return (await this.#builtIn('activity')) as ActivityEntry[];
  }

  /** Ends the session. Workers that it registered go on. Calls under way are rejected. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#socket.destroy();
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #builtIn(name: string, ...args: unknown[]): Promise<unknown> {
    return this.#request('', name, args);
  }

  // A wait that the postmaster's death cut off has an answer of its own; any other end of the session is an error.
  async #wait(name: string, handle: BackgroundWorkerHandle, postmasterDied: unknown): Promise<unknown> {
    try {
      return await this.#builtIn(name, handle);
    } catch (err) {
      // A backend that says why it ends (a crash cycle, a shutdown) has a postmaster.
      const silent = this.#end !== null && !this.#closing && !this.#saidWhy;
      if (silent && (await postmasterIsGone(this.postmasterPid))) return postmasterDied;
      throw err;
    }
  }

  #request(library: string, name: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#end !== null) throw this.#end.error ?? connectionError('the session is closed');
      const id = this.#nextId++;
      const frame = encodeFrame({ type: 'call', id, library, function: name, args }); // throws before anything is pending
      this.#calls.set(id, { resolve, reject });
      this.#socket.write(frame);
    });
  }

  #receive(reader: FrameReader, chunk: Buffer): void {
    try {
      for (const message of reader.push(chunk)) this.#take(message as BackendMessage);
    } catch (err) {
      this.#fatal = err as ErrorData;
      this.#socket.destroy();
    }
  }

  #take(message: BackendMessage): void {
    switch (message.type) {
      case 'result':
        this.#settle(message.id, (call) => call.resolve(message.value));
        break;
      case 'error':
        this.#settle(message.id, (call) => call.reject(new ErrorData(message.error)));
        break;
      case 'notice':
        this.#saidWhy ||= message.error.code.startsWith('57P');
        this.emit('notice', { level: message.level, ...message.error });
        break;
      case 'fatal':
        this.#fatal = new ErrorData(message.error);
        this.#saidWhy ||= message.error.message !== UNEXPECTED_POSTMASTER_EXIT;
        break;
      case 'ready':
        break;
    }
  }

  #settle(id: number, how: (call: PendingCall) => void): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (call !== undefined) how(call);
  }

  #finish(): void {
    const error = this.#closing ? undefined : (this.#fatal ?? connectionError('the postmaster closed the session unexpectedly', endHint));
    this.#end = { error };
    for (const call of this.#calls.values()) call.reject(error ?? connectionError('the session was closed while the call was under way'));
    this.#calls.clear();
    this.emit('close', error);
  }
}

// A path longer than a socket's address may be: reached through a descriptor of its directory. Who listens there must be who the directory belongs to: a
// socket in a directory that somebody else may write could be anybody's, and what comes over it is taken apart by us.
function openSocket(dir: string): Socket {
  const fd = openSync(dir, 'r');
  try {
    const server = native.connect(`/proc/self/fd/${fd}/${SOCKET_NAME}`);
    if (typeof server === 'number') {
      const { code } = systemError(server, 'connect');
      throw Object.assign(new Error(`connect ${code} ${join(dir, SOCKET_NAME)}`), { code });
    }
    const owner = fstatSync(fd).uid;
    if (server.uid === owner) return new SessionSocket(server.fd);
    native.close(server.fd);
    throw new ErrorData({
      code: ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
      message: `peer authentication failed: process ${server.pid} of user ${server.uid} listens in a data directory of user ${owner}`,
    });
  } finally {
    closeSync(fd);
  }
}

/**
 * Connects an application to the postmaster of a data directory. A backend is forked for the session, in about a millisecond.
 *
 * @param dir the data directory
 * @throws ErrorData 08006 where no postmaster answers; what the postmaster refused with (57P03 while it starts or stops, 53300 with too many
 * sessions, 28000 for another user); 28000 where another user than the directory's owner answers
 * @example
 * const session = await connect('/var/lib/app/bgworker');
 * const handle = await session.registerDynamicBackgroundWorker({ …worker, notifyPid: 'self' });
 * await session.close();
 */
export async function connect(dir: string): Promise<Session> {
  if (typeof dir !== 'string') throw new TypeError(`data directory must be a string, not ${typeof dir}`);
  const path = resolve(dir);
  const noServer = (cause: unknown): ErrorData =>
    connectionError(`could not connect to the postmaster of "${path}"`, {
      detail: (cause as Error).message,
      hint: `Is it running? "bgworker status -D ${path}" tells, and "bgworker start -D ${path}" starts it.`,
      cause,
    });
  let socket: Socket;
  try {
    socket = openSocket(path);
  } catch (cause) {
    throw cause instanceof ErrorData ? cause : noServer(cause);
  }
  return handshake(socket, join(path, SOCKET_NAME), noServer);
}

function handshake(socket: Socket, path: string, noServer: (cause: unknown) => ErrorData): Promise<Session> {
  const reader = new FrameReader();
  const early: BackendMessage[] = [];
  return new Promise((resolve, reject) => {
    let failure: ErrorData | undefined;
    const onError = (err: Error): void => void (failure ??= noServer(err));
    const onClose = (): void => reject(failure ?? connectionError(`the postmaster closed the connection to "${path}"`));
    const onData = (chunk: Buffer): void => {
      const messages = reader.push(chunk) as BackendMessage[];
      // A backend that a crash cycle ends while it begins warns before it is ready.
      while (messages[0]?.type === 'notice') early.push(messages.shift() as BackendMessage);
      const [message, ...more] = messages;
      if (message === undefined) return;
      if (message.type === 'fatal') {
        failure = new ErrorData(message.error);
        return;
      }
      socket.off('error', onError).off('close', onClose).off('data', onData);
      if (message.type !== 'ready' || message.version !== PROTOCOL_VERSION) {
        socket.destroy();
        reject(versionError(message.type === 'ready' ? message.version : -1));
        return;
      }
      resolve(new Session(socket, reader, message, [...early, ...more]));
    };
    socket.on('error', onError).on('close', onClose).on('data', onData);
  });
}
