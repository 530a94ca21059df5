// In which order the postmaster must have said what it said. Pure.
//
// The oracle's order is that of one run. What the postmaster does of its own accord is in the same order every time; when workers that run side by side exit,
// or are noticed, is not. So where the two logs differ in order only, the difference must be one that PostgreSQL may show too:
//   - lines about no worker (shutdown, crash cycle, ready) come in the same order, and the lines about workers lie between the same two of them;
//   - the lines about one worker come in the same order;
//   - workers that wait for their first start are started newest registration first (contract S-31). Which registrations one pass finds together
//     is chance; in a scenario that stops the postmaster while it registers it is not, and there the starts must be as recorded.

import { diffCounts, diffLines } from './diff.js';
import { subjectOf, type LogLine } from './streams.js';

export interface OrderRules {
  /** The scenario holds the postmaster while it registers. */
  readonly held: boolean;
  /** Start times by worker, where the scenario sets them: a worker waits only behind those that may start as early. */
  readonly startTimes: ReadonlyMap<string, number>;
  /** What each postmaster said, where there are several: between them the order is free. */
  readonly alone: readonly (readonly LogLine[])[];
}

const DEFAULT_START_TIME = 2;

/** Nothing where the order is one that may be; else what is wrong. */
export function comparePostmasterLog(expected: readonly LogLine[], got: readonly LogLine[], rules: OrderRules): string[] {
  const expectedLines = expected.map(({ whole }) => whole);
  const gotLines = got.map(({ whole }) => whole);
  if (expectedLines.join('\n') === gotLines.join('\n')) return [];
  const counts = diffCounts(expectedLines, gotLines);
  if (counts.length > 0) return ['the postmaster has other log lines:', ...diffLines(expectedLines, gotLines)];
  const segments = rules.alone.length > 1 ? compareBorders(expected, rules.alone) : compareSegments(expected, got);
  const problems = [...segments, ...compareSubjects(expected, got), ...checkStarts(expected, got, rules)];
  return problems.length === 0 ? [] : [...problems, 'the log of the postmaster, in full:', ...diffLines(expectedLines, gotLines)];
}

/** Of several postmasters: could they have said the lines about no worker in the order in which they were recorded? */
export function compareBorders(expected: readonly LogLine[], alone: readonly (readonly LogLine[])[]): string[] {
  const borders = (lines: readonly LogLine[]): string[] => lines.filter((line) => subjectOf(line) === null).map(({ whole }) => whole);
  if (isMergeOf(borders(expected), alone.map(borders))) return [];
  return [
    'one of the postmasters did other things, or in another order; as recorded:',
    ...borders(expected).map((line) => `- ${line}`),
    ...alone.flatMap((lines, index) => [`postmaster ${index + 1}:`, ...borders(lines).map((line) => `+ ${line}`)]),
  ];
}

/** Is it these lists, each in its order, shuffled into one? */
export function isMergeOf(whole: readonly string[], parts: readonly (readonly string[])[]): boolean {
  if (whole.length !== parts.reduce((sum, part) => sum + part.length, 0)) return false;
  // All ways at once: how far each part may have been used up after as many lines of the whole.
  let ways = [parts.map(() => 0)];
  for (const line of whole) {
    const next = ways.flatMap((way) => parts.flatMap((part, at) => (part[way[at] ?? 0] === line ? [way.with(at, (way[at] ?? 0) + 1)] : [])));
    ways = [...new Map(next.map((way) => [way.join(), way])).values()];
  }
  return ways.length > 0;
}

/** The lines about no worker, and before each of them, and at the end, which lines about workers come in between. */
function segmentsOf(lines: readonly LogLine[]): { border: string; lines: string[] }[] {
  const segments: { border: string; lines: string[] }[] = [];
  let current: string[] = [];
  for (const line of lines) {
    if (subjectOf(line) === null) {
      segments.push({ border: line.whole, lines: current });
      current = [];
    } else current.push(line.whole);
  }
  return [...segments, { border: 'the end', lines: current }];
}

function compareSegments(expected: readonly LogLine[], got: readonly LogLine[]): string[] {
  const want = segmentsOf(expected);
  const have = segmentsOf(got);
  const borders = diffLines(
    want.map(({ border }) => border),
    have.map(({ border }) => border),
  ).filter((line) => !line.startsWith(' '));
  if (borders.length > 0) return ['the postmaster did things in another order:', ...borders];
  return want.flatMap(({ border, lines }, index) => {
    const difference = diffCounts(lines, have[index]?.lines ?? []);
    return difference.length === 0 ? [] : [`between its predecessor and "${border}" the postmaster has other lines:`, ...difference];
  });
}

/**
 * Where workers have a type in common that is nobody's name, the lines of their ends name all of them so, and no other line does: then the process says whose a line
 * is.
 */
function bySubject(lines: readonly LogLine[]): Map<string, string[]> {
  const ownerOf = (line: LogLine): string | undefined => /\(PID <([^#>]+)#\d+>\)/.exec(line.text)?.[1];
  const names = new Set(lines.filter((line) => ownerOf(line) === undefined).map(subjectOf));
  const map = new Map<string, string[]>();
  for (const line of lines) {
    const subject = subjectOf(line);
    if (subject === null) continue;
    const key = names.has(subject) ? subject : `${subject} ${ownerOf(line)}`;
    map.set(key, [...(map.get(key) ?? []), line.whole]);
  }
  return map;
}

function compareSubjects(expected: readonly LogLine[], got: readonly LogLine[]): string[] {
  const have = bySubject(got);
  return [...bySubject(expected)].flatMap(([subject, lines]) => {
    const difference = diffLines(lines, have.get(subject) ?? []);
    return difference.some((line) => !line.startsWith(' ')) ? [`the postmaster's lines about "${subject}" are in another order:`, ...difference] : [];
  });
}

const isStart = (line: LogLine): boolean => line.text.startsWith('starting ');
const isBeginning = (line: LogLine): boolean => isStart(line) || line.text.startsWith('registering ');

function checkStarts(expected: readonly LogLine[], got: readonly LogLine[], rules: OrderRules): string[] {
  const want = expected.filter(isBeginning).map(({ whole }) => whole);
  const have = got.filter(isBeginning).map(({ whole }) => whole);
  if (want.join('\n') === have.join('\n')) return [];
  if (rules.held) return ['workers were registered and started in another order:', ...diffLines(want, have)];
  return firstStartsOutOfOrder(got, rules);
}

/** Goes through our own log: whoever is started for the first time must be the newest of those that wait for the same start time. */
function firstStartsOutOfOrder(log: readonly LogLine[], { startTimes }: OrderRules): string[] {
  const waiting: string[] = [];
  const startTime = (name: string): number => startTimes.get(name) ?? DEFAULT_START_TIME;
  const problems: string[] = [];
  for (const line of log) {
    const name = subjectOf(line);
    if (name === null) continue;
    if (line.text.startsWith('registering ')) waiting.push(name);
    else if (line.text.startsWith('unregistering ')) remove(waiting, name);
    else if (isStart(line) && waiting.includes(name)) {
      const newest = waiting.findLast((other) => startTime(other) === startTime(name));
      if (newest !== name) problems.push(`"${name}" was started before "${newest}", which was registered after it`);
      remove(waiting, name);
    }
  }
  return problems;
}

function remove(list: string[], item: string): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
