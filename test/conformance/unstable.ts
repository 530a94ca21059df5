// The fourth rule: a scenario whose recorded runs differ among themselves. The one that was kept is one of several that the contract allows, so here it is not
// compared line by line; what must hold whatever the timing was is. Pure.
//
//   - the sessions ask the same things in the same order; what a status call answers may differ, and a call may find its session closed
//   - every process of a worker says what some recorded process of that worker said, as far as it came
//   - the lines about no worker come in the same order; lines about the life of workers may come more or less often; there are no others

import { diffLines } from './diff.js';
import { compareBorders } from './postmaster-order.js';
import { subjectOf, type LogLine, type Streams } from './streams.js';

/** `alone`: what each postmaster said, where there are several. */
export function compareUnstable(expected: Streams, got: Streams, alone: readonly (readonly LogLine[])[] = []): string[] {
  const order = alone.length > 1 ? compareBorders(expected.postmasterLog, alone) : compareOrder(expected, got);
  return [...compareSessions(expected, got), ...compareProcesses(expected, got), ...order, ...compareLogs(expected, got)];
}

/** Answers that timing decides. */
const STATUS = /^(?:STARTED <.*>|NOT_YET_STARTED|STOPPED|\(still waiting\)|CLOSED : .*)$/;

function compareSessions(expected: Streams, got: Streams): string[] {
  return [...new Set([...expected.sessions.keys(), ...got.sessions.keys()])].flatMap((name) => {
    const want = (expected.sessions.get(name) ?? []).filter(isAnswer);
    const have = (got.sessions.get(name) ?? [])
      .filter(isAnswer)
      .map((line, index) => (isAllowed(want[index], line) ? (want[index] as string) : line));
    const difference = diffLines(want, have);
    return difference.some((line) => !line.startsWith(' ')) ? [`session "${name}" saw something else:`, ...difference] : [];
  });
}

/** Not what came in between: changes of a status that is polled, and messages. */
function isAnswer(line: string): boolean {
  return !/^runner: \w+: (?:status .* becomes |got )/.test(line);
}

function isAllowed(want: string | undefined, have: string): boolean {
  if (want === undefined || want === have) return want !== undefined;
  const [question, answer] = split(want);
  const [asked, answered] = split(have);
  if (question !== asked) return false;
  if (/ register \S+$/.test(question)) return isEither(answer, answered, /^(?:true|CLOSED : .*)$/);
  return isEither(answer, answered, STATUS) || (/ SIGUSR1 received so far = /.test(want) && / SIGUSR1 received so far = /.test(have));
}

const isEither = (a: string, b: string, pattern: RegExp): boolean => pattern.test(a) && pattern.test(b);

function split(line: string): [string, string] {
  const at = line.indexOf(' -> ');
  return at < 0 ? [line.replace(/ = \d+$/, ' = '), ''] : [line.slice(0, at), line.slice(at + 4)];
}

/** What a process says, without which one it is: its own number, and that of its run. */
function anonymous(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/^[^:]*: /, '').replace(/^main run=\d+ /, 'main run=K '));
}

function compareProcesses(expected: Streams, got: Streams): string[] {
  const recorded = new Map<string, string[][]>();
  for (const [process, lines] of expected.events) {
    const worker = workerOf(process);
    recorded.set(worker, [...(recorded.get(worker) ?? []), anonymous(lines)]);
  }
  return [...got.events].flatMap(([process, lines]) => {
    const have = anonymous(lines);
    const models = recorded.get(workerOf(process)) ?? [];
    if (models.some((model) => startsLike(model, have))) return [];
    return [`process ${process} said what no recorded process of this worker did:`, ...diffLines(models[0] ?? [], have)];
  });
}

const workerOf = (process: string): string => process.replace(/#\d+$/, '');

/** One of them may have been ended sooner than the other. */
function startsLike(a: readonly string[], b: readonly string[]): boolean {
  return a.slice(0, b.length).join('\n') === b.slice(0, a.length).join('\n');
}

/** What the log says about any worker's life: how often, timing decides. */
const LIFE =
  /^(?:(?:registering|unregistering|starting) background worker |background worker ".*" \(PID [^)]*\) (?:exited with|was terminated by)|terminating background worker )/s;

function compareOrder(expected: Streams, got: Streams): string[] {
  const borders = (lines: readonly LogLine[]): string[] => lines.filter((line) => subjectOf(line) === null).map(({ whole }) => whole);
  const order = diffLines(withoutRepeats(borders(expected.postmasterLog)), withoutRepeats(borders(got.postmasterLog)));
  return order.some((line) => !line.startsWith(' ')) ? ['the postmaster did other things, or in another order:', ...order] : [];
}

function compareLogs(expected: Streams, got: Streams): string[] {
  const lines = (streams: Streams): Set<string> =>
    new Set([...streams.postmasterLog, ...streams.otherLog].filter(({ text }) => !LIFE.test(text)).map(({ whole }) => withoutStatus(whole)));
  const want = lines(expected);
  const have = lines(got);
  const missing = [...want].filter((line) => !have.has(line)).map((line) => `- ${line}`);
  const extra = [...have].filter((line) => !want.has(line)).map((line) => `+ ${line}`);
  return missing.length + extra.length === 0 ? [] : ['the log has other lines:', ...missing, ...extra];
}

/** A message may tell a status, which timing decides. */
function withoutStatus(line: string): string {
  return line.replaceAll(/\b(?:STARTED <[^>]*>|NOT_YET_STARTED|STOPPED)/g, 'STATUS');
}

function withoutRepeats(lines: readonly string[]): string[] {
  return lines.filter((line, index) => line !== lines[index - 1]);
}
