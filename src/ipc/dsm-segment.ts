// A dynamic shared memory segment as this process holds it: its bytes, who wants to hear of its end, and that end. Backends.
// PostgreSQL: struct dsm_segment, dsm_detach and dsm_backend_shutdown in src/backend/storage/ipc/dsm.c, contract M-13, M-14.

import { ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData, FATAL } from '../elog/error-data.js';
import { emitErrorReport } from '../elog/elog.js';
import { check, native } from '../native.js';
import { ShmemRegion } from '../shmem/region.js';

/** Called when this process detaches a segment, before its bytes go. Synchronous. @pg on_dsm_detach_callback */
export type OnDsmDetachCallback = (segment: DsmSegment, arg: unknown) => void;

interface SegmentState {
  readonly index: number;
  readonly handle: number;
  readonly bytes: Uint8Array;
  readonly onDetach: { readonly callback: OnDsmDetachCallback; readonly arg: unknown }[];
}

/** Addresses of segments: the region's number, and 32 bits. native/binding/args.h */
const REGION_SIZE = 2 ** 32;

/** A segment that this process is attached to. Opaque: made by `dsmCreate` and `dsmAttach`. @pg dsm_segment */
export class DsmSegment {
  readonly #index: number;
  readonly #handle: number;
  /** The region's number. */
  readonly #number: number;
  readonly #region: ShmemRegion;
  readonly #onDetach: SegmentState['onDetach'] = [];
  #attached = true;

  /** @internal */
  constructor(index: number) {
    const { handle, buffer, region } = native.dsmSegment(index);
    this.#index = index;
    this.#handle = handle;
    this.#number = region;
    this.#region = new ShmemRegion(region * REGION_SIZE, buffer);
  }

  #gone(): ErrorData {
    return new ErrorData({
      code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
      message: `dynamic shared memory segment ${this.#handle} has been detached`,
    });
  }

  /** @internal */
  get state(): SegmentState {
    if (!this.#attached) throw this.#gone();
    return { index: this.#index, handle: this.#handle, bytes: this.#region.bytes, onDetach: this.#onDetach };
  }

  /** @internal */
  get attached(): boolean {
    return this.#attached;
  }

  /** @internal Runs the callbacks, the last registered first; each is off the list before it is called. Then the bytes go. */
  detach(): void {
    const { onDetach } = this.state;
    native.holdInterrupts();
    try {
      for (let entry = onDetach.pop(); entry !== undefined; entry = onDetach.pop()) entry.callback(this, entry.arg);
    } finally {
      native.resumeInterrupts();
    }
    if (!this.#attached) return; // a callback has done it
    this.#attached = false;
    segments.delete(this);
    this.#region.detach(this.#gone());
    check(native.dsmDetach(this.#index, this.#number), 'dsmDetach'); // releases locks that are held in it
  }
}

/** Everything that this process is attached to, in the order of attaching. */
export const segments: Set<DsmSegment> = new Set();

/** On the way out: everything is detached, the last attached first. A callback that fails makes the status 1, and the rest goes on. */
export function dsmBackendShutdown(code: number): number {
  let status = code;
  for (const segment of [...segments].toReversed()) {
    while (segment.attached) {
      try {
        segment.detach();
      } catch (err) {
        emitErrorReport(err, FATAL);
        status = 1;
      }
    }
  }
  return status;
}

/** In a fresh child: the parent attaches to nothing. */
export function dsmForget(): void {
  segments.clear();
}
