// The postmaster's arguments.
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../src/postmaster/command-line.js';
import { dist } from '../../helpers/paths.js';

describe('parseCommandLine', () => {
  test('-D and any number of -c, in their order', () => {
    const { dataDir, settings } = parseCommandLine(['-c', 'a.b=1', '-D', '/data', '-c', 'database=none', '-c', 'a.b=2=3'], {});
    expect(dataDir).toBe('/data');
    expect(settings).toEqual([
      ['a.b', '1'],
      ['database', 'none'],
      ['a.b', '2=3'],
    ]);
  });

  test('the directory becomes absolute; -D comes before BGWORKER_DATA, the last -D counts', () => {
    expect(parseCommandLine(['-D', 'data'], {}).dataDir).toBe(`${process.cwd()}/data`);
    const env = { BGWORKER_DATA: '/from/env' };
    expect(parseCommandLine([], env).dataDir).toBe('/from/env');
    expect(parseCommandLine(['-D', '/a', '-D', '/b'], env).dataDir).toBe('/b');
  });

  test('settings that should not be seen in ps come in the environment, after the others, and are taken out of it', () => {
    const env: NodeJS.ProcessEnv = { BGWORKER_POSTMASTER_OPTIONS: JSON.stringify([['database', 'secret']]) };
    expect(parseCommandLine(['-D', '/d', '-c', 'x.y=1'], env).settings).toEqual([
      ['x.y', '1'],
      ['database', 'secret'],
    ]);
    expect(env).toEqual({});
  });

  test.each([
    [[], 'no data directory specified and environment variable BGWORKER_DATA unset'],
    [['-D', ''], 'no data directory specified and environment variable BGWORKER_DATA unset'],
    [['-D'], 'option -D requires an argument'],
    [['-D', '/d', '-c'], 'option -c requires an argument'],
    [['-x', 'y'], 'invalid argument: "-x"'],
    [['/data'], 'invalid argument: "/data"'],
  ])('%j: %s', (args, message) => {
    expect(() => parseCommandLine(args, {})).toThrow(expect.objectContaining({ message, severity: 'FATAL', code: '42601' }) as Error);
  });

  test('-c wants a value', () => {
    expect(() => parseCommandLine(['-D', '/d', '-c', 'novalue'], {})).toThrow('-c novalue requires a value');
  });
});

// In a process of its own, with the postmaster's flag. V8 here has threads, and what it has posted to them is lost when the platform says it has none: now and
// then it looked for its swept buffers afterwards, and ended the process (SweepingState::kDone == job_->state_).
test('this Node can be forked', () => {
  const code = `import(${JSON.stringify(dist('postmaster/command-line.js'))}).then(({ checkNode }) => checkNode())`;
  const { status, stderr } = spawnSync(process.execPath, ['--single-threaded', '-e', code], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
