// What the soak calls growth, in looks that were made up.
import { describe, expect, test } from 'vitest';
import { type Health, complaints, growthOf, rise } from '../../soak/health.js';
import { parseSoakOptions } from '../../soak/options.js';

const look = (forks: number, fields: Partial<Health> = {}): Health => ({
  forks,
  descriptors: ['a', 'b'],
  threads: 8,
  mappings: 300,
  anonymousKb: 50_000,
  rssKb: 90_000,
  heapKb: 9000,
  ...fields,
});
const looks = (fields: (n: number) => Partial<Health>): Health[] => Array.from({ length: 21 }, (_, n) => look(500 * n, fields(n)));

describe('rise', () => {
  test('of a straight line: from its first point to its last', () => {
    expect(
      rise(
        looks((n) => ({ heapKb: 100 + 3 * n })),
        ({ heapKb }) => heapKb,
      ),
    ).toBeCloseTo(60);
  });

  test('of what goes up and down: next to nothing', () => {
    expect(Math.abs(growthOf(looks((n) => ({ anonymousKb: 50_000 + (n % 2) * 4000 }))).anonymousKb)).toBeLessThan(500);
  });

  test('of a single look: none', () => {
    expect(rise([look(5)], ({ heapKb }) => heapKb)).toBe(0);
  });
});

describe('complaints', () => {
  test('none where nothing grows', () => {
    expect(complaints(looks((n) => ({ anonymousKb: 50_000 + (n % 3) * 1000, heapKb: 9000 + n })))).toEqual([]);
  });

  test('a leak of a hundred bytes a fork', () => {
    const [complaint, ...others] = complaints(looks((n) => ({ heapKb: 9000 + n * 49 })));
    expect(others).toEqual([]);
    expect(complaint).toBe('the postmaster grows: heapKb by 980 in 10000 forks; 512 are allowed');
  });

  test('memory, mappings', () => {
    expect(complaints(looks((n) => ({ anonymousKb: 50_000 + n * 1000 })))).toHaveLength(1);
    expect(complaints(looks((n) => ({ mappings: 300 + n * 5 })))).toHaveLength(1);
  });

  test('a descriptor, a thread', () => {
    expect(complaints([look(0), look(10, { descriptors: ['a', 'b', 'pipe:[N]'] })])).toEqual([
      'descriptors of the postmaster after 10 forks: new: pipe:[N]; gone: ',
    ]);
    expect(complaints([look(0), look(10, { threads: 9 })])).toEqual(['threads of the postmaster after 10 forks: 9, once 8']);
  });
});

describe('the command line', () => {
  test('what is asked for by default', () => {
    expect(parseSoakOptions([])).toEqual({ forks: 10_000, alive: 1000, lanes: 2, node: null, json: false, help: false });
  });

  test.each([
    ['--forks', '10'],
    ['--alive', '-1'],
    ['--lanes', '0'],
    ['--spoons', '1'],
  ])('%s %s is refused', (...args) => {
    expect(() => parseSoakOptions(args)).toThrow();
  });
});
