// Worker scripts: every command is parsed, every other is an error. Pure; see test/conformance/script.ts.

import { describe, expect, it } from 'vitest';
import { commandsOfRun, parseScript, ScriptError } from '../../conformance/script.js';

const letters = (script: string, run: number): string =>
  commandsOfRun(script, run)
    .map(({ letter }) => letter)
    .join('');

describe('worker scripts', () => {
  it('have commands by semicolons and runs by bars, of which the last repeats', () => {
    const script = 'U;s150;x1|U;k9|U;Lx-1';
    expect(letters(script, 1)).toBe('Usx');
    expect(letters(script, 2)).toBe('Uk');
    expect(letters(script, 3)).toBe('UL');
    expect(letters(script, 7)).toBe('UL');
  });

  it('may be empty', () => {
    expect(parseScript('')).toEqual([[]]);
  });

  it.each([
    ['x255', { letter: 'x', number: 255 }],
    ['_0', { letter: '_', number: 0 }],
    ['QSELECT 1, 2', { letter: 'Q', text: 'SELECT 1, 2' }],
    ['llog from worker', { letter: 'l', text: 'log from worker' }],
    ['Tf', { letter: 'T', text: 'f' }],
    ['Cpostgres,-', { letter: 'C', names: ['postgres', null] }],
    ['O5,0', { letter: 'O', names: ['5', '0'] }],
    ['Lx-1', { letter: 'L', text: 'x', number: -1 }],
    ['Lxq-1', { letter: 'L', text: 'xq', number: -1 }],
    ['Lxc1500', { letter: 'L', text: 'xc', number: 1500 }],
    ['L1500', { letter: 'L', text: '', number: 1500 }],
    ['L1x500', { letter: 'L', text: '1x', number: 500 }],
    ['Lx1-1', { letter: 'L', text: 'x1', number: -1 }],
  ])('reads %s', (source, command) => {
    expect(parseScript(source)[0]?.[0]).toMatchObject(command);
  });

  it.each(['y', 'U1', 'x', 'xa', 'Tz', 'Cpostgres', 'Lz5', 'L'])('refuses %s', (source) => {
    expect(() => parseScript(source)).toThrow(ScriptError);
  });
});
