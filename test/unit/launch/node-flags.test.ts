// Which flags a postmaster's Node gets, whatever it was given, and which options of Node it cannot have.
import { describe, expect, test } from 'vitest';
import { NODE_FLAGS, postmasterFlags, refusedOption } from '../../../src/launch/node-flags.js';

describe('postmasterFlags', () => {
  test('all there, in whatever order, with others: nothing to change', () => {
    for (const argv of [[...NODE_FLAGS], NODE_FLAGS.toReversed(), ['--expose-gc', ...NODE_FLAGS, '--max-old-space-size=100']]) {
      expect(postmasterFlags(argv)).toEqual(argv);
    }
  });

  test.each([
    ['none', [], []],
    ['some', ['--single-threaded', '--v8-pool-size=1'], []],
    ['others besides', ['--import', 'x', '--expose-gc'], ['--import', 'x', '--expose-gc']],
    ['the opposite at the end', [...NODE_FLAGS, '--no-single-threaded'], []],
    ['the opposite as V8 also spells it', [...NODE_FLAGS, '--nosingle_threaded', '--flush_bytecode'], []],
    ['another size at the end', [...NODE_FLAGS, '--v8-pool-size=4'], []],
    ['another size, as a word of its own', ['--v8-pool-size', '4', ...NODE_FLAGS, '--expose-gc'], ['--expose-gc']],
    ['one of them twice', [...NODE_FLAGS, '--single_threaded'], []],
  ])('%s: ours once each, at the end, and theirs before', (_what, argv, theirs) => {
    expect(postmasterFlags(argv)).toEqual([...theirs, ...NODE_FLAGS]);
    expect(postmasterFlags(postmasterFlags(argv))).toEqual(postmasterFlags(argv));
  });
});

describe('refusedOption', () => {
  test.each([
    '--inspect', '--inspect=0', '--inspect-brk', '--inspect-wait=127.0.0.1:9229', '--cpu-prof', '--cpu-prof-dir=x', '--heap-prof', '--prof',
    '--trace-event-categories', '--trace-events-enabled', '--loader', '--experimental-loader=x', '--report-on-signal', '--heapsnapshot-signal=SIGUSR2',
    '--frozen-intrinsics', '--watch',
  ])('%s, on the command line and in NODE_OPTIONS', (option) => {
    const name = option.replace(/=.*/, '');
    expect(refusedOption(['--expose-gc', option], '')).toMatchObject({ option: name, where: 'on the command line' });
    expect(refusedOption([], `--expose-gc "${option}"`)).toMatchObject({ option: name, where: 'in NODE_OPTIONS' });
    expect(refusedOption([], `--expose-gc ${option} --x`)).toMatchObject({ option: name, where: 'in NODE_OPTIONS' });
  }); // prettier-ignore

  test('others are not', () => {
    const fine = [
      '--inspect-port=0',
      '--import',
      'tsx',
      '--require=./x',
      '--max-old-space-size=64',
      '--experimental-vm-modules',
      '--report-on-fatalerror',
    ];
    expect(refusedOption([...NODE_FLAGS, ...fine], `${fine.join(' ')} --title "--inspect me"`)).toBeNull();
  });
});
