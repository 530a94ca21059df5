// What the judge tells: a line for each scenario, a table by group, and the count. Pure but for `print`.

import type { Result, Verdict } from './runner.js';

export interface GroupCount {
  passed: number;
  failed: number;
  'not applicable': number;
}

export function countByGroup(results: readonly Result[]): Map<string, GroupCount> {
  const groups = new Map<string, GroupCount>();
  for (const { group, verdict } of results.toSorted((a, b) => a.group.localeCompare(b.group))) {
    const count = groups.get(group) ?? { passed: 0, failed: 0, 'not applicable': 0 };
    count[verdict]++;
    groups.set(group, count);
  }
  return groups;
}

const MARKS: Readonly<Record<Verdict, string>> = { passed: 'ok    ', failed: 'FAILED', 'not applicable': 'n/a   ' };

/** One scenario, with its differences where it failed. */
export function scenarioText({ id, group, verdict, seconds, reasons, lateMs, starvedMs, discarded, kept }: Result): string {
  const late = verdict === 'failed' ? `, ${lateMs} ms late, starved for ${starvedMs} ms` : '';
  const again = discarded.length > 0 ? `, try ${discarded.length + 1}: the judge was late before` : '';
  const head = `${MARKS[verdict]}  ${id}  (${group}, ${seconds.toFixed(1)} s${late}${again})`;
  if (verdict === 'passed') return head;
  if (verdict === 'not applicable') return `${head}: ${reasons.join('; ')}`;
  return [head, ...reasons, ...(kept === undefined ? [] : [`kept in ${kept}`])].join('\n        ');
}

/** Publication that takes longer than this on a machine that nobody has made busy is worth a look. */
const SLOW_LOOK_MS = 1000;

/** The table, and the line with the sums that ends the report. `busy`: the processors were kept busy. */
export function summaryText(results: readonly Result[], { busy = false }: { busy?: boolean } = {}): string {
  const groups = countByGroup(results);
  const width = Math.max(5, ...[...groups.keys()].map((group) => group.length));
  const row = (name: string, ...cells: (string | number)[]): string =>
    `${name.padEnd(width)}${cells.map((cell) => String(cell).padStart(16)).join('')}`;
  const verdicts = ['passed', 'failed', 'not applicable'] as const;
  const total = (verdict: Verdict): number => results.filter((result) => result.verdict === verdict).length;
  const failed = results.filter(({ verdict }) => verdict === 'failed').map(({ id }) => id);
  return [
    '',
    row('group', ...verdicts),
    ...[...groups].map(([group, count]) => row(group, ...verdicts.map((verdict) => count[verdict]))),
    row('all', ...verdicts.map(total)),
    '',
    ...(failed.length === 0 ? [] : [`failed: ${failed.join(' ')}`, '']),
    ...discardedText(results),
    ...notesText(results, busy),
    `${total('passed')} passed, ${total('failed')} failed, ${total('not applicable')} skipped`,
  ].join('\n');
}

/** The tries that did not count, each with what had differed: who reads it sees whether only the judge was to blame. */
function discardedText(results: readonly Result[]): string[] {
  const lines = results.flatMap(({ id, discarded }) =>
    discarded.flatMap(({ lateMs, starvedMs, reasons }, index) => [
      `${id}, try ${index + 1}: the judge was ${lateMs} ms late, a process had no processor for ${starvedMs} ms, and`,
      ...reasons.map((line) => `        ${line}`),
    ]),
  );
  const tries = results.reduce((sum, { discarded }) => sum + discarded.length, 0);
  return lines.length === 0 ? [] : [`tries that did not count, as the judge was late or a process had no processor: ${tries}`, ...lines, ''];
}

/** What a passed scenario may have to say. */
function notesText(results: readonly Result[], busy: boolean): string[] {
  const looks = results.flatMap(({ id, slowestLook }) => (slowestLook === null ? [] : [{ id, ...slowestLook }])).toSorted((a, b) => b.ms - a.ms);
  const slow = looks.filter(({ ms }, index) => index === 0 || (!busy && ms > SLOW_LOOK_MS));
  const notes = [
    ...slow.map(
      ({ id, what, ms }, index) =>
        `${index === 0 ? 'the longest wait until a look was the recorded one' : `longer than ${SLOW_LOOK_MS} ms, too`}: ${ms} ms, ${id}, "${what}"`,
    ),
    ...new Set(results.flatMap(({ unchecked }) => unchecked)),
  ];
  return notes.length === 0 ? [] : ['notes:', ...notes.map((line) => `  ${line}`), ''];
}

export function summaryJson(results: readonly Result[]): string {
  return JSON.stringify({ groups: Object.fromEntries(countByGroup(results)), scenarios: results }, null, 2);
}
