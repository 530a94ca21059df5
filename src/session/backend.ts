// A session's backend: a process of the postmaster's that serves one application. It is a regular backend: it registers, polls, waits,
// terminates, and runs functions of libraries on the application's behalf, several at a time where they are asynchronous.
// PostgreSQL: src/backend/tcop/postgres.c (PostgresMain), src/backend/postmaster/postmaster.c (BackendInitialize).

import { writeSync } from 'node:fs';
import { Socket } from 'node:net';

import { bgStatGetActivity } from './activity.js';
import { channelCalls } from './backend-channels.js';
import type { SessionBackgroundWorker } from './client.js';
import { ClientPort } from './client-port.js';
import {
  FrameReader,
  PROTOCOL_VERSION,
  UNEXPECTED_POSTMASTER_EXIT,
  type BackendMessage,
  type CallMessage,
  encodeFrame,
  plain,
  toWireError,
} from './protocol.js';
import type { BackgroundWorker } from '../bgworker/background-worker.js';
import {
  type BackgroundWorkerHandle,
  getBackgroundWorkerPid,
  getBackgroundWorkerTypeByPid,
  terminateBackgroundWorker,
  waitForBackgroundWorkerShutdown,
  waitForBackgroundWorkerStartup,
} from '../bgworker/handle.js';
import { loadExternalFunction } from '../bgworker/library.js';
import { registerDynamicBackgroundWorker } from '../bgworker/register.js';
import {
  ERRCODE_ADMIN_SHUTDOWN,
  ERRCODE_CONNECTION_FAILURE,
  ERRCODE_CRASH_SHUTDOWN,
  ERRCODE_PROTOCOL_VIOLATION,
  ERRCODE_UNDEFINED_FUNCTION,
} from '../elog/errcodes.js';
import { ERROR, ErrorData, FATAL, INFO, levelName } from '../elog/error-data.js';
import { emitErrorReport, ereport, setClientSink } from '../elog/elog.js';
import { myProcPid, postmasterPid, setMyProcPort } from '../globals.js';
import { procExit } from '../ipc/exit.js';
import { WL_POSTMASTER_DEATH, myLatch, setMyLatch, waitLatch } from '../ipc/latch.js';
import { lwLockReleaseAll } from '../ipc/lwlock.js';
import { conditionVariableCancelSleep } from '../ipc/condition-variable.js';
import { initProcess, pgstatReportWaitEnd } from '../ipc/proc.js';
import { floatExceptionHandler, procsignalSigusr1Handler, signalHandlerForConfigReload, statementCancelHandler } from '../ipc/interrupt.js';
import { SIG_DFL, SIG_IGN, UNEXPECTED_QUIT, armLastWords, backgroundWorkerUnblockSignals, dieInOrder, pqsignal } from '../ipc/signals.js';
import { WAIT_EVENT_CLIENT_READ } from '../ipc/wait-event.js';
import { postAuthDelay } from '../ipc/post-auth-delay.js';
import { initPsDisplay } from '../ipc/ps-status.js';
import { check, native } from '../native.js';
import { HEADER } from '../shmem/layout.js';

/** What the postmaster accepted. */
export interface ClientConnection {
  readonly fd: number;
  readonly pid: number;
  readonly uid: number;
}

// The ready-made calls. Each is a function of the public API under its own name.
const readyMade: Readonly<Record<string, (...args: never[]) => unknown>> = {
  registerDynamicBackgroundWorker: (worker: SessionBackgroundWorker) =>
    registerDynamicBackgroundWorker((worker?.notifyPid === 'self' ? { ...worker, notifyPid: myProcPid } : worker) as BackgroundWorker),
  getBackgroundWorkerPid: (handle: BackgroundWorkerHandle) => getBackgroundWorkerPid(handle),
  waitForBackgroundWorkerStartup: (handle: BackgroundWorkerHandle) => waitForBackgroundWorkerStartup(handle),
  waitForBackgroundWorkerShutdown: (handle: BackgroundWorkerHandle) => waitForBackgroundWorkerShutdown(handle),
  terminateBackgroundWorker: (handle: BackgroundWorkerHandle) => terminateBackgroundWorker(handle),
  getBackgroundWorkerTypeByPid: (pid: number) => getBackgroundWorkerTypeByPid(pid),
  activity: () => bgStatGetActivity(),
  ...channelCalls,
};

function isCall(message: unknown): message is CallMessage {
  const { type, id, library, function: name, args } = (message ?? {}) as Partial<CallMessage>;
  return type === 'call' && typeof id === 'number' && typeof library === 'string' && typeof name === 'string' && Array.isArray(args);
}

async function call(message: CallMessage): Promise<unknown> {
  const { library, function: name, args } = message;
  if (library !== '') return (await loadExternalFunction(library, name))(...(args as never[]));
  const ready = Object.hasOwn(readyMade, name) ? readyMade[name] : undefined;
  if (ready === undefined) throw new ErrorData({ code: ERRCODE_UNDEFINED_FUNCTION, message: `function "${name}" does not exist` });
  return ready(...(args as never[]));
}

class Backend {
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #reader = new FrameReader();
  readonly #port: ClientPort;
  #underWay = 0;
  #failed = false;

