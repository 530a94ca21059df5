// Structures in shared memory, declared once: widths and alignment are worked out as a C compiler does, and every field becomes a property. Any process.
// PostgreSQL: a struct declaration; offsetof and sizeof are the only functions that C has for this.

import { ShmemRegion, regionOf } from './region.js';
import { SHMEM_TYPES, type ShmemFieldTypes, type ShmemTypeName } from './struct-types.js';

/** What one field, or one element of an array, may be. */
export type ShmemElementType = ShmemTypeName | ShmemDeclaration;
/** What a field may be: a type's name, another structure, or `[type, length]`; `['char', bytes]` is text. */
export type ShmemFieldType = ShmemElementType | readonly [ShmemElementType | 'char', number];
export type ShmemFields = Readonly<Record<string, ShmemFieldType>>;

type Element<T> = T extends ShmemTypeName ? ShmemFieldTypes[T] : T extends { at(where: ShmemRegion, offset?: number): infer V } ? V : never;
type Field<T> = T extends readonly ['char', number] ? string : T extends readonly [infer E, number] ? ShmemArray<Element<E>> : Element<T>;
type IsAssigned<T> = T extends readonly ['char', number] ? true : Element<T> extends number | bigint | boolean ? true : false;

/** A structure in memory: one property a field. Plain values and text are assigned; arrays, structures and what functions work on are read-only. */
export type ShmemView<F extends ShmemFields> = {
  -readonly [K in keyof F as IsAssigned<F[K]> extends true ? K : never]: Field<F[K]>;
} & { readonly [K in keyof F as IsAssigned<F[K]> extends true ? never : K]: Field<F[K]> };

/** An array inside of a structure. */
export interface ShmemArray<T> extends Iterable<T> {
  readonly length: number;
  /** @throws RangeError outside of the array */
  at(index: number): T;
  /** Plain values only. @throws RangeError outside of the array; TypeError where elements are not assigned */
  set(index: number, value: T): void;
  /** Its bytes, as they lie. Outlives nothing: take it anew each time. */
  readonly bytes: Uint8Array;
}

/** A structure's declaration, whatever its fields. */
export interface ShmemDeclaration {
  /** Bytes, a multiple of `align`. C: sizeof. */
  readonly size: number;
  readonly align: number;
  at(where: ShmemRegion | Uint8Array, offset?: number): object;
}

/** A structure's declaration. */
export interface ShmemStruct<F extends ShmemFields> extends ShmemDeclaration {
  /** Where each field begins. C: offsetof. */
  readonly offsets: { readonly [K in keyof F]: number };
  /**
   * The structure that lies at an offset of a region, or of shared bytes: a dynamic segment's, those of `shmTocAllocate` and the like. C: a cast of a pointer.
   * @throws RangeError where it does not fit, or is not aligned; TypeError for bytes that are not shared
   */
  at(where: ShmemRegion | Uint8Array, offset?: number): ShmemView<F>;
}

/** How one field is reached. `set` is missing where it is not assigned. */
interface Accessor {
  readonly size: number;
  readonly align: number;
  readonly get: (region: ShmemRegion, offset: number) => unknown;
  readonly set?: (region: ShmemRegion, offset: number, value: never) => void;
}

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

// Where a view looks: under symbols, so that its names are the structure's alone. What is made once for a field is kept.
const REGION = Symbol('region');
const OFFSET = Symbol('offset');
const MADE = Symbol('made');
interface Place {
  readonly [REGION]: ShmemRegion;
  readonly [OFFSET]: number;
  readonly [MADE]: Map<string, unknown>;
}

function textAccessor(length: number): Accessor {
  return {
    size: length,
    align: 1,
    get(region, offset) {
      const bytes = region.bytes.subarray(offset, offset + length);
      const end = bytes.indexOf(0);
      return Buffer.from(bytes.subarray(0, end < 0 ? length : end)).toString();
    },
    set(region: ShmemRegion, offset: number, value: string) {
      if (typeof value !== 'string') throw new TypeError(`the value must be a string, not ${typeof value}`);
      const bytes = Buffer.from(value);
      if (bytes.length >= length) throw new RangeError(`the text may have up to ${length - 1} bytes, not ${bytes.length}`);
      if (bytes.includes(0)) throw new RangeError('the text must not contain a NUL');
      region.bytes.fill(0, offset, offset + length).set(bytes, offset);
    },
  };
}

class ArrayView implements ShmemArray<unknown> {
  readonly #element: Accessor;
  readonly #region: ShmemRegion;
  readonly #offset: number;
  readonly length: number;
  readonly #made: unknown[] = [];

