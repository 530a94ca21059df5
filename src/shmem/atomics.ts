// Words that processes change without a lock. Any process that is attached.
// PostgreSQL: src/include/port/atomics.h. Every operation here is a full barrier, as all of Atomics; PostgreSQL's read and write have none.

import type { ShmemRegion } from './region.js';

/** A 32-bit word in shared memory; a field of type `'pg_atomic_uint32'`. @pg pg_atomic_uint32 */
export interface pg_atomic_uint32 {
  readonly region: ShmemRegion;
  /** In words of `region.words`. */
  readonly index: number;
}
/** A 64-bit word in shared memory; a field of type `'pg_atomic_uint64'`. @pg pg_atomic_uint64 */
export interface pg_atomic_uint64 {
  readonly region: ShmemRegion;
  /** In words of `region.longs`. */
  readonly index: number;
}
/** A flag in shared memory; a field of type `'pg_atomic_flag'`. Zeroed memory is a clear one. @pg pg_atomic_flag */
export interface pg_atomic_flag {
  readonly region: ShmemRegion;
  readonly index: number;
}

// --- 32 bits ------------------------------------------------------------------------------------------------------------------------

/** Stores a value in a word that nobody else uses yet. @pg pg_atomic_init_u32 */
export function pgAtomicInitU32(ptr: pg_atomic_uint32, val: number): void {
  Atomics.store(ptr.region.words, ptr.index, val);
}
/** Reads the word: 0 to 2^32 - 1. @pg pg_atomic_read_u32 */
export function pgAtomicReadU32(ptr: pg_atomic_uint32): number {
  return Atomics.load(ptr.region.words, ptr.index);
}
/** Writes the word. @pg pg_atomic_write_u32 */
export function pgAtomicWriteU32(ptr: pg_atomic_uint32, val: number): void {
  Atomics.store(ptr.region.words, ptr.index, val);
}
/** Writes the word and returns what it held. @pg pg_atomic_exchange_u32 */
export function pgAtomicExchangeU32(ptr: pg_atomic_uint32, newval: number): number {
  return Atomics.exchange(ptr.region.words, ptr.index, newval);
}
/**
 * Writes `newval` where the word holds `expected`. `exchanged` says whether it did, `expected` what the word held (C's in-out parameter).
 * @example for (let old = pgAtomicReadU32(w); ; ) { const r = pgAtomicCompareExchangeU32(w, old, f(old)); if (r.exchanged) break; old = r.expected; }
 * @pg pg_atomic_compare_exchange_u32
 */
export function pgAtomicCompareExchangeU32(ptr: pg_atomic_uint32, expected: number, newval: number): { exchanged: boolean; expected: number } {
  const held = Atomics.compareExchange(ptr.region.words, ptr.index, expected, newval);
  return { exchanged: held === expected >>> 0, expected: held };
}
/** Adds, wrapping around at 2^32; returns what the word held before. @pg pg_atomic_fetch_add_u32 */
export function pgAtomicFetchAddU32(ptr: pg_atomic_uint32, add: number): number {
  return Atomics.add(ptr.region.words, ptr.index, add);
}
/** Subtracts; returns what the word held before. @pg pg_atomic_fetch_sub_u32 */
export function pgAtomicFetchSubU32(ptr: pg_atomic_uint32, sub: number): number {
  return Atomics.sub(ptr.region.words, ptr.index, sub);
}
/** Keeps the bits that are in `and`; returns what the word held before. @pg pg_atomic_fetch_and_u32 */
export function pgAtomicFetchAndU32(ptr: pg_atomic_uint32, and: number): number {
  return Atomics.and(ptr.region.words, ptr.index, and);
}
/** Sets the bits that are in `or`; returns what the word held before. @pg pg_atomic_fetch_or_u32 */
export function pgAtomicFetchOrU32(ptr: pg_atomic_uint32, or: number): number {
  return Atomics.or(ptr.region.words, ptr.index, or);
}
/** Adds; returns what the word holds now. @pg pg_atomic_add_fetch_u32 */
export function pgAtomicAddFetchU32(ptr: pg_atomic_uint32, add: number): number {
  return (Atomics.add(ptr.region.words, ptr.index, add) + add) >>> 0;
}
/** Subtracts; returns what the word holds now. @pg pg_atomic_sub_fetch_u32 */
export function pgAtomicSubFetchU32(ptr: pg_atomic_uint32, sub: number): number {
  return (Atomics.sub(ptr.region.words, ptr.index, sub) - sub) >>> 0;
}

