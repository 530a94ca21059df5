// A table of contents at the beginning of a segment, so that whoever attaches finds what is in it by number. Backends.
// PostgreSQL: src/include/storage/shm_toc.h, src/backend/storage/ipc/shm_toc.c.
//
//    0  magic            64 bits; stored last, by shm_toc_create
//    8  lock             1 while somebody changes what follows; a holder that dies is a crash
//   12  entries          how many; it grows after the entry is whole, so that a lookup needs no lock
//   16  size, allocated  bytes: of the whole; from its end, of chunks
//   24  entries, 16 each: key (64 bits), offset, size

import { ERRCODE_INTERNAL_ERROR, ERRCODE_OUT_OF_MEMORY } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { native } from '../native.js';

const HEAD_SIZE = 24;
const ENTRY_SIZE = 16;
const WORD = { lock: 2, entries: 3, size: 4, allocated: 5 } as const;

/** Chunks begin at multiples of this. C: BUFFERALIGN. */
const ALIGNMENT = 32;
const align = (size: number): number => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/** What a segment needs room for. @pg shm_toc_estimator */
export interface ShmTocEstimator {
  spaceForChunks: number;
  numberOfKeys: number;
}

/** An estimate of nothing. @pg shm_toc_initialize_estimator */
export function shmTocInitializeEstimator(): ShmTocEstimator {
  return { spaceForChunks: 0, numberOfKeys: 0 };
}
/** Room for a chunk of so many bytes. @pg shm_toc_estimate_chunk */
export function shmTocEstimateChunk(estimator: ShmTocEstimator, size: number): void {
  estimator.spaceForChunks += align(size);
}
/** Room for so many keys. @pg shm_toc_estimate_keys */
export function shmTocEstimateKeys(estimator: ShmTocEstimator, count: number): void {
  estimator.numberOfKeys += count;
}
/** How large the segment must be. @pg shm_toc_estimate */
export function shmTocEstimate({ spaceForChunks, numberOfKeys }: ShmTocEstimator): number {
  return align(HEAD_SIZE + numberOfKeys * ENTRY_SIZE) + spaceForChunks;
}

/** A table of contents, as a process sees it. Made by {@link shmTocCreate} and {@link shmTocAttach}. @pg shm_toc */
export class ShmToc {
  readonly #address: Uint8Array;
  readonly #words: Int32Array;
  readonly #longs: BigUint64Array;

  /** @internal */
  constructor(address: Uint8Array) {
    if (!(address instanceof Uint8Array) || address.byteOffset % 8 !== 0) {
      throw new TypeError('a table of contents must lie in a Uint8Array that begins at a multiple of 8');
    }
    const length = address.length - (address.length % ALIGNMENT);
    if (length < align(HEAD_SIZE)) throw new RangeError(`a table of contents needs at least ${align(HEAD_SIZE)} bytes, not ${address.length}`);
    this.#address = address;
    this.#words = new Int32Array(address.buffer, address.byteOffset, length / 4);
    this.#longs = new BigUint64Array(address.buffer, address.byteOffset, length / 8);
  }