  constructor(element: Accessor, length: number, region: ShmemRegion, offset: number) {
    this.#element = element;
    this.length = length;
    this.#region = region;
    this.#offset = offset;
  }
  #where(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.length)
      throw new RangeError(`the index must be 0 to ${this.length - 1}, not ${index}`);
    return this.#offset + index * this.#element.size;
  }
  at(index: number): unknown {
    const where = this.#where(index);
    if (this.#element.set !== undefined) return this.#element.get(this.#region, where);
    return (this.#made[index] ??= this.#element.get(this.#region, where));
  }
  set(index: number, value: unknown): void {
    if (this.#element.set === undefined) throw new TypeError('the elements of this array are not assigned: use the functions for their type');
    this.#element.set(this.#region, this.#where(index), value as never);
  }
  get bytes(): Uint8Array {
    return this.#region.bytes.subarray(this.#offset, this.#offset + this.length * this.#element.size);
  }
  *[Symbol.iterator](): Iterator<unknown> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }
}

function elementAccessor(field: string, type: unknown): Accessor {
  if (typeof type === 'string' && Object.hasOwn(SHMEM_TYPES, type)) {
    const known = SHMEM_TYPES[type as ShmemTypeName];
    if ('make' in known) return { size: known.size, align: known.align, get: (region, offset) => known.make(region, offset) };
    return known;
  }
  if (type instanceof Declaration) return { size: type.size, align: type.align, get: (region, offset) => type.at(region, offset) };
  const types = [...Object.keys(SHMEM_TYPES), 'a structure', '[type, length]', "['char', bytes]"].join(', ');
  throw new TypeError(`field "${field}" must be of one of the types ${types}, not ${typeof type === 'string' ? `"${type}"` : String(type)}`);
}

function fieldAccessor(field: string, type: unknown): Accessor {
  if (!Array.isArray(type)) return elementAccessor(field, type);
  const [element, length] = type as unknown[];
  if (type.length !== 2 || !Number.isSafeInteger(length) || (length as number) < 1) {
    throw new TypeError(`field "${field}" must have a length of 1 or more elements, not ${String(length)}`);
  }
  if (element === 'char') return textAccessor(length as number);
  const accessor = elementAccessor(field, element);
  return {
    size: accessor.size * (length as number),
    align: accessor.align,
    get: (region, offset) => new ArrayView(accessor, length as number, region, offset),
  };
}

function placeOf(where: ShmemRegion | Uint8Array): { region: ShmemRegion; begin: number; room: number } {
  if (where instanceof ShmemRegion) return { region: where, begin: 0, room: where.size };
  const region = where instanceof Uint8Array ? regionOf(where) : null;
  if (region === null) throw new TypeError('a structure must lie in a region of shared memory, or in shared bytes');
  return { region, begin: where.byteOffset, room: where.length };
}

class Declaration implements ShmemDeclaration {
  readonly size: number;
  readonly align: number;
  readonly offsets: Readonly<Record<string, number>>;
  readonly #prototype: object = Object.create(null) as object;

  constructor(fields: ShmemFields) {
    if (typeof fields !== 'object' || fields === null) throw new TypeError(`the fields must be an object, not ${String(fields)}`);
    const offsets: Record<string, number> = {};
    let end = 0;
    let align = 1;
    for (const [name, type] of Object.entries(fields)) {
      const accessor = fieldAccessor(name, type);
      end = roundUp(end, accessor.align);
      offsets[name] = end;
      this.#define(name, end, accessor);
      end += accessor.size;
      align = Math.max(align, accessor.align);
    }
    if (end === 0) throw new TypeError('a structure must have a field');
    if (!Number.isSafeInteger(end)) throw new RangeError('requested shared memory size overflows size_t');
    this.size = roundUp(end, align);
    this.align = align;
    this.offsets = Object.freeze(offsets);
  }

  #define(name: string, at: number, accessor: Accessor): void {
    const { get, set } = accessor;
    const getter =
      set === undefined
        ? function (this: Place): unknown {
            const region = this[REGION];
            void region.view; // an error where the memory is gone: what is made once does not look again
            let value = this[MADE].get(name);
            if (value === undefined) this[MADE].set(name, (value = get(region, this[OFFSET] + at)));
            return value;
          }
        : function (this: Place): unknown {
            return get(this[REGION], this[OFFSET] + at);
          };
    const setter = function (this: Place, value: never): void {
      set?.(this[REGION], this[OFFSET] + at, value);
    };
    Object.defineProperty(this.#prototype, name, { enumerable: true, get: getter, ...(set === undefined ? {} : { set: setter }) });
  }

  at(where: ShmemRegion | Uint8Array, offset: number = 0): object {
    const { region, begin, room } = placeOf(where);
    void region.view; // an error where the memory is gone
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > room - this.size) {
      throw new RangeError(`a structure of ${this.size} bytes does not fit at ${offset} into ${room} bytes`);
    }
    const at = begin + offset;
    if (at % this.align !== 0) throw new RangeError(`a structure aligned to ${this.align} bytes cannot lie at ${at}`);
    const view = Object.create(this.#prototype) as object;
    Object.assign(view, { [REGION]: region, [OFFSET]: at, [MADE]: new Map() } satisfies Place);
    // A misspelt field is an error and not a property that nobody else sees.
    return Object.preventExtensions(view);
  }
}

/**
 * Declares a structure. Fields lie in the order in which they are named, each aligned as C aligns it; nobody writes an offset.
 *
 * @param fields `name: type`: `'int32'` and its like, `'pg_atomic_uint64'`, `'LWLock'`, another structure, `[type, length]`, or `['char', bytes]` for text
 * @throws TypeError for a type that there is not; RangeError for one that is too large
 * @example
 * const Counters = shmemStruct({ lock: 'LWLock', hits: 'pg_atomic_uint64', owner: 'int32', name: ['char', 64], buckets: ['uint32', 16] });
 */
export function shmemStruct<const F extends ShmemFields>(fields: F): ShmemStruct<F> {
  return new Declaration(fields) as unknown as ShmemStruct<F>;
}
