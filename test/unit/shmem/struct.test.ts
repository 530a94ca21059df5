// Structures in shared memory: they lie as a C compiler lays them out, and their accessors keep to widths, ranges and what is attached.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  pgAtomicAddFetchU32,
  pgAtomicCompareExchangeU32,
  pgAtomicCompareExchangeU64,
  pgAtomicFetchAddU32,
  pgAtomicFetchSubU64,
  pgAtomicReadU32,
  pgAtomicReadU64,
  pgAtomicSubFetchU64,
  pgAtomicTestSetFlag,
  pgAtomicClearFlag,
  type pg_atomic_uint64,
} from '../../../src/shmem/atomics.js';
import { ShmemRegion } from '../../../src/shmem/region.js';
import { type ShmemArray, shmemStruct } from '../../../src/shmem/struct.js';
import { SHMEM_TYPES } from '../../../src/shmem/struct-types.js';
import { tempDir } from '../../helpers/index.js';

const region = (size: number): ShmemRegion => new ShmemRegion(1 << 20, new ArrayBuffer(size));

const Point = shmemStruct({ x: 'int16', y: 'float8' });
const All = shmemStruct({
  i8: 'int8',
  u8: 'uint8',
  i16: 'int16',
  u16: 'uint16',
  i32: 'int32',
  u32: 'uint32',
  i64: 'int64',
  u64: 'uint64',
  f4: 'float4',
  f8: 'float8',
  flag: 'bool',
  datum: 'Datum',
  atomic32: 'pg_atomic_uint32',
  atomic64: 'pg_atomic_uint64',
  atomicFlag: 'pg_atomic_flag',
  lock: 'LWLock',
  text: ['char', 8],
  list: ['int32', 3],
  point: Point,
  points: [Point, 2],
});

