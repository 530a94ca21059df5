// log_destination: a list. The answers are PostgreSQL 15's, but that it knows csvlog and syslog besides.
import { afterEach, describe, expect, test } from 'vitest';
import { configureLog } from '../../../src/elog/elog.js';
import type { ErrorData } from '../../../src/elog/error-data.js';
import { getConfigOption, setConfigOption } from '../../../src/guc/guc.js';
import { splitIdentifierString } from '../../../src/guc/identifier-list.js';
import { initializeGUCOptions } from '../../../src/guc/variables.js';

afterEach(() => {
  initializeGUCOptions();
  configureLog({ destination: ['stderr'] });
});

describe('log_destination', () => {
  test.each(['stderr', 'jsonlog', 'stderr,jsonlog', '"stderr"', 'STDERR, JSONLOG', '"STDERR"', '', ' ', 'jsonlog,jsonlog'])('%j is taken', (text) => {
    setConfigOption('log_destination', text, 'command line');
    expect(getConfigOption('log_destination')).toBe(text);
  });

  test.each([
    ['foo', 'Unrecognized key word: "foo".'],
    ['FOO', 'Unrecognized key word: "foo".'],
    ['stderr, csvlogx', 'Unrecognized key word: "csvlogx".'],
    ['csvlog', 'Unrecognized key word: "csvlog".'],
    ['syslog', 'Unrecognized key word: "syslog".'],
    ['"a b"', 'Unrecognized key word: "a b".'],
    ['é', 'Unrecognized key word: "é".'],
    ['stderr,,jsonlog', 'List syntax is invalid.'],
    ['stderr,', 'List syntax is invalid.'],
    [',stderr', 'List syntax is invalid.'],
    ['"STDERR', 'List syntax is invalid.'],
    ['stderr jsonlog', 'List syntax is invalid.'],
  ])('%j is refused: %s', (text, detail) => {
    let error: ErrorData | undefined;
    try {
      setConfigOption('log_destination', text, 'command line');
    } catch (err) {
      error = err as ErrorData;
    }
    expect(error).toMatchObject({ code: '22023', message: `invalid value for parameter "log_destination": "${text}"`, detail });
    expect(getConfigOption('log_destination')).toBe('stderr');
  });
});

test.each([
  ['', []],
  [' a , "B ""c""" ,D', ['a', 'B "c"', 'd']],
  ['""', ['']],
  ['a"b', ['a"b']],
  ['"a"b', null],
])('splitIdentifierString(%j)', (text, expected) => expect(splitIdentifierString(text)).toEqual(expected));
