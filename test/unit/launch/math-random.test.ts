// The generator in Math.random's place, and that no context escapes it. The contexts are those of a Node of its own: this one is vitest's.
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { dist } from '../../helpers/paths.js';

/** Runs a module in a fresh Node in which Math.random has been replaced; what it prints, as JSON. */
function inFreshNode(body: string): unknown {
  const code = `
    import vm from 'node:vm';
    const before = { random: Math.random, createContext: vm.createContext };
    const { prepareMathRandom, seedMathRandom } = await import(${JSON.stringify(dist('launch/math-random.js'))});
    prepareMathRandom();
    const result = await (async () => { ${body} })();
    console.log(JSON.stringify(result));`;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }));
}

describe('Math.random', () => {
  test('is spread evenly over [0, 1), bits of the lowest order too', () => {
    const { least, most, mean, chi, low } = inFreshNode(`
      const buckets = new Array(256).fill(0), n = 256_000;
      let sum = 0, least = 1, most = 0, low = 0;
      for (let i = 0; i < n; i++) {
        const value = Math.random();
        buckets[Math.floor(value * 256)]++;
        sum += value; least = Math.min(least, value); most = Math.max(most, value); low += (value * 2 ** 53) % 2;
      }
      return { least, most, mean: sum / n, chi: buckets.reduce((all, count) => all + (count - 1000) ** 2 / 1000, 0), low: low / n };`) as Record<
      string,
      number
    >;
    expect(least).toBeGreaterThanOrEqual(0);
    expect(most).toBeLessThan(1);
    expect(mean).toBeCloseTo(0.5, 2);
    expect(low).toBeCloseTo(0.5, 2);
    // 255 degrees of freedom: 8 standard deviations (22.6 each) either way.
    expect(chi).toBeGreaterThan(255 - 181);
    expect(chi).toBeLessThan(255 + 181);
  });

  test('a new seed is a new sequence, for references that were kept as well', () => {
    expect(
      inFreshNode(`
      const { random } = Math, seen = new Set();
      for (let n = 0; n < 2000; n++) { seedMathRandom(); seen.add(random()); seen.add(Math.random()); }
      return seen.size;`),
    ).toBe(4000);
  });

  test('looks as V8’s does', () => {
    expect(
      inFreshNode(`
      const shape = ({ value, ...rest }) => ({ ...rest, name: value.name, length: value.length, constructs: 'prototype' in value });
      return [shape(Object.getOwnPropertyDescriptor(Math, 'random')), shape({ value: before.random })];`),
    ).toEqual([
      { writable: true, enumerable: false, configurable: true, name: 'random', length: 0, constructs: false },
      { name: 'random', length: 0, constructs: false },
    ]);
  });
});

describe('contexts of node:vm', () => {
  test('each way to one leads to the generator; a function of the context’s own realm', () => {
    expect(
      inFreshNode(`
      const made = [vm.createContext({}), vm.createContext()];
      const drawn = made.map((context) => vm.runInContext('Math.random()', context));
      drawn.push(vm.runInNewContext('Math.random()'), new vm.Script('Math.random()').runInNewContext(), vm.runInNewContext('Math.random()', {}, 'file.js'));
      return [new Set(drawn).size, vm.runInContext('Math.random instanceof Function', made[0]), vm.runInContext('Math.random', made[0]) instanceof Function];`),
    ).toEqual([5, true, false]);
  });

  test('options and sandboxes as ever: a context again, a Math of its own, one that cannot be changed, code generation, errors', () => {
    expect(
      inFreshNode(`
      const context = vm.createContext({ x: 1 });
      const attempt = (act) => { try { return act(); } catch (err) { return err.name; } };
      return [
        vm.createContext(context) === context,
        vm.runInNewContext('x + 1', { x: 1 }),
        typeof vm.runInNewContext('Math.random()', { Math }),
        vm.runInNewContext('Math.random()', { Math: Object.freeze({ random: () => 4 }) }),
        attempt(() => vm.runInNewContext('eval("1")', {}, { contextCodeGeneration: { strings: false } })),
        attempt(() => vm.createContext(5)),
        attempt(() => vm.runInNewContext('x', 5)),
      ];`),
    ).toEqual([true, 2, 'number', 4, 'EvalError', 'TypeError', 'TypeError']);
  });
});
