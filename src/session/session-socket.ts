// The application's end of a session's socket. Any Node process, from the outside.
// PostgreSQL: src/interfaces/libpq/fe-misc.c (pqSendSome), which reads what the server has said before it reports that a write has failed.
//
//     backend: WARNING 57P01 "terminating connection ..."      application: computes
//     backend: ends                                            application: writes its next call: EPIPE
//
// Node closes a socket whose write has failed, with what is still to be read in it: why the session ended would be lost.

import { readSync } from 'node:fs';
import { Socket } from 'node:net';

const CHUNK = 65_536;

export class SessionSocket extends Socket {
  readonly #fd: number;

  constructor(fd: number) {
    super({ fd, readable: true, writable: true });
    this.#fd = fd;
  }

  /** Node's, before the descriptor is closed. What a failed socket still holds comes as `data` first. */
  override _destroy(err: Error | null, callback: (err?: Error | null) => void): void {
    if (err !== null) this.#readRest();
    super._destroy(err, callback);
  }

  #readRest(): void {
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK);
      let length = 0;
      try {
        length = readSync(this.#fd, chunk); // the descriptor does not block
      } catch {
        return; // nothing more: EAGAIN, or the failure itself
      }
      if (length === 0) return;
      this.emit('data', chunk.subarray(0, length));
    }
  }
}
