// The types that fields of shared structures can have: their widths, their alignment, and what JavaScript makes of the bytes. Pure but for the bytes.
// Widths and alignment are a 64-bit C compiler's, so that a structure here lies as the same one in C does.

import type { pg_atomic_flag, pg_atomic_uint32, pg_atomic_uint64 } from './atomics.js';
import { BARRIER_SIZE, CONDITION_VARIABLE_SIZE, LATCH_SIZE, LWLOCK_SIZE } from './layout.js';
import type { ShmemRegion } from './region.js';

/** Opaque things that native code works on; what each is for stands with its functions. `offset` is an address of this process's. */
export interface SharedObject {
  readonly offset: number;
}

/** What a field of each type is in JavaScript. Numbers and booleans are read and assigned; objects are passed to functions. */
export interface ShmemFieldTypes {
  int8: number;
  uint8: number;
  int16: number;
  uint16: number;
  int32: number;
  uint32: number;
  int64: bigint;
  uint64: bigint;
  float4: number;
  float8: number;
  bool: boolean;
  Datum: bigint;
  pg_atomic_uint32: pg_atomic_uint32;
  pg_atomic_uint64: pg_atomic_uint64;
  pg_atomic_flag: pg_atomic_flag;
  LWLock: SharedObject;
  ConditionVariable: SharedObject;
  Barrier: SharedObject;
  Latch: SharedObject;
}
export type ShmemTypeName = keyof ShmemFieldTypes;

/** A type of plain values. */
export interface ValueType<T> {
  readonly size: number;
  readonly align: number;
  readonly get: (region: ShmemRegion, offset: number) => T;
  readonly set: (region: ShmemRegion, offset: number, value: T) => void;
}
/** A type of things that stay where they are. */
export interface ObjectType<T> {
  readonly size: number;
  readonly align: number;
  readonly make: (region: ShmemRegion, offset: number) => T;
}
type TypeOf<T> = [T] extends [number | bigint | boolean] ? ValueType<T> : ObjectType<T>;

function inRange(value: number, low: number, high: number): number {
  if (typeof value !== 'number') throw new TypeError(`the value must be a number, not ${typeof value}`);
  if (!Number.isInteger(value) || value < low || value > high)
    throw new RangeError(`the value must be an integer from ${low} to ${high}, not ${value}`);
  return value;
}
function long(value: bigint, low: bigint, high: bigint): bigint {
  if (typeof value !== 'bigint') throw new TypeError(`the value must be a bigint, not ${typeof value}`);
  if (value < low || value > high) throw new RangeError(`the value must be from ${low} to ${high}, not ${value}`);
  return value;
}
function real(value: number): number {
  if (typeof value !== 'number') throw new TypeError(`the value must be a number, not ${typeof value}`);
  return value;
}

const MAX_UINT64 = 2n ** 64n - 1n;
const uint64: ValueType<bigint> = {
  size: 8,
  align: 8,
  get: (region, at) => region.view.getBigUint64(at, true),
  set: (region, at, value) => region.view.setBigUint64(at, long(value, 0n, MAX_UINT64), true),
};

/** Something of `size` bytes that native code knows by its address. */
function shared(size: number, align: number): ObjectType<SharedObject> {
  return { size, align, make: (region, at) => Object.freeze({ offset: region.address + at }) };
}
function word(size: 4 | 8): ObjectType<{ region: ShmemRegion; index: number }> {
  return { size, align: size, make: (region, at) => Object.freeze({ region, index: at / size }) };
}

// Little endian throughout: Node runs on no Linux machine that is not. Bytes of a bool other than 0 and 1 read as true.
export const SHMEM_TYPES: { readonly [N in ShmemTypeName]: TypeOf<ShmemFieldTypes[N]> } = {
  int8: { size: 1, align: 1, get: (r, at) => r.view.getInt8(at), set: (r, at, v) => r.view.setInt8(at, inRange(v, -0x80, 0x7f)) },
  uint8: { size: 1, align: 1, get: (r, at) => r.view.getUint8(at), set: (r, at, v) => r.view.setUint8(at, inRange(v, 0, 0xff)) },
  int16: { size: 2, align: 2, get: (r, at) => r.view.getInt16(at, true), set: (r, at, v) => r.view.setInt16(at, inRange(v, -0x8000, 0x7fff), true) },
  uint16: { size: 2, align: 2, get: (r, at) => r.view.getUint16(at, true), set: (r, at, v) => r.view.setUint16(at, inRange(v, 0, 0xffff), true) },
  int32: {
    size: 4,
    align: 4,
    get: (r, at) => r.view.getInt32(at, true),
    set: (r, at, v) => r.view.setInt32(at, inRange(v, -0x80000000, 0x7fffffff), true),
  },
  uint32: { size: 4, align: 4, get: (r, at) => r.view.getUint32(at, true), set: (r, at, v) => r.view.setUint32(at, inRange(v, 0, 0xffffffff), true) },
  int64: {
    size: 8,
    align: 8,
    get: (r, at) => r.view.getBigInt64(at, true),
    set: (r, at, v) => r.view.setBigInt64(at, long(v, -(2n ** 63n), 2n ** 63n - 1n), true),
  },
  uint64,
  Datum: uint64,
  float4: { size: 4, align: 4, get: (r, at) => r.view.getFloat32(at, true), set: (r, at, v) => r.view.setFloat32(at, real(v), true) },
  float8: { size: 8, align: 8, get: (r, at) => r.view.getFloat64(at, true), set: (r, at, v) => r.view.setFloat64(at, real(v), true) },
  bool: {
    size: 1,
    align: 1,
    get: (r, at) => r.view.getUint8(at) !== 0,
    set: (r, at, v) => {
      if (typeof v !== 'boolean') throw new TypeError(`the value must be a boolean, not ${typeof v}`);
      r.view.setUint8(at, v ? 1 : 0);
    },
  },
  pg_atomic_uint32: word(4),
  pg_atomic_uint64: word(8),
  pg_atomic_flag: word(4),
  LWLock: shared(LWLOCK_SIZE, 8),
  ConditionVariable: shared(CONDITION_VARIABLE_SIZE, 8),
  Barrier: shared(BARRIER_SIZE, 8),
  Latch: shared(LATCH_SIZE, 4),
};
