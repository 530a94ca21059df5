// Help, version, and mistakes on the command line.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bgworker, failed, ok, useStandIn } from './kit.js';

useStandIn();

describe('help and mistakes', () => {
  test.each(['start', 'stop', 'restart', 'reload', 'status', 'ps', 'postmaster', 'run'])(
    '%s --help shows its options, -D, and examples',
    async (command) => {
      const { status, out, err } = await bgworker([command, '--help']);
      expect({ status, err }).toStrictEqual({ status: 0, err: '' });
      expect(out).toContain(`bgworker ${command === 'run' ? 'postmaster' : command}`);
      expect(out).toContain('-D, --datadir');
      expect(out).toMatch(/Examples?:\n {2}bgworker /);
    },
  );
  test('--help lists the commands', async () => {
    for (const args of [['--help'], ['-?'], ['help']]) {
      const { status, out } = await bgworker(args);
      expect(status).toBe(0);
      for (const word of ['start', 'stop', 'restart', 'reload', 'status', 'ps', 'postmaster|run', 'Examples:']) expect(out).toContain(word);
    }
  });
  test('--version', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await bgworker(['--version'])).toStrictEqual(ok(`bgworker ${version}\n`));
  });
  const tryHelp = 'Try "bgworker --help" for more information.\n';
  const mistakes: [string[], string][] = [
    [[], 'bgworker: no operation specified\n'],
    [['frob'], "bgworker: unknown command 'frob'\n"],
    [['--bogus'], "bgworker: unknown option '--bogus'\n"],
    [['status', '--bogus'], "bgworker: unknown option '--bogus'\n"],
    [['status', 'extra'], "bgworker: too many arguments for 'status'. Expected 0 arguments but got 1.\n"],
    [['start', '-D'], "bgworker: option '-D, --datadir <datadir>' argument missing\n"],
  ];
  test.each(mistakes)('%j', async (args, message) => expect(await bgworker(args)).toStrictEqual(failed(message + tryHelp)));
});
