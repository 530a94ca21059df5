// The socket of a TCP connection to the database server, with libpq's keepalives. Whoever among the children connects.
// PostgreSQL: PQconnectPoll's setKeepalives… and setTCPUserTimeout, src/interfaces/libpq/fe-connect.c.
//
// Node sets one of the four options, and libuv invents two of the others along with it; so our addon sets them, right after the connect.

import { Socket } from 'node:net';
import { check, native, type Keepalives } from '../native.js';

/** What Node does not publish: the handle under a socket, which knows its descriptor. */
interface SocketInternals {
  readonly _handle: { readonly fd: number } | null;
}

/** A socket that is not connected yet. Where the system refuses an option, the connection fails with its error, as in libpq. */
export function keepaliveSocket(keepalives: Keepalives): Socket {
  const socket = new Socket();
  socket.once('connect', () => {
    const fd = (socket as unknown as SocketInternals)._handle?.fd ?? -1;
    try {
      check(native.setKeepalives(fd, keepalives), 'setsockopt');
    } catch (err) {
      socket.destroy(err as Error);
    }
  });
  return socket;
}
