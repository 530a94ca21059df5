// Every reason to refuse a Node, from facts that are not at hand here: other systems, other libraries, other builds.
import { describe, expect, test } from 'vitest';
import { type ForkFacts, nodeFacts, unforkableNode, unsupportedRuntime, untriedNode } from '../../src/node-support.js';

const GOOD: ForkFacts = {
  platform: 'linux',
  arch: 'x64',
  versions: { node: '24.21.0' },
  build: { v8_enable_pointer_compression: 0, v8_enable_sandbox: 0 },
  glibc: '2.36',
  exits: true,
  imports: true,
  platformSlot: true,
};
const node = (version: string): ForkFacts => ({ ...GOOD, versions: { node: version } });

describe('unsupportedRuntime', () => {
  test.each([
    ['Bun', { versions: { node: '24.3.0', bun: '1.3.0' } }, 'This is Bun 1.3.0, and bgworker forks Node itself.'],
    ['Deno', { versions: { node: '24.3.0', deno: '2.5.0' } }, 'This is Deno 2.5.0, and bgworker forks Node itself.'],
    ['macOS', { platform: 'darwin' }, 'It needs Linux; this is darwin.'],
    ['Windows', { platform: 'win32' }, 'It needs Linux; this is win32.'],
    ['32 bits', { arch: 'ia32' }, 'It needs a 64-bit processor, x64 or arm64; this Node is built for ia32.'],
    ['32 bits of ARM', { arch: 'arm' }, 'It needs a 64-bit processor, x64 or arm64; this Node is built for arm.'],
    ['another processor', { arch: 's390x' }, 'It needs a 64-bit processor, x64 or arm64; this Node is built for s390x.'],
    ['Node 18', { versions: { node: '18.20.8' } }, 'It needs Node 20.19 or later; this is 18.20.8.'],
    ['Node 20.18', { versions: { node: '20.18.3' } }, 'It needs Node 20.19 or later; this is 20.18.3.'],
    ['no Node at all', { versions: {} }, 'It needs Node 20.19 or later; this is none.'],
  ])('%s: refused by name, with a remedy', (_what, facts, detail) => {
    const complaint = unsupportedRuntime({ ...GOOD, ...facts });
    expect(complaint).toMatchObject({ message: 'bgworker cannot run here', detail });
    expect(complaint?.hint).toMatch(/^[A-Z].*\.$/);
  });

  test.each(['20.19.0', '20.20.2', '21.0.0', '22.0.0', '24.21.0', '26.10.0', '27.0.0', '30.1.0'])('Node %s: runs', (version) => {
    expect(unsupportedRuntime(node(version))).toBeNull();
  });

  test('arm64 does', () => expect(unsupportedRuntime({ ...GOOD, arch: 'arm64' })).toBeNull());
});

describe('unforkableNode', () => {
  test.each([
    ['musl', { glibc: null }, /^It is linked against another C library than glibc \(musl/],
    ['compressed pointers', { build: { v8_enable_pointer_compression: 1 } }, /^Its V8 compresses pointers/],
    ['a sandbox', { build: { v8_enable_sandbox: 1 } }, /^Its V8 compresses pointers, or has a sandbox/],
    ['no exit handler', { exits: false }, /^It does not export node::SetProcessExitHandler/],
    ['no import slots', { imports: false }, /^It does not call pthread_create and madvise by way of the dynamic linker/],
    ['no slot in the platform’s table', { platformSlot: false }, /^It does not export what tells V8 how many threads/],
  ])('%s: refused', (_what, facts, detail) => {
    const complaint = unforkableNode({ ...GOOD, ...facts });
    expect(complaint?.detail).toMatch(detail);
    expect(complaint?.message).toBe('this build of Node cannot be forked');
  });

  test('one that has it all is not', () => expect(unforkableNode(GOOD)).toBeNull());
  test('nor is one that says nothing of its build', () => expect(unforkableNode({ ...GOOD, build: {} })).toBeNull());
});

describe('untriedNode', () => {
  test.each(['20.19.0', '22.1.0', '24.0.0', '26.10.0'])('Node %s: nothing to say', (version) => expect(untriedNode(node(version))).toBeNull());
  test.each(['21.7.0', '23.11.0', '25.2.1', '27.0.0', '28.4.0'])('Node %s: a warning that names it', (version) => {
    expect(untriedNode(node(version))?.message).toBe(`forking was not tried with Node ${version}`);
  });
});

test('this Node is one of those', () => {
  expect([unsupportedRuntime(nodeFacts()), untriedNode(nodeFacts())]).toEqual([null, null]);
});