  /** @internal */
  create(magic: bigint): this {
    this.#words[WORD.lock] = this.#words[WORD.entries] = this.#words[WORD.allocated] = 0;
    this.#words[WORD.size] = this.#words.length * 4;
    Atomics.store(this.#longs, 0, magic); // Pairs with the load in `isOf`.
    return this;
  }
  /** @internal */
  isOf(magic: bigint): boolean {
    return Atomics.load(this.#longs, 0) === magic;
  }

  #word(index: number): number {
    return Atomics.load(this.#words, index) >>> 0;
  }

  #locked<T>(work: () => T): T {
    native.holdInterrupts();
    try {
      for (let waits = 0; Atomics.compareExchange(this.#words, WORD.lock, 0, 1) !== 0;) waits = native.spinDelay(waits);
      try {
        return work();
      } finally {
        Atomics.store(this.#words, WORD.lock, 0);
      }
    } finally {
      native.resumeInterrupts();
    }
  }

  /** @internal */
  free(): number {
    return this.#word(WORD.size) - this.#word(WORD.allocated) - HEAD_SIZE - this.#word(WORD.entries) * ENTRY_SIZE;
  }

  /** @internal */
  allocate(size: number): Uint8Array {
    return this.#locked(() => {
      const bytes = align(size);
      if (bytes > this.free()) throw outOfMemory();
      const allocated = this.#word(WORD.allocated) + bytes;
      Atomics.store(this.#words, WORD.allocated, allocated);
      const at = this.#word(WORD.size) - allocated;
      return this.#address.subarray(at, at + size);
    });
  }

  /** @internal */
  insert(key: bigint, chunk: Uint8Array): void {
    const offset = chunk.byteOffset - this.#address.byteOffset;
    if (chunk.buffer !== this.#address.buffer || offset < 0 || offset + chunk.length > this.#address.length) {
      throw new RangeError('what is entered in a table of contents must lie in the same memory');
    }
    this.#locked(() => {
      if (this.free() < ENTRY_SIZE) throw outOfMemory();
      const entry = this.#word(WORD.entries);
      const at = HEAD_SIZE + entry * ENTRY_SIZE;
      this.#longs[at / 8] = key;
      this.#words[at / 4 + 2] = offset;
      this.#words[at / 4 + 3] = chunk.length;
      Atomics.store(this.#words, WORD.entries, entry + 1); // Pairs with the load in `lookup`.
    });
  }

  /** @internal */
  lookup(key: bigint): Uint8Array | null {
    const count = Math.min(this.#word(WORD.entries), Math.floor((this.#words.length * 4 - HEAD_SIZE) / ENTRY_SIZE));
    for (let at = HEAD_SIZE; at < HEAD_SIZE + count * ENTRY_SIZE; at += ENTRY_SIZE) {
      if (this.#longs[at / 8] !== key) continue;
      const offset = (this.#words[at / 4 + 2] as number) >>> 0;
      return this.#address.subarray(offset, offset + ((this.#words[at / 4 + 3] as number) >>> 0));
    }
    return null;
  }
}

function outOfMemory(): ErrorData {
  return new ErrorData({ code: ERRCODE_OUT_OF_MEMORY, message: 'out of shared memory' });
}

/** Makes a table of contents out of all of those bytes. @param magic 64 bits by which others know it @pg shm_toc_create */
export function shmTocCreate(magic: number | bigint, address: Uint8Array): ShmToc {
  return new ShmToc(address).create(BigInt(magic));
}
/** The table of contents that is there; null where the magic number is another. @pg shm_toc_attach */
export function shmTocAttach(magic: number | bigint, address: Uint8Array): ShmToc | null {
  const toc = new ShmToc(address);
  return toc.isOf(BigInt(magic)) ? toc : null;
}
/** Takes bytes, at a multiple of 32; never given back. @throws ErrorData 53200 `out of shared memory` @pg shm_toc_allocate */
export function shmTocAllocate(toc: ShmToc, size: number): Uint8Array {
  if (!Number.isInteger(size) || size < 0) throw new RangeError(`size must be a number of bytes, not ${size}`);
  return toc.allocate(size);
}
/** Bytes that are left, for chunks and keys. @pg shm_toc_freespace */
export function shmTocFreespace(toc: ShmToc): number {
  return toc.free();
}
/** Enters bytes under a key. @throws ErrorData 53200 where there is no room @pg shm_toc_insert */
export function shmTocInsert(toc: ShmToc, key: number | bigint, address: Uint8Array): void {
  toc.insert(BigInt(key), address);
}
/** The bytes under a key. @param noError null, not an error, where there are none @pg shm_toc_lookup */
export function shmTocLookup(toc: ShmToc, key: number | bigint): Uint8Array;
export function shmTocLookup(toc: ShmToc, key: number | bigint, noError: boolean): Uint8Array | null;
export function shmTocLookup(toc: ShmToc, key: number | bigint, noError: boolean = false): Uint8Array | null {
  const found = toc.lookup(BigInt(key));
  if (found === null && !noError) throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: `could not find key ${key} in shm TOC` });
  return found;
}