  constructor({ fd, uid }: ClientConnection) {
    this.#fd = fd;
    this.#port = new ClientPort(uid);
    setMyProcPort(this.#port);
    this.#socket = new Socket({ fd, readable: true, writable: true });
  }

  serve(): void {
    this.#send({ type: 'ready', version: PROTOCOL_VERSION, backendPid: myProcPid, postmasterPid });
    setClientSink((level, fields) => {
      if (level >= FATAL) this.#sendNow({ type: 'fatal', error: { ...plain(fields), severity: level > FATAL ? 'PANIC' : 'FATAL' } });
      // An ERROR reaches the client as the answer to its call.
      else if (level >= INFO && level < ERROR) this.#send({ type: 'notice', level: levelName(level), error: plain(fields) });
    });
    this.#socket.on('data', (chunk) => this.#receive(chunk));
    this.#socket.on('error', () => this.#leave()); // an unclean end (ECONNRESET) is no different
    this.#socket.on('close', () => this.#leave());
  }

  // The application is gone: so are we, whatever is under way. (ClientConnectionLost in ProcessInterrupts, which PostgreSQL comes to when it wants to answer.)
  #leave(): never {
    if (this.#underWay > 0) ereport(FATAL, { code: ERRCODE_CONNECTION_FAILURE, message: 'connection to client lost' });
    return procExit(0);
  }

  #receive(chunk: Buffer): void {
    pgstatReportWaitEnd(); // for the client, which is here
    let messages: unknown[];
    try {
      messages = this.#reader.push(chunk);
    } catch (err) {
      ereport(FATAL, err as ErrorData);
      return;
    }
    for (const message of messages) {
      if (!isCall(message)) ereport(FATAL, { code: ERRCODE_PROTOCOL_VIOLATION, message: 'invalid message from the application' });
      else void this.#answer(message);
    }
  }

  async #answer(message: CallMessage): Promise<void> {
    const { id } = message;
    const ended = this.#port.called(message.function);
    this.#underWay++;
    let answer: Buffer;
    try {
      answer = encodeFrame({ type: 'result', id, value: await call(message) });
    } catch (err) {
      emitErrorReport(err);
      answer = encodeFrame({ type: 'error', id, error: toWireError(err) });
      this.#failed = true;
    }
    ended();
    this.#underWay--;
    this.#cleanUp(); // before the application hears of it
    this.#socket.write(answer);
  }

  // An error releases all locks and ends sleeps on condition variables, as the end of a failed transaction does in PostgreSQL. They are the process's, and not
  // a call's: where other calls are under way, theirs would go, too, so it is done when the last one has ended.
  #cleanUp(): void {
    if (!this.#failed || this.#underWay > 0) return;
    this.#failed = false;
    lwLockReleaseAll();
    conditionVariableCancelSleep();
  }

  #send(message: BackendMessage): void {
    this.#socket.write(encodeFrame(message));
  }

  // On the way out there is no next turn of the loop. What libuv has queued would have to go first; then the closed connection tells it all.
  #sendNow(message: BackendMessage): void {
    if (this.#socket.writableLength > 0 || this.#socket.destroyed) return; // a closed descriptor's number may be another's
    try {
      writeSync(this.#fd, encodeFrame(message));
    } catch {
      // the application is gone, or does not read
    }
  }
}

// What PostgreSQL's quickdie says, by the postmaster's reason. The handler sends the bytes as they are.
function armQuitMessages(fd: number): void {
  const warning = (code: string, message: string, more: { detail?: string; hint?: string } = {}): Buffer =>
    encodeFrame({ type: 'notice', level: 'WARNING', error: { code, message, ...more } });
  const messages = [
    warning(ERRCODE_ADMIN_SHUTDOWN, UNEXPECTED_QUIT),
    warning(ERRCODE_CRASH_SHUTDOWN, 'terminating connection because of crash of another server process', {
      detail:
        'The postmaster has commanded this server process to roll back the current transaction and exit, because another server process exited abnormally and possibly corrupted shared memory.',
      hint: 'In a moment you should be able to reconnect to the database and repeat your command.',
    }),
    warning(ERRCODE_ADMIN_SHUTDOWN, 'terminating connection due to immediate shutdown command'),
  ];
  check(native.setQuitMessages(fd, messages, HEADER.quitReason), 'setQuitMessages');
}

/** Runs in a fresh child, for its whole life. Returns to the event loop; ends by procExit. */
export function backendMain(procIndex: number, client: ClientConnection): void {
  const name = `session of PID ${client.pid}`;
  setMyLatch(initProcess(procIndex, { pid: myProcPid, kind: 'client backend', name, type: 'client backend', workerSlot: -1 }));
  initPsDisplay(name);
  postAuthDelay();
  pqsignal('SIGTERM', dieInOrder);
  pqsignal('SIGINT', statementCancelHandler);
  pqsignal('SIGUSR1', procsignalSigusr1Handler);
  pqsignal('SIGHUP', signalHandlerForConfigReload);
  pqsignal('SIGCHLD', SIG_DFL);
  pqsignal('SIGFPE', floatExceptionHandler);
  for (const signal of ['SIGALRM', 'SIGPWR'] as const) pqsignal(signal, () => undefined);
  for (const signal of ['SIGUSR2', 'SIGPIPE', 'SIGTTIN', 'SIGTTOU', 'SIGXFSZ'] as const) pqsignal(signal, SIG_IGN);
  const fail = (err: unknown): never => {
    emitErrorReport(err, FATAL);
    return procExit(1);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  void waitLatch(myLatch, WL_POSTMASTER_DEATH, -1, { waitEventInfo: WAIT_EVENT_CLIENT_READ }).then(() => {
    ereport(FATAL, { code: ERRCODE_ADMIN_SHUTDOWN, message: UNEXPECTED_POSTMASTER_EXIT });
  });
  armLastWords();
  armQuitMessages(client.fd);
  // Before the application hears that the backend is ready: who signals it then finds it ready indeed.
  backgroundWorkerUnblockSignals();
  new Backend(client).serve();
}
