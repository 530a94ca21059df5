// A table as psql prints one: headings centred, numbers to the right, the number of rows below. The command line. Pure.
// PostgreSQL: print_aligned_text in src/fe_utils/print.c, REL_15_STABLE.

export interface Column<Row> {
  readonly heading: string;
  readonly align: 'left' | 'right';
  readonly cell: (row: Row) => string | number | null;
}

/** How wide a text is on a terminal: East Asian characters and emoji take two places, combining marks none. */
function width(text: string): number {
  let places = 0;
  for (const char of text) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(char)) continue;
    places +=
      /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]/u.test(char)
        ? 2
        : 1;
  }
  return places;
}

/** What would move the cursor is shown as psql shows it. */
function printable(value: string | number | null): string {
  return String(value ?? '').replaceAll(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`);
}

const blanks = (count: number): string => ' '.repeat(Math.max(0, count));

function align(text: string, places: number, how: 'left' | 'right'): string {
  return how === 'right' ? blanks(places - width(text)) + text : text + blanks(places - width(text));
}

function centre(text: string, places: number): string {
  const before = Math.floor((places - width(text)) / 2);
  return blanks(before) + text + blanks(places - width(text) - before);
}

export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => printable(cell(row))));
  const widths = columns.map(({ heading }, index) => Math.max(width(heading), ...cells.map((line) => width(line[index] ?? ''))));
  const line = (texts: readonly string[]): string => ` ${texts.join(' | ')} `.trimEnd();
  const body = cells.map((texts) => line(texts.map((text, index) => align(text, widths[index] ?? 0, columns[index]?.align ?? 'left'))));
  return [
    ` ${columns.map(({ heading }, index) => centre(heading, widths[index] ?? 0)).join(' | ')} `,
    widths.map((places) => '-'.repeat(places + 2)).join('+'),
    ...body,
    `(${rows.length} row${rows.length === 1 ? '' : 's'})`,
    '',
  ].join('\n');
}
