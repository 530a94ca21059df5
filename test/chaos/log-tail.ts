// A log that grows, read line by line as it grows. Runs in the process of the chaos run.

import { closeSync, openSync, readSync } from 'node:fs';

const KEPT_LINES = 400;

export class LogTail {
  readonly #fd: number;
  readonly #onLine: (line: string) => void;
  readonly #chunk: Buffer = Buffer.alloc(1 << 16);
  #kept: string[] = [];
  #rest = '';
  #closed = false;
  bytes = 0;

  constructor(path: string, onLine: (line: string) => void) {
    this.#fd = openSync(path, 'r');
    this.#onLine = onLine;
  }

  /** Takes what has been written since the last time; nothing once it is closed. */
  read(): void {
    if (this.#closed) return;
    for (;;) {
      const n = readSync(this.#fd, this.#chunk, 0, this.#chunk.length, this.bytes);
      if (n === 0) return;
      this.bytes += n;
      const lines = (this.#rest + this.#chunk.toString('latin1', 0, n)).split('\n');
      this.#rest = lines.pop() as string;
      for (const line of lines) this.#take(line);
    }
  }

  #take(line: string): void {
    this.#kept.push(line);
    if (this.#kept.length > 2 * KEPT_LINES) this.#kept = this.#kept.slice(-KEPT_LINES);
    this.#onLine(line);
  }

  /** The last lines. */
  last(count: number = KEPT_LINES): string[] {
    return this.#kept.slice(-count);
  }

  close(): void {
    this.#closed = true;
    closeSync(this.#fd);
  }
}
