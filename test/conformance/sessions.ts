// Sessions of a scenario, with the habits of the oracle's client: it opens a session when it is first named, learns of messages and of its end only when it
// next asks for something, and opens a lost session again where a statement needs one. Runs in the judge.

import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Session } from '../../dist/session/client.js';
import type { BackgroundWorkerHandle } from '../../dist/bgworker/handle.js';
import type { ErrorData } from '../../dist/elog/error-data.js';
import type { Cluster } from './cluster.js';
import { LIBRARY } from './registration.js';

/** How a session went: what to write after the arrow. */
export class SessionClosed extends Error {}

const PAUSE_MS = 20;
/** What a backend says before it goes, in a crash cycle or an immediate shutdown. */
const LAST_WORDS = /^got WARNING 57P0[12]: /;

export class OracleSession {
  readonly name: string;
  readonly cluster: Cluster;
  /** Waits that have not returned yet; `await` collects the oldest. */
  readonly pending: Promise<string>[] = [];
  /** What this session has registered, by the numbers that SQL has for them. */
  handles: BackgroundWorkerHandle[] = [];
  /** It has begun a transaction block once: from then on the database says whether anything can be asked, and hears of what has failed. */
  hasTransactions = false;
  readonly #say: (text: string) => void;
  readonly #onBackend: (pid: number) => void;
  #session: Session | null = null;
  #messages: string[] = [];
  /** It was open once, and the server has ended it. */
  #lost = false;

  constructor(name: string, cluster: Cluster, hooks: { say: (text: string) => void; onBackend: (pid: number) => void }) {
    this.name = name;
    this.cluster = cluster;
    this.#say = (text) => hooks.say(`${name}: ${text}`);
    this.#onBackend = hooks.onBackend;
  }

  get isOpen(): boolean {
    return this.#session !== null;
  }

  get isLost(): boolean {
    return this.#lost;
  }

  get backendPid(): number | null {
    return this.#session?.backendPid ?? null;
  }

  /** Null when it is connected; else why it could not be. Tries again until the time is over, as long as a postmaster runs. */
  async open(timeoutMs: number, signal: AbortSignal): Promise<string | null> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal.throwIfAborted();
      try {
        const session = await connect(this.cluster.dir);
        session.on('notice', ({ level, code, message }) => this.#messages.push(`got ${level} ${code}: ${message}`));
        this.#session = session;
        this.#lost = false;
        this.#messages = [];
        this.handles = [];
        this.hasTransactions = false;
        this.#onBackend(session.backendPid);
        return null;
      } catch (err) {
        if (performance.now() + PAUSE_MS > deadline || !this.cluster.isRunning) return refusalText(err as ErrorData);
      }
      await sleep(PAUSE_MS, undefined, { signal });
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    this.#lost = false;
    await session?.close();
  }

  /** Asks for something; the answer as a signature has it. An error is an answer too. `plain`: the database itself is asked. */
  async ask(what: string, question: (session: Session) => Promise<string>, { plain = false } = {}): Promise<string> {
    const session = this.#session;
    if (session === null) return `${what} -> (session gone)`;
    let answer: string;
    try {
      if (this.hasTransactions && !plain) await session.call(LIBRARY, 'beginStatement');
      answer = await question(session);
    } catch (err) {
      answer = this.#failure(err as ErrorData);
      if (this.hasTransactions && this.isOpen && !plain) await session.call(LIBRARY, 'failTransaction').catch(() => {});
    }
    // A warning that ends the session cannot have come before an answer: both were there when we looked. It is said with the call that finds the session closed.
    const later = this.isOpen ? this.#messages.filter((message) => LAST_WORDS.test(message)) : [];
    for (const message of this.#messages.filter((message) => !later.includes(message))) this.#say(message);
    this.#messages = later;
    return `${what} -> ${answer}`;
  }

  #failure(err: ErrorData): string {
    const severity = err.severity ?? 'ERROR';
    if (severity === 'ERROR' && err.code !== '08006') return errorText(err);
    this.#session = null;
    this.#lost = true;
    return severity === 'ERROR' ? 'CLOSED : connection closed by the server' : errorText(err);
  }
}

function errorText({ severity, code, message, detail, hint }: ErrorData): string {
  const text = `${severity ?? 'ERROR'} ${code ?? 'XX000'}: ${message}`;
  return `${text}${hint === undefined ? '' : ` HINT: ${hint}`}${detail === undefined ? '' : ` DETAIL: ${detail}`}`;
}

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: '[Errno 2] No such file or directory',
  ECONNREFUSED: '[Errno 111] Connection refused',
};

/** What the server said, or what the oracle's client would have said of the socket. */
function refusalText(err: ErrorData): string {
  const { code } = (err.cause ?? {}) as NodeJS.ErrnoException;
  return SYSTEM_ERRORS[code ?? ''] ?? err.message;
}