describe('layout', () => {
  test('types are inferred from the declaration', () => {
    const view = All.at(region(All.size));
    expectTypeOf(view.i8).toEqualTypeOf<number>();
    expectTypeOf(view.u64).toEqualTypeOf<bigint>();
    expectTypeOf(view.flag).toEqualTypeOf<boolean>();
    expectTypeOf(view.text).toEqualTypeOf<string>();
    expectTypeOf(view.atomic64).toEqualTypeOf<pg_atomic_uint64>();
    expectTypeOf(view.list).toEqualTypeOf<ShmemArray<number>>();
    expectTypeOf(view.point.y).toEqualTypeOf<number>();
    expectTypeOf(view.points.at(0).x).toEqualTypeOf<number>();
    // @ts-expect-error there is no such type
    expect(() => shmemStruct({ a: 'int128' })).toThrow('field "a" must be of one of the types int8, ');
  });

  // The widths that C has, without the structures that are ours alone.
  const C_TYPES: Readonly<Record<string, string>> = {
    int8: 'signed char',
    uint8: 'unsigned char',
    int16: 'short',
    uint16: 'unsigned short',
    int32: 'int',
    uint32: 'unsigned int',
    int64: 'long',
    uint64: 'unsigned long',
    float4: 'float',
    float8: 'double',
    bool: '_Bool',
    Datum: 'unsigned long',
  };

  test('offsets and sizes are those of the C compiler', () => {
    const names = Object.keys(C_TYPES);
    const field = fc.tuple(fc.constantFrom(...names), fc.option(fc.integer({ min: 1, max: 5 })));
    const structs = fc.sample(fc.array(field, { minLength: 1, maxLength: 12 }), { numRuns: 60, seed: 7 });
    const source = structs.map((fields, n) => {
      const members = fields.map(([type, length], i) => `${C_TYPES[type]} f${i}${length === null ? '' : `[${length}]`};`).join(' ');
      const offsets = fields.map((_, i) => `offsetof(struct s${n}, f${i})`).join(', ');
      return {
        declaration: `struct s${n} { ${members} };`,
        print: `{ long o[] = { ${offsets}, sizeof(struct s${n}) }; for (int i = 0; i < ${fields.length + 1}; i++) printf("%ld ", o[i]); puts(""); }`,
      };
    });
    const dir = tempDir();
    const program = join(dir, 'layout');
    const text = `#include <stddef.h>\n#include <stdio.h>\n${source.map((s) => s.declaration).join('\n')}\nint main(void) {\n${source.map((s) => s.print).join('\n')}\n}\n`;
    writeFileSync(`${program}.c`, text);
    execFileSync('cc', ['-o', program, `${program}.c`]);
    const expected = execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
    structs.forEach((fields, n) => {
      const declared = shmemStruct(
        Object.fromEntries(fields.map(([type, length], i) => [`f${i}`, length === null ? type : [type, length]])) as never,
      );
      expect([...Object.values(declared.offsets), declared.size].join(' ')).toBe(expected[n]?.trim());
    });
  });

  test('fields do not overlap: what one is given, no other has', () => {
    const bytes = region(All.size);
    const view = All.at(bytes) as Record<string, unknown>;
    for (const name of ['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'f4', 'f8'] as const) view[name] = 1;
    for (const name of ['i64', 'u64', 'datum'] as const) view[name] = 1n;
    expect(view).toMatchObject({ i8: 1, u8: 1, i16: 1, u16: 1, i32: 1, u32: 1, f4: 1, f8: 1, i64: 1n, u64: 1n, datum: 1n, flag: false, text: '' });
    expect(Object.keys(Object.getPrototypeOf(view) as object)).toEqual(Object.keys(All.offsets));
  });

  test.each([
    [{}, 'a structure must have a field'],
    [{ a: ['int32', 0] }, 'field "a" must have a length of 1 or more elements, not 0'],
    [{ a: ['int32', 1.5] }, 'field "a" must have a length of 1 or more elements, not 1.5'],
    [{ a: ['int32'] }, 'field "a" must have a length of 1 or more elements, not undefined'],
    [{ a: 'char' }, 'field "a" must be of one of the types '],
    [{ a: 'toString' }, 'field "a" must be of one of the types '],
    [{ a: null }, 'field "a" must be of one of the types '],
    [{ a: ['float8', Number.MAX_SAFE_INTEGER] }, 'requested shared memory size overflows size_t'],
    [null, 'the fields must be an object, not null'],
  ])('%j is refused', (fields, message) => {
    expect(() => shmemStruct(fields as never)).toThrow(message);
  });

  test('a structure lies where it fits, and is aligned', () => {
    const bytes = region(Point.size * 2);
    expect(Point.at(bytes, Point.size)).toBeDefined();
    expect(() => Point.at(bytes, Point.size + 8)).toThrow('a structure of 16 bytes does not fit at 24 into 32 bytes');
    expect(() => Point.at(bytes, -8)).toThrow('does not fit');
    expect(() => Point.at(bytes, 4)).toThrow('a structure aligned to 8 bytes cannot lie at 4');
  });
});

describe('values', () => {
  const RANGES = {
    int8: [-128, 127],
    uint8: [0, 255],
    int16: [-32768, 32767],
    uint16: [0, 65535],
    int32: [-(2 ** 31), 2 ** 31 - 1],
    uint32: [0, 2 ** 32 - 1],
    int64: [-(2n ** 63n), 2n ** 63n - 1n],
    uint64: [0n, 2n ** 64n - 1n],
    Datum: [0n, 2n ** 64n - 1n],
  } as const;
  test.each(Object.entries(RANGES))('%s: both ends are kept, what is beyond is refused', (type, [low, high]) => {
    const one = typeof low === 'bigint' ? 1n : 1;
    const view = shmemStruct({ a: type as 'int8' }).at(region(8)) as unknown as { a: number | bigint };
    for (const value of [low, high]) {
      view.a = value;
      expect(view.a).toBe(value);
    }
    const below = (low as number) - (one as number);
    const above = (high as number) + (one as number);
    for (const value of [below, above]) expect(() => (view.a = value)).toThrow(RangeError);
    expect(() => (view.a = '1' as never)).toThrow(TypeError);
    expect(view.a).toBe(high);
  });

  test('text is UTF-8, ends with a NUL, and does not spill', () => {
    const view = All.at(region(All.size));
    view.text = 'größe';
    expect([view.text, view.list.at(0)]).toEqual(['größe', 0]);
    expect(() => (view.text = '12345678')).toThrow('the text may have up to 7 bytes, not 8');
    expect(() => (view.text = 'a\0b')).toThrow('the text must not contain a NUL');
    view.text = '';
    expect(view.text).toBe('');
  });

  test('garbage is read as something of the type', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: All.size, maxLength: All.size }), (garbage) => {
        const bytes = region(All.size);
        bytes.bytes.set(garbage);
        const view = All.at(bytes);
        expect([typeof view.flag, typeof view.text, typeof view.u64, typeof view.i8]).toEqual(['boolean', 'string', 'bigint', 'number']);
        expect(pgAtomicReadU32(view.atomic32)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 50 },
    );
  });

  test('arrays know their length', () => {
    const view = All.at(region(All.size));
    view.list.set(2, -5);
    expect([...view.list]).toEqual([0, 0, -5]);
    expect(() => view.list.at(3)).toThrow('the index must be 0 to 2, not 3');
    expect(() => view.list.set(-1, 0)).toThrow(RangeError);
    expect(() => view.points.set(0, view.point)).toThrow('the elements of this array are not assigned');
    view.points.at(1).y = 2.5;
    expect([view.points.at(0).y, view.points.at(1).y, view.points.at(1)]).toEqual([0, 2.5, view.points.at(1)]);
  });

  test('a misspelt field is an error', () => {
    const view = All.at(region(All.size)) as unknown as Record<string, number>;
    expect(() => (view['hitz'] = 1)).toThrow(TypeError);
    expect(() => ((view as { list: unknown }).list = [])).toThrow(TypeError);
  });
});

