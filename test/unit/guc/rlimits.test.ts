// The text of resource limits: what it may say, and what is said of it where it may not.
import { describe, expect, test } from 'vitest';
import { RLIM_INFINITY, checkRlimits, parseRlimits } from '../../../src/guc/rlimits.js';

describe('parseRlimits', () => {
  test.each([
    ['', []],
    ['  ', []],
    ['RLIMIT_NOFILE=256', [['RLIMIT_NOFILE', 256, 256]]],
    [' RLIMIT_NOFILE = 256 : 1024 ', [['RLIMIT_NOFILE', 256, 1024]]],
    ['RLIMIT_AS=2GB, RLIMIT_CORE=0', [['RLIMIT_AS', 2 * 1024 ** 3, 2 * 1024 ** 3], ['RLIMIT_CORE', 0, 0]]],
    ['RLIMIT_DATA=1 MB:unlimited', [['RLIMIT_DATA', 1024 ** 2, RLIM_INFINITY]]],
    ['RLIMIT_CPU=2min', [['RLIMIT_CPU', 120, 125]]],
    ['RLIMIT_CPU=1:1', [['RLIMIT_CPU', 1, 1]]],
    ['RLIMIT_CPU=unlimited', [['RLIMIT_CPU', RLIM_INFINITY, RLIM_INFINITY]]],
    ['RLIMIT_FSIZE=1, RLIMIT_FSIZE=2', [['RLIMIT_FSIZE', 2, 2]]],
    ['max_old_space_size=64MB', [['max_old_space_size', 64 * 1024 ** 2, 64 * 1024 ** 2]]],
  ])('%j', (text, expected) => {
    const parsed = parseRlimits(text);
    expect(typeof parsed === 'string' ? parsed : parsed.map(({ name, soft, hard }) => [name, soft, hard])).toEqual(expected);
  }); // prettier-ignore

  test.each([
    ['nonsense', '"nonsense" has not the form NAME=SOFT or NAME=SOFT:HARD'],
    ['RLIMIT_CORE=0,', '"" has not the form NAME=SOFT or NAME=SOFT:HARD'],
    ['rlimit_core=0', /^unrecognized resource "rlimit_core"; there are RLIMIT_CPU, RLIMIT_FSIZE, /],
    ['toString=0', /^unrecognized resource "toString"/],
    ['RLIMIT_CPU=5kB', '"RLIMIT_CPU=5kB": the value of RLIMIT_CPU is a whole number, with a unit (s, min, h, d) or without, or "unlimited"'],
    ['RLIMIT_AS=-1', /the value of RLIMIT_AS is a whole number, with a unit \(B, kB, MB, GB, TB\)/],
    ['RLIMIT_AS=99999999TB', /the value of RLIMIT_AS is a whole number/],
    ['RLIMIT_NOFILE=1.5', /the value of RLIMIT_NOFILE is a whole number, or "unlimited"$/],
    ['RLIMIT_NOFILE=2:1', '"RLIMIT_NOFILE=2:1": the soft limit is above the hard one'],
    ['RLIMIT_NOFILE=unlimited:1', '"RLIMIT_NOFILE=unlimited:1": the soft limit is above the hard one'],
    ['max_old_space_size=0', '"max_old_space_size=0": max_old_space_size is one number of bytes above 0'],
    ['max_old_space_size=1MB:2MB', '"max_old_space_size=1MB:2MB": max_old_space_size is one number of bytes above 0'],
    ['max_old_space_size=unlimited', '"max_old_space_size=unlimited": max_old_space_size is one number of bytes above 0'],
  ])('%j: %s', (text, complaint) => {
    const parsed = parseRlimits(text);
    if (typeof complaint === 'string') expect(parsed).toBe(complaint);
    else expect(parsed).toMatch(complaint);
  });
});

test('checkRlimits: a sentence for the setting', () => {
  expect(checkRlimits('RLIMIT_CORE=0')).toBe(true);
  expect(checkRlimits(null)).toBe(true);
  expect(checkRlimits('x=1')).toMatchObject({ detail: expect.stringMatching(/^Unrecognized resource "x"; .*\.$/) as string });
});
