// A server that is silent while it should answer: does it live? Workers that wait for an answer over TCP.
// PostgreSQL has the neighbour of this on its side, client_connection_check_interval (src/backend/tcop/postgres.c); libpq waits for as long as it takes.
//
// A query may take hours, so silence alone means nothing. Keepalives find a machine that is gone; what they do not find is a proxy, a pooler or a firewall that
// still answers for its kernel and passes nothing on. So after an interval without a byte we do what a new client would: connect, and ask whether there is
// TLS, which every server answers before it asks who we are, and does not log. Where no byte comes in another interval, the connection is given up.

import { connect } from 'node:net';
import type { Client } from 'pg';

/** Length 8, and the code 80877103: SSLRequest. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** Does anybody at that address answer as a PostgreSQL server does? Never rejects. */
export function signOfLife(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const decide = (alive: boolean) => (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    // Of all of it, and not of each step as the socket's own.
    const timer = setTimeout(decide(false), timeoutMs);
    socket.once('connect', () => socket.write(SSL_REQUEST));
    socket.once('data', decide(true));
    for (const event of ['error', 'close', 'timeout']) socket.once(event, decide(false));
  });
}

/** Watches one connection, while something is asked of it. */
export class SilenceWatch {
  readonly #client: Client;
  readonly #intervalMs: number;
  #heard = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param intervalMs 0: never */
  constructor(client: Client, intervalMs: number) {
    this.#client = client;
    // A Unix socket's other end is on this machine, and its end is known.
    this.#intervalMs = client.host.startsWith('/') ? 0 : intervalMs;
    if (this.#intervalMs > 0) client.connection.stream.on('data', () => (this.#heard = true));
  }

  begin(): void {
    if (this.#intervalMs > 0) this.#listen();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #listen(): void {
    this.#heard = false;
    this.#timer = setTimeout(() => void this.#check(), this.#intervalMs);
  }

  async #check(): Promise<void> {
    const { remoteAddress, remotePort } = this.#client.connection.stream as { remoteAddress?: string; remotePort?: number };
    const timer = this.#timer;
    const alive = this.#heard || (await signOfLife(remoteAddress ?? this.#client.host, remotePort ?? this.#client.port, this.#intervalMs));
    // Over meanwhile, or over and begun again.
    if (this.#timer !== timer) return;
    if (alive || this.#heard) return this.#listen();
    this.#client.connection.stream.destroy(
      new Error(`The server has been silent for ${(2 * this.#intervalMs) / 1000} s, and does not answer a new connection`),
    );
  }
}
