// The list in shared_preload_libraries, as SplitDirectoriesString reads one.
import { describe, expect, test } from 'vitest';
import { splitLibraryList } from '../../../src/postmaster/preload.js';

describe('splitLibraryList', () => {
  test.each([
    ['', []],
    ['   ', []],
    ['a', ['a']],
    [' a ', ['a']],
    ['a,b', ['a', 'b']],
    [' ./a.js ,\t/b/c.js ', ['./a.js', '/b/c.js']],
    ['with blank,b', ['with blank', 'b']],
    ['"a,b",c', ['a,b', 'c']],
    ['" a "', [' a ']],
    ['"a""b"', ['a"b']],
    ['$libdir/Case', ['$libdir/Case']],
  ])('%j is %j', (list, names) => {
    expect(splitLibraryList(list)).toEqual(names);
  });

  test.each([',', 'a,', ',a', 'a,,b', '"a', 'a"', '"a"b', '""', '" "', 'a,""'])('%j is a syntax error', (list) => {
    expect(splitLibraryList(list)).toBeNull();
  });
});