describe('pg_atomic', () => {
  const view = All.at(region(All.size));

  test('32 bits wrap around', () => {
    expect(pgAtomicFetchAddU32(view.atomic32, -1)).toBe(0);
    expect(pgAtomicReadU32(view.atomic32)).toBe(2 ** 32 - 1);
    expect(pgAtomicAddFetchU32(view.atomic32, 2)).toBe(1);
    expect(pgAtomicCompareExchangeU32(view.atomic32, 7, 8)).toEqual({ exchanged: false, expected: 1 });
    expect(pgAtomicCompareExchangeU32(view.atomic32, 1, -1)).toEqual({ exchanged: true, expected: 1 });
    expect(pgAtomicCompareExchangeU32(view.atomic32, -1, 0)).toEqual({ exchanged: true, expected: 2 ** 32 - 1 });
  });

  test('64 bits wrap around', () => {
    expect(pgAtomicFetchSubU64(view.atomic64, 1n)).toBe(0n);
    expect(pgAtomicReadU64(view.atomic64)).toBe(2n ** 64n - 1n);
    expect(pgAtomicSubFetchU64(view.atomic64, -2n)).toBe(1n);
    expect(pgAtomicCompareExchangeU64(view.atomic64, 1n, 0n)).toEqual({ exchanged: true, expected: 1n });
  });

  test('a flag is taken once', () => {
    expect([pgAtomicTestSetFlag(view.atomicFlag), pgAtomicTestSetFlag(view.atomicFlag)]).toEqual([true, false]);
    pgAtomicClearFlag(view.atomicFlag);
    expect(pgAtomicTestSetFlag(view.atomicFlag)).toBe(true);
  });
});

test('after detach every access is an error, also of what was taken before', () => {
  const bytes = region(All.size);
  const view = All.at(bytes);
  const { atomic32, list, points, lock } = view;
  expect(lock).toEqual({ offset: (1 << 20) + All.offsets.lock });
  bytes.detach();
  const gone = 'shared memory segment is not attached';
  for (const touch of [
    () => view.i8,
    () => (view.i8 = 1),
    () => view.text,
    () => (view.text = ''),
    () => view.point,
    () => view.lock,
    () => list.at(0),
    () => list.bytes,
    () => points.at(0).x,
    () => pgAtomicReadU32(atomic32),
    () => bytes.bytes,
    () => bytes.buffer,
  ])
    expect(touch).toThrow(gone);
  expect(bytes.attached).toBe(false);
  expect(SHMEM_TYPES.LWLock.size).toBe(16);
  expect(SHMEM_TYPES.Latch.size).toBe(16); // sizeof(BgwLatch)
});