// --- 64 bits ------------------------------------------------------------------------------------------------------------------------

/** Stores a value in a word that nobody else uses yet. @pg pg_atomic_init_u64 */
export function pgAtomicInitU64(ptr: pg_atomic_uint64, val: bigint): void {
  Atomics.store(ptr.region.longs, ptr.index, val);
}
/** Reads the word: 0 to 2^64 - 1. @pg pg_atomic_read_u64 */
export function pgAtomicReadU64(ptr: pg_atomic_uint64): bigint {
  return Atomics.load(ptr.region.longs, ptr.index);
}
/** Writes the word. @pg pg_atomic_write_u64 */
export function pgAtomicWriteU64(ptr: pg_atomic_uint64, val: bigint): void {
  Atomics.store(ptr.region.longs, ptr.index, val);
}
/** Writes the word and returns what it held. @pg pg_atomic_exchange_u64 */
export function pgAtomicExchangeU64(ptr: pg_atomic_uint64, newval: bigint): bigint {
  return Atomics.exchange(ptr.region.longs, ptr.index, newval);
}
/** Writes `newval` where the word holds `expected`; see {@link pgAtomicCompareExchangeU32}. @pg pg_atomic_compare_exchange_u64 */
export function pgAtomicCompareExchangeU64(ptr: pg_atomic_uint64, expected: bigint, newval: bigint): { exchanged: boolean; expected: bigint } {
  const held = Atomics.compareExchange(ptr.region.longs, ptr.index, expected, newval);
  return { exchanged: held === BigInt.asUintN(64, expected), expected: held };
}
/** Adds, wrapping around at 2^64; returns what the word held before. @pg pg_atomic_fetch_add_u64 */
export function pgAtomicFetchAddU64(ptr: pg_atomic_uint64, add: bigint): bigint {
  return Atomics.add(ptr.region.longs, ptr.index, add);
}
/** Subtracts; returns what the word held before. @pg pg_atomic_fetch_sub_u64 */
export function pgAtomicFetchSubU64(ptr: pg_atomic_uint64, sub: bigint): bigint {
  return Atomics.sub(ptr.region.longs, ptr.index, sub);
}
/** Keeps the bits that are in `and`; returns what the word held before. @pg pg_atomic_fetch_and_u64 */
export function pgAtomicFetchAndU64(ptr: pg_atomic_uint64, and: bigint): bigint {
  return Atomics.and(ptr.region.longs, ptr.index, and);
}
/** Sets the bits that are in `or`; returns what the word held before. @pg pg_atomic_fetch_or_u64 */
export function pgAtomicFetchOrU64(ptr: pg_atomic_uint64, or: bigint): bigint {
  return Atomics.or(ptr.region.longs, ptr.index, or);
}
/** Adds; returns what the word holds now. @pg pg_atomic_add_fetch_u64 */
export function pgAtomicAddFetchU64(ptr: pg_atomic_uint64, add: bigint): bigint {
  return BigInt.asUintN(64, Atomics.add(ptr.region.longs, ptr.index, add) + add);
}
/** Subtracts; returns what the word holds now. @pg pg_atomic_sub_fetch_u64 */
export function pgAtomicSubFetchU64(ptr: pg_atomic_uint64, sub: bigint): bigint {
  return BigInt.asUintN(64, Atomics.sub(ptr.region.longs, ptr.index, sub) - sub);
}

// --- flags --------------------------------------------------------------------------------------------------------------------------

/** Clears a flag that nobody else uses yet. @pg pg_atomic_init_flag */
export function pgAtomicInitFlag(ptr: pg_atomic_flag): void {
  Atomics.store(ptr.region.words, ptr.index, 0);
}
/** Sets the flag; true where it was clear, and so is ours now. @pg pg_atomic_test_set_flag */
export function pgAtomicTestSetFlag(ptr: pg_atomic_flag): boolean {
  return Atomics.exchange(ptr.region.words, ptr.index, 1) === 0;
}
/** Is it clear? A hint: it may be set by the time that this is read. @pg pg_atomic_unlocked_test_flag */
export function pgAtomicUnlockedTestFlag(ptr: pg_atomic_flag): boolean {
  return Atomics.load(ptr.region.words, ptr.index) === 0;
}
/** Clears the flag. @pg pg_atomic_clear_flag */
export function pgAtomicClearFlag(ptr: pg_atomic_flag): void {
  Atomics.store(ptr.region.words, ptr.index, 0);
}
