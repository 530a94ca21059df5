// The table as psql would print it.
import { describe, expect, test } from 'vitest';
import { type Column, formatTable } from '../../../src/cli/table.js';

interface Row {
  readonly n: number | null;
  readonly text: string;
}
const columns: readonly Column<Row>[] = [
  { heading: 'n', align: 'right', cell: ({ n }) => n },
  { heading: 'a heading', align: 'left', cell: ({ text }) => text },
];

describe('formatTable', () => {
  test('looks as in psql', () =>
    expect(
      formatTable(columns, [
        { n: 1, text: 'x' },
        { n: 2345, text: 'longer than it' },
        { n: null, text: '' },
      ]),
    ).toBe(['  n   |   a heading    ', '------+----------------', '    1 | x', ' 2345 | longer than it', '      |', '(3 rows)', ''].join('\n')));
  test('one row, no row', () => {
    expect(formatTable(columns, [{ n: 1, text: 'x' }])).toContain('(1 row)\n');
    expect(formatTable(columns, [])).toBe(' n | a heading \n---+-----------\n(0 rows)\n');
  });
  test('what is wide takes its room, and nothing moves the cursor', () => {
    const lines = formatTable(
      [columns[1]!, columns[0]!],
      [
        { n: 1, text: '漢字' },
        { n: 1, text: 'e\u0301' },
        { n: 1, text: '\u001b[2J\n' },
      ],
    ).split('\n');
    expect(lines.slice(2, 5)).toStrictEqual([' 漢字        | 1', ' e\u0301           | 1', ' \\x1B[2J\\x0A | 1']);
  });
});
