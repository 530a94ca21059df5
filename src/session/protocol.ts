// What a session's two ends say to each other: frames of a length (4 bytes, big endian) and a structured clone. Application and backend.
//
// DIFFERS FROM POSTGRES: not the frontend/backend protocol. A session asks for functions of libraries, not for SQL, and its arguments and
// results are whatever the structured clone algorithm carries.

import { deserialize, serialize } from 'node:v8';

import { ERRCODE_PROTOCOL_VIOLATION } from '../elog/errcodes.js';
import { ErrorData, errorFields, type ErrorFields } from '../elog/error-data.js';

/** Raised whenever the messages change; the backend refuses a client of another version. */
export const PROTOCOL_VERSION = 1;

/** The largest frame, as PostgreSQL's largest message. */
export const MAX_FRAME = 0x3fffffff;

/** The control socket's name in the data directory. */
export const SOCKET_NAME = '.s.bgworker';

/** What a backend says that has seen the postmaster's death; every other last word means that there is a postmaster. */
export const UNEXPECTED_POSTMASTER_EXIT = 'terminating connection due to unexpected postmaster exit';

/** An error as it travels. */
export interface WireError {
  readonly message: string;
  readonly code: string;
  readonly severity: 'ERROR' | 'FATAL' | 'PANIC';
  readonly detail?: string;
  readonly hint?: string;
  readonly context?: string;
}

/** From the application. `library` '' names the ready-made calls. */
export interface CallMessage {
  readonly type: 'call';
  readonly id: number;
  readonly library: string;
  readonly function: string;
  readonly args: readonly unknown[];
}

/** From the backend. */
export type BackendMessage =
  | { readonly type: 'ready'; readonly version: number; readonly backendPid: number; readonly postmasterPid: number }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: WireError }
  | { readonly type: 'notice'; readonly level: string; readonly error: Omit<WireError, 'severity'> }
  | { readonly type: 'fatal'; readonly error: WireError };

/** A message as bytes. @throws DataCloneError for what cannot be cloned */
export function encodeFrame(message: CallMessage | BackendMessage): Buffer {
  const body = serialize(message);
  if (body.length > MAX_FRAME) {
    throw new ErrorData({
      code: ERRCODE_PROTOCOL_VIOLATION,
      message: `message of ${body.length} bytes is too large for a session`,
      detail: `A message can be at most ${MAX_FRAME} bytes.`,
    });
  }
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, 4);
  return frame;
}

/** Puts frames together from whatever pieces arrive. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;

  /** Takes bytes, gives the messages that are complete now. @throws ErrorData 08P01 for what is no frame of ours */
  push(chunk: Buffer): unknown[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const messages: unknown[] = [];
    for (let body = this.#take(); body !== null; body = this.#take()) messages.push(decode(body));
    return messages;
  }

  #take(): Buffer | null {
    if (this.#length < 4) return null;
    if ((this.#chunks[0] as Buffer).length < 4) this.#chunks = [Buffer.concat(this.#chunks)];
    const size = (this.#chunks[0] as Buffer).readUInt32BE(0);
    if (size > MAX_FRAME) throw violation(`invalid message length ${size}`);
    if (this.#length < 4 + size) return null;
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    const rest = all.subarray(4 + size);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    return all.subarray(4, 4 + size);
  }
}

function decode(body: Buffer): unknown {
  try {
    return deserialize(body);
  } catch (err) {
    throw violation(`invalid message: ${(err as Error).message}`);
  }
}

function violation(message: string): ErrorData {
  return new ErrorData({ code: ERRCODE_PROTOCOL_VIOLATION, message });
}

export function toWireError(err: unknown): WireError {
  const fields = errorFields(err);
  return { ...plain(fields), severity: err instanceof ErrorData ? err.severity : 'ERROR' };
}

/** The fields that travel: strings alone, so that nothing of a cause or a stack of the other process comes along. */
export function plain(fields: ErrorFields): Omit<WireError, 'severity'> {
  return {
    message: fields.message,
    code: fields.code ?? 'XX000',
    ...(fields.detail === undefined ? {} : { detail: fields.detail }),
    ...(fields.hint === undefined ? {} : { hint: fields.hint }),
    ...(fields.context === undefined ? {} : { context: fields.context }),
  };
}
