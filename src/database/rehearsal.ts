// A connection and a transaction, played through before the fork with a server of a few lines, so that no child is the first to run that code: what Node's sockets,
// the client and our side of it need is compiled once, in memory that all children share. What connecting takes shows `npm run bench:spi`. Postmaster, once, when
// the modules are loaded.
//
// It knows nothing: no connection string or password file is read for it. And nothing of it is left but compiled code: a listener and two sockets in the data
// directory, which are closed before it is over (docs/fork-safety.md, P8).

import { rmSync } from 'node:fs';
import { type Server, Socket, createServer } from 'node:net';
import type { ConnectionOwner } from './database-connection.js';
import { type DatabaseConninfo, ownedConninfo } from './conninfo.js';
import { openConnection } from './open-connection.js';
import { spiConnect, spiFinish } from './spi-connect.js';
import { spiExecute } from './spi.js';
import { commitTransactionCommand, setDatabaseConnection, startTransactionCommand } from './xact.js';

const OIDOID = 26;
const INT4OID = 23;

const int16 = (n: number): Buffer => Buffer.from([n >> 8, n & 0xff]);
const int32 = (n: number): Buffer => Buffer.from([n >> 24, (n >> 16) & 0xff, (n >> 8) & 0xff, n & 0xff]);
const text = (s: string): Buffer => Buffer.from(`${s}\0`);

/** A message of the protocol's: a letter, its length, what it says. */
function message(letter: string, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(letter), int32(content.length + 4), content]);
}

const column = (name: string, type: number): Buffer => Buffer.concat([text(name), int32(0), int16(0), int32(type), int16(4), int32(-1), int16(0)]);
const value = (s: string): Buffer => Buffer.concat([int32(s.length), Buffer.from(s)]);

/** A server that lets everybody in, and answers every SELECT with one row: its end of a connection. */
class Stage {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #greeted = false;
  #statement = '';
  #status = 'I';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      while (this.#take());
    });
  }

  /** The next whole message; false where there is none. The first has no letter. */
  #take(): boolean {
    const at = this.#greeted ? 1 : 0;
    const bytes = this.#received;
    if (bytes.length < at + 4 || bytes.length < at + bytes.readInt32BE(at)) return false;
    const end = at + bytes.readInt32BE(at);
    this.#received = bytes.subarray(end);
    if (this.#greeted) this.#answer(String.fromCharCode(bytes[0] ?? 0), bytes.subarray(5, end));
    else this.#greet();
    return true;
  }

  #greet(): void {
    this.#greeted = true;
    const parameters = { client_encoding: 'UTF8', DateStyle: 'ISO, MDY', standard_conforming_strings: 'on' };
    const reports = Object.entries(parameters).map(([name, setting]) => message('S', text(name), text(setting)));
    this.#socket.write(Buffer.concat([message('R', int32(0)), ...reports, message('K', int32(1), int32(1)), message('Z', Buffer.from('I'))]));
  }

  #answer(letter: string, content: Buffer): void {
    if (letter === 'P') {
      this.#statement = content.toString('utf8', content.indexOf(0) + 1, content.indexOf(0, content.indexOf(0) + 1));
      this.#socket.write(message('1'));
    } else if (letter === 'B') this.#socket.write(message('2'));
    else if (letter === 'D') this.#socket.write(this.#selects ? message('T', int16(2), column('oid', OIDOID), column('pid', INT4OID)) : message('n'));
    else if (letter === 'E') this.#execute();
    else if (letter === 'S') this.#socket.write(message('Z', Buffer.from(this.#status)));
  }

  #execute(): void {
    if (this.#selects) this.#socket.write(message('D', int16(2), value('5'), value('1')));
    if (this.#statement === 'BEGIN') this.#status = 'T';
    if (this.#statement === 'COMMIT') this.#status = 'I';
    this.#socket.write(message('C', text(this.#selects ? 'SELECT 1' : this.#statement)));
  }

  get #selects(): boolean {
    return this.#statement.startsWith('SELECT');
  }
}

/** So long the play may take: then there is something in it that we do not know, and the server starts without. */
const PATIENCE_MS = 2000;

/**
 * Plays it, and waits until every socket of it is closed.
 * @param path of the socket, in a directory that is nobody else's
 * @throws where that cannot be; nothing depends on it
 */
export async function rehearseConnection(path: string): Promise<void> {
  const sockets: Socket[] = [];
  const closed: Promise<unknown>[] = [];
  const use = <T extends Socket | Server>(handle: T): T => {
    closed.push(new Promise((resolve) => handle.once('close', resolve)));
    return handle;
  };
  const listener = use(
    createServer((socket) => {
      sockets.push(use(socket));
      new Stage(socket);
    }),
  );
  rmSync(path, { force: true }); // of one that was killed meanwhile
  await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(path, resolve));
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const timer = setTimeout(end, PATIENCE_MS);
  const stream = (): Socket => {
    const socket = use(new Socket());
    sockets.push(socket);
    // The client has a host in mind, and an absolute path may be too long.
    const connect = socket.connect.bind(socket);
    socket.connect = () => connect(path);
    return socket;
  };
  try {
    await play({ ...ownedConninfo('/'), stream });
  } finally {
    clearTimeout(timer);
    end();
    listener.close();
    await Promise.all(closed);
  }
}

async function play(conninfo: DatabaseConninfo): Promise<void> {
  const owner: ConnectionOwner = {
    type: 'rehearsal',
    fatal: () => undefined, // whatever it was is thrown then
    report: () => undefined,
  };
  const connection = await openConnection({ conninfo, database: 'postgres', user: null, owner });
  setDatabaseConnection(connection);
  try {
    await startTransactionCommand();
    spiConnect();
    await spiExecute('SELECT $1', { values: [1] });
    spiFinish();
    await commitTransactionCommand();
  } finally {
    setDatabaseConnection(null);
    await connection.close();
  }
}
