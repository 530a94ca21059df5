// A piece of shared memory as JavaScript sees it: its bytes, and whether they are still there. Any process.
// C has a pointer for this, which is used after its memory is gone until it faults.

import { ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { native } from '../native.js';

/** All that this process has, so that they can be taken away together. */
const regions = new Set<ShmemRegion>();
/** Called when one of them is about to go, while it is still there. */
type GoingListener = (region: ShmemRegion, reason: ErrorData) => void;
const goingListeners: GoingListener[] = [];

/** For modules of this package: whoever waits for something in a region that goes would wait for ever. */
export function whenRegionGoes(listener: GoingListener): void {
  goingListeners.push(listener);
}

/** Whose buffer is it? */
const byBuffer = new WeakMap<ArrayBufferLike, ShmemRegion>();

/**
 * Bytes that processes share. Comes from `shmemInitStruct` and its like, never from a constructor call of yours.
 *
 * The buffer of one in the shared memory area is a SharedArrayBuffer where Node can make one over foreign memory (22 and later), else an ArrayBuffer; that of a
 * dynamic segment is an ArrayBuffer, which can be emptied when the segment goes. `Atomics` work on both. It is exactly as large as was asked for.
 */
export class ShmemRegion {
  /** What native functions, locks and latches take for the place of the first byte. Valid in this process only. */
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  #buffer: ArrayBufferLike;
  #goneBecause: ErrorData | null = null;
  #view: DataView;
  #words: Uint32Array;
  #longs: BigUint64Array;
  #bytes: Uint8Array;

  constructor(address: number, buffer: ArrayBufferLike) {
    this.address = address;
    this.size = buffer.byteLength;
    this.#buffer = buffer;
    this.#view = new DataView(buffer);
    this.#words = new Uint32Array(buffer, 0, this.size >> 2);
    this.#longs = new BigUint64Array(buffer, 0, this.size >> 3);
    this.#bytes = new Uint8Array(buffer);
    regions.add(this);
    byBuffer.set(buffer, this);
  }

  // Each of these is one comparison more than C has, and the reason that use after detach is an error here.
  get buffer(): ArrayBufferLike {
    if (this.#goneBecause !== null) throw this.#gone();
    return this.#buffer;
  }
  get bytes(): Uint8Array {
    if (this.#goneBecause !== null) throw this.#gone();
    return this.#bytes;
  }
  get view(): DataView {
    if (this.#goneBecause !== null) throw this.#gone();
    return this.#view;
  }
  /** For Atomics, four bytes each; an odd tail of the bytes is not in it. */
  get words(): Uint32Array {
    if (this.#goneBecause !== null) throw this.#gone();
    return this.#words;
  }
  /** For Atomics, eight bytes each. */
  get longs(): BigUint64Array {
    if (this.#goneBecause !== null) throw this.#gone();
    return this.#longs;
  }
  get attached(): boolean {
    return this.#goneBecause === null;
  }

  /** The memory is about to go: from here on every access through this object throws `reason`. */
  detach(reason: ErrorData = segmentGone()): void {
    if (this.#goneBecause !== null) return;
    for (const listener of goingListeners) listener(this, reason);
    this.#goneBecause = reason;
    regions.delete(this);
    native.detachBuffer(this.#buffer);
    this.#buffer = new ArrayBuffer(0);
    this.#view = new DataView(this.#buffer);
    this.#words = new Uint32Array(this.#buffer);
    this.#longs = new BigUint64Array(this.#buffer);
    this.#bytes = new Uint8Array(this.#buffer);
  }

  // A new one each time, so that its stack says who touched what is gone.
  #gone(): ErrorData {
    const { code, message, detail, hint } = this.#goneBecause as ErrorData;
    return new ErrorData({ code, message, detail, hint });
  }
}

/** The region that shared bytes are of; null for bytes of this process's own. */
export function regionOf(bytes: Uint8Array): ShmemRegion | null {
  return byBuffer.get(bytes.buffer) ?? null;
}

function segmentGone(): ErrorData {
  return new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'shared memory segment is not attached' });
}

/** The whole mapping goes, or begins anew: so do all regions of this process. */
export function detachAllRegions(reason: ErrorData): void {
  for (const region of regions) region.detach(reason);
}
