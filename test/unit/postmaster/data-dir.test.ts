// Data directories: good ones, all kinds of bad ones, and new ones.
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ErrorData } from '../../../src/elog/error-data.js';
import { parseConfigFile } from '../../../src/guc/conf-file.js';
import { SETTINGS } from '../../../src/guc/settings.js';
import { parseAndValidateValue } from '../../../src/guc/value.js';
import { checkDataDir, initDataDir } from '../../../src/postmaster/data-dir.js';
import { tempDir } from '../../helpers/index.js';

function caught(run: () => unknown): Pick<ErrorData, 'code' | 'message' | 'severity' | 'detail' | 'hint'> {
  try {
    run();
  } catch (err) {
    const { code, message, severity, detail, hint } = err as ErrorData;
    return Object.fromEntries(Object.entries({ code, message, severity, detail, hint }).filter(([, value]) => value !== undefined)) as never;
  }
  throw new Error('nothing was thrown');
}

/** A directory of our own with these files in it. */
function dirWith(...names: string[]): string {
  const dir = join(tempDir(), 'data');
  mkdirSync(dir, { mode: 0o700 });
  for (const name of names) writeFileSync(join(dir, name), name === 'BGWORKER_VERSION' ? '1\n' : '');
  return dir;
}

describe('checkDataDir', () => {
  test.each([[], ['BGWORKER_VERSION'], ['bgworker.conf'], ['postmaster.pid', 'log'], ['BGWORKER_VERSION', 'pgdata', 'anything']])(
    'ours: %j',
    (...names) => checkDataDir(dirWith(...names.filter((name) => name !== undefined))),
  );
  test.each([0o700, 0o710, 0o750, 0o500])('mode %o will do', (mode) => {
    const dir = dirWith('BGWORKER_VERSION');
    chmodSync(dir, mode);
    checkDataDir(dir);
    chmodSync(dir, 0o700); // or its owner could not remove what is in it
  });
  test.each([0o777, 0o755, 0o770, 0o720, 0o701, 0o704])('mode %o is too much', (mode) => {
    const dir = dirWith('BGWORKER_VERSION');
    chmodSync(dir, mode);
    expect(caught(() => checkDataDir(dir))).toStrictEqual({
      code: '55000',
      severity: 'FATAL',
      message: `data directory "${dir}" has invalid permissions`,
      detail: 'Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).',
    });
  });
  test('none', () =>
    expect(caught(() => checkDataDir('/nonexistent/data'))).toStrictEqual({
      code: '58P01',
      severity: 'FATAL',
      message: 'data directory "/nonexistent/data" does not exist',
    }));
  test('a file', () => {
    const file = join(dirWith('x'), 'x');
    expect(caught(() => checkDataDir(file))).toStrictEqual({
      code: '55000',
      severity: 'FATAL',
      message: `specified data directory "${file}" is not a directory`,
    });
    expect(caught(() => checkDataDir(join(file, 'y')))).toStrictEqual({
      code: '42809',
      severity: 'FATAL',
      message: `could not read permissions of directory "${file}/y": Not a directory`,
    });
  });
  test('somebody else’s', () => {
    const dir = dirWith('BGWORKER_VERSION');
    const { geteuid } = process;
    onTestFinished(() => void Object.assign(process, { geteuid }));
    process.geteuid = () => 4711;
    expect(caught(() => checkDataDir(dir))).toStrictEqual({
      code: '55000',
      severity: 'FATAL',
      message: `data directory "${dir}" has wrong ownership`,
      hint: 'The server must be started by the user that owns the data directory.',
    });
  });
  test.each([['letters'], ['PG_VERSION', 'postmaster.pid'], ['PG_VERSION', 'bgworker.conf']])('not ours: %s %s', (...names) => {
    const dir = dirWith(...names.filter((name) => name !== undefined));
    expect(caught(() => checkDataDir(dir))).toStrictEqual({
      code: '22023',
      severity: 'FATAL',
      message: `"${dir}" is not a valid data directory`,
      detail: `The directory is not empty, and file "${dir}/BGWORKER_VERSION" is missing.`,
      hint: 'Name a directory that is empty or does not exist yet, or one that "bgworker start" has made.',
    });
  });
  test('of another version', () => {
    const dir = dirWith();
    writeFileSync(join(dir, 'BGWORKER_VERSION'), '2\n');
    expect(caught(() => checkDataDir(dir))).toMatchObject({
      message: 'data directory is incompatible with server',
      detail: 'The data directory was initialized by layout version 2, which is not compatible with this version 1.',
    });
    writeFileSync(join(dir, 'BGWORKER_VERSION'), 'two');
    expect(caught(() => checkDataDir(dir))).toMatchObject({ detail: `File "${dir}/BGWORKER_VERSION" does not contain valid data.` });
  });
});

describe('initDataDir', () => {
  test('makes a directory that passes, closed to others, with its parents', () => {
    const dir = join(tempDir(), 'a', 'b');
    expect(initDataDir(dir)).toBe(true);
    checkDataDir(dir);
    expect(statSync(dir).mode & 0o7777).toBe(0o700);
    expect(readdirSync(dir).toSorted()).toStrictEqual(['BGWORKER_VERSION', 'bgworker.conf']);
    for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600);
  });
  test('takes an empty directory, and closes it', () => {
    const dir = tempDir();
    chmodSync(dir, 0o755);
    expect(initDataDir(dir)).toBe(true);
    checkDataDir(dir);
  });
  test('leaves alone what is there', () => {
    const dir = tempDir();
    initDataDir(dir);
    writeFileSync(join(dir, 'bgworker.conf'), 'max_connections = 3\n');
    expect(initDataDir(dir)).toBe(false);
    expect(readFileSync(join(dir, 'bgworker.conf'), 'utf8')).toBe('max_connections = 3\n');
    const foreign = dirWith('letters');
    expect(initDataDir(foreign)).toBe(false);
    expect(readdirSync(foreign)).toStrictEqual(['letters']);
    expect(initDataDir(join(foreign, 'letters'))).toBe(false);
  });
  test('says what failed', () => {
    const file = join(dirWith('x'), 'x', 'y');
    expect(caught(() => initDataDir(file))).toMatchObject({ code: '42809', message: `could not create directory "${file}": Not a directory` });
    const dangling = join(tempDir(), 'link');
    symlinkSync('nowhere', dangling);
    expect(caught(() => initDataDir(join(dangling, 'x'))).message).toContain('could not create directory');
  });
  test('the sample file has every setting, and each line would be right without its #', () => {
    const dir = join(tempDir(), 'data');
    initDataDir(dir);
    const sample = readFileSync(join(dir, 'bgworker.conf'), 'utf8');
    expect(parseConfigFile(sample, 'f')).toStrictEqual({ items: [], errors: [] });
    const { items, errors } = parseConfigFile(sample.replaceAll(/^#(?=\S)/gm, ''), 'f');
    expect(errors).toStrictEqual([]);
    expect(items.map(({ name }) => name)).toStrictEqual(SETTINGS.map(({ name }) => name));
    for (const [index, setting] of SETTINGS.entries()) {
      expect(parseAndValidateValue(setting, setting.name, items[index]?.value ?? '')).toStrictEqual({ value: setting.bootValue });
    }
  });
});
