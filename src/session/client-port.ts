// A session's client as the log shows it. Runs in the session's backend.
// PostgreSQL: struct Port in src/include/libpq/libpq-be.h, and what set_ps_display is told in src/backend/tcop/postgres.c, REL_15_STABLE.

import { readFileSync } from 'node:fs';

import { parsePasswd } from '../database/os-user.js';
import type { ProcPort } from '../globals.js';
import { STATE_IDLE, STATE_RUNNING, pgstatReportActivity } from '../ipc/backend-status.js';

function osUserName(uid: number): string | null {
  try {
    return parsePasswd(readFileSync('/etc/passwd', 'utf8')).find((user) => user.uid === uid)?.name ?? null;
  } catch {
    return null; // a container may have no such file
  }
}

export class ClientPort implements ProcPort {
  readonly remoteHost = '[local]';
  readonly #uid: number;
  readonly #calls = new Set<{ readonly name: string }>();
  #userName: string | null | undefined;

  constructor(uid: number) {
    this.#uid = uid;
  }

  /** The operating system's, looked up when a line first shows it. */
  get userName(): string | null {
    if (this.#userName === undefined) this.#userName = osUserName(this.#uid);
    return this.#userName;
  }

  /**
   * DIFFERS FROM POSTGRES: the name of the function that is called, where PostgreSQL has that of the SQL command. There may be several at a time.
   */
  get activity(): string {
    const [first] = this.#calls;
    if (first === undefined) return 'idle';
    return this.#calls.size === 1 ? first.name : `${this.#calls.size} calls`;
  }

  /** A function is called; whoever calls this calls what it returns when it has ended. The application wrote the name: no line of the log is broken by it. */
  called(name: string): () => void {
    const call = { name: name.replaceAll(/\p{Cc}/gu, '?') };
    this.#calls.add(call);
    pgstatReportActivity(STATE_RUNNING, this.activity);
    return () => {
      this.#calls.delete(call);
      if (this.#calls.size > 0) pgstatReportActivity(STATE_RUNNING, this.activity);
      else pgstatReportActivity(STATE_IDLE, null);
    };
  }
}
