// COPY from and to the client over the extended protocol. Any process that has a connection.
// The client library hands us the server's CopyData; pg-copy-streams would take the socket away from it and parse it itself, where a stream that reads, with our
// buffer and the socket's flow control, is all that is missing.
//
//   out:  Execute, Sync ─▶      CopyOutResponse, CopyData…, CopyDone, CommandComplete, ReadyForQuery
//   in:   Execute, Flush ─▶     CopyInResponse
//         CopyData…, CopyDone, Sync ─▶    CommandComplete, ReadyForQuery
//
// A Sync that comes while the server expects data is passed over by it, so that going in there is exactly one, when the data are at an end, however.

import { Readable } from 'node:stream';
import { type Protocol, ProtocolQuery } from './protocol-query.js';
import { commandTag } from './statement-query.js';

/** Rows copied. */
export interface CopyResult {
  readonly affected: number;
}

/** Small rows are handed on in pieces of about this size. */
const CHUNK_BYTES = 65_536;

export class CopyOutQuery extends ProtocolQuery<CopyResult> {
  /** The data; ends, or fails, by `finish`. A consumer that is slow holds the server up; one that destroys it is told to `onDestroy`. */
  readonly data: Readable;
  /** Resolves when the server begins to send. Never rejects. */
  readonly begun: Promise<void>;
  #begin: () => void = () => undefined;
  #connection: Protocol | null = null;
  #affected = 0;
  #buffer: Buffer = Buffer.alloc(0);
  #used = 0;
  #discarding = false;
  #over = false;
  readonly #text: string;

  constructor(text: string, onDestroy: () => void) {
    super();
    this.#text = text;
    this.begun = new Promise((resolve) => {
      this.#begin = resolve;
    });
    this.data = new Readable({
      highWaterMark: CHUNK_BYTES,
      read: () => this.#connection?.stream.resume(),
      destroy: (err, callback) => {
        if (!this.#over) {
          this.discard();
          onDestroy();
        }
        callback(err);
      },
    });
  }

  protected override send(connection: Protocol): void {
    this.#connection = connection;
    connection.once('copyOutResponse', this.#begin);
    const forget = (): void => {
      connection.off('copyOutResponse', this.#begin);
    };
    this.done.then(forget, forget);
    connection.parse({ text: this.#text, name: '', types: [] });
    connection.bind({ values: [] });
    connection.execute({ rows: 0 });
    connection.sync();
  }

  protected override result(): CopyResult {
    return { affected: this.#affected };
  }

  /** Nobody wants the rest: it is read, so that the server's last word comes, and thrown away. */
  discard(): void {
    this.#discarding = true;
    this.#connection?.stream.resume();
  }

  /** What the client hands us lies in its buffer, which it uses again: copied, and small rows gathered, until the socket's piece is through. */
  override handleCopyData({ chunk }: { chunk: Buffer }): void {
    if (this.#discarding) return;
    if (this.#used + chunk.length > this.#buffer.length) {
      this.#flush();
      this.#buffer = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, chunk.length));
    }
    if (this.#used === 0) process.nextTick(() => this.#flush());
    chunk.copy(this.#buffer, this.#used);
    this.#used += chunk.length;
  }

  #flush(): void {
    if (this.#used === 0 || this.#discarding) return;
    const piece = this.#buffer.subarray(0, this.#used);
    this.#buffer = this.#buffer.subarray(this.#used);
    this.#used = 0;
    if (!this.data.push(piece)) this.#connection?.stream.pause();
  }

  protected override completed(tag: string): void {
    this.#affected = commandTag(tag).affected ?? 0;
  }

  /** The exchange is over: with an error, or with all data handed out. */
  finish(err?: Error): void {
    if (err === undefined) this.#flush();
    this.#over = true;
    this.#connection?.stream.resume();
    if (err === undefined) this.data.push(null);
    else this.data.destroy(err);
  }
}

/** What can be copied in: a stream, for example. */
export type CopySource = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

export class CopyInQuery extends ProtocolQuery<CopyResult> {
  /** Why the source could not be read, if it was that. */
  sourceError: unknown = undefined;
  #affected = 0;
  #synced = false;
  #connection: Protocol | null = null;
  readonly #text: string;
  readonly #source: CopySource;

  constructor(text: string, source: CopySource) {
    super();
    this.#text = text;
    this.#source = source;
  }

  protected override send(connection: Protocol): void {
    this.#connection = connection;
    connection.parse({ text: this.#text, name: '', types: [] });
    connection.bind({ values: [] });
    connection.execute({ rows: 0 });
    connection.flush();
  }

  protected override result(): CopyResult {
    return { affected: this.#affected };
  }

  /** While the server waits for data it does not look for a cancel request: we have to end the data. */
  cancel(): void {
    this.#end(() => this.#connection?.sendCopyFail('canceling statement due to user request'));
  }

  override handleCopyInResponse(connection: Protocol): void {
    this.#pump(connection).then(
      () => this.#end(() => connection.endCopyFrom()),
      (err: unknown) => {
        this.sourceError = err;
        this.#end(() => connection.sendCopyFail(err instanceof Error ? err.message : String(err)));
      },
    );
  }

  async #pump(connection: Protocol): Promise<void> {
    const over = this.done.then(
      () => undefined,
      () => undefined,
    );
    for await (const chunk of this.#source) {
      if (this.#synced) return;
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      if (!(bytes instanceof Uint8Array)) throw new TypeError(`what is copied must be strings or bytes, not ${typeof chunk}`);
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) connection.sendCopyFromChunk(bytes.subarray(at, at + CHUNK_BYTES));
      if (!connection.stream.writableNeedDrain) continue;
      const drained = new Promise<void>((resolve) => {
        connection.stream.once('drain', resolve);
      });
      await Promise.race([drained, over]);
    }
  }

  /** The one Sync, after what ends the data. */
  #end(last: () => void = () => undefined): void {
    if (this.#synced) return;
    this.#synced = true;
    last();
    this.#connection?.sync();
  }

  // The server skips what we send until it finds the Sync.
  override handleError(err: unknown, connection: Protocol): void {
    super.handleError(err, connection);
    this.#end();
  }

  protected override completed(tag: string): void {
    this.#affected = commandTag(tag).affected ?? 0;
    this.#end();
  }

  override handleEmptyQuery(): void {
    this.#end();
  }
}
