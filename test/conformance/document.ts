// docs/conformance.md, as the judge writes it: the table of a run, and the lists of exceptions.ts. Pure.

import { TOO_LATE_MS } from './lateness.js';
import { LINES, MASK_BITS, SCENARIOS, VALUES } from './exceptions.js';
import { disagreements } from './repeat.js';
import { countByGroup } from './report.js';
import { EARLY_S } from './restarts.js';
import type { Result, Verdict } from './runner.js';

export const HEAD = `# Conformance

Written by \`npm run conformance -- --write-docs\`; what stands here is what a run gave, and the lists that the judge goes by
(\`test/conformance/exceptions.ts\`). Do not edit it.

The judge takes scenarios that were run on a real PostgreSQL (15.20; 13.23 where workers have no shared memory access), does the same to this
postmaster, and compares what was seen: what each process and each session saw, in order; the lines of the log, with level and SQLSTATE; how often
workers were started, how they ended, and after which pauses they were restarted. A scenario whose recorded runs differ among themselves passes with
any behaviour that the rules allow.

| Command | What |
| --- | --- |
| \`npm run conformance\` | all of them |
| \`npm run conformance -- FILE…\` | scenario files of the same format; words that the judge does not know are an error that names file, scenario and step |
| \`npm run conformance -- test/conformance/scenarios-more.json\` | 199 more, written by somebody who did not know the judge, and recorded on a real PostgreSQL 15.20 by a C module and a runner made for that |
| \`npm run conformance -- test/conformance/own-scenarios.json\` | scenarios of our own, for what no recorded one uses; what must be seen is written by hand, from the description of the language and from PostgreSQL's rules, and was compared with what such a server did |
| \`npm run conformance -- --only REGEX\`, \`--group G\` | some of them |
| \`npm run conformance -- --repeat 10 --busy\` | ten runs with every processor busy; fails where a verdict is not the same in all |
| \`npm run conformance -- --json\` | the verdicts as JSON |

Exit status: 0 where nothing failed, 1 where something did, 2 where the command line or a file is wrong, 130 after Ctrl-C.

## What a busy machine changes

A scenario's steps, sleeps and scripts have times in them, and were recorded on a quiet machine. What the judge does about that, so that the verdict does not
depend on who else is at work:

- Each scenario that is under way has a process of the judge's for itself, and these go before everybody else in the scheduler's queue (\`nice\` -10, where the
  user may); postmasters and workers have their ordinary place.
- Before a step that acts on a worker the judge waits, three seconds at most, until the worker's latest process has come to rest: it has written what the
  recorded one wrote before the first thing that takes time. Before a look at a worker it waits until the log has as many starts and ends of it as were
  recorded by then. Where that does not come, the step is taken all the same, and what is missing is a difference.
- A step that waits for something which came in time when it was recorded may wait three times as long; where it did not come then, the time is the scenario's own.
- Before a step that ends a worker the judge waits until the worker's processes have written what the recorded ones had written by then, and before a session's
  SIGUSR1 are counted, until as many have come as were recorded. A status is asked for again, three seconds at most, until it is the recorded one: one that has
  come too soon does not go away.
- What comes late because the postmaster was ready to run and had no processor is not late: the kernel counts that time (\`/proc/PID/schedstat\`), the judge reads it
  every 10 ms, and takes it off the pause before a restart; and where it had none when a worker had ended, the line of that came late, and the pause looks shorter.
- A restart may look ${EARLY_S * 1000} ms sooner than its interval: the line of the exit is written a moment after the exit was noted.
- A crash cycle's 0.5 s are counted from the exit that began the cycle where the recorded restart came as soon after that; where it did not (a child resists, and is
  killed after five seconds), from the line that says that all are gone. The time that the last of its children to end, or the startup process, was ready to run
  and had no processor is taken off as the postmaster's is.
- A look (at a status, at processes, at a count of signals) that had to be repeated is repeated in silence, but the longest such wait of a run stands in its
  summary; where \`--busy\` is not asked for, each one above a second does.
- A session that polls may miss a worker that lived between two of its looks. Such a life counts as seen where the log has it begin after one look and end before
  the next (PostgreSQL's own polls may miss it, too).
- A worker that a crash cycle kills at its birth may have said something, and may not: it is forked in one pass with the one that crashed.
- Two SIGUSR1 that a session's backend could not take one by one, because it did not run between them, are one, in PostgreSQL too. So the count may be less than
  the recorded one by as many as the log has pairs of events of which this session is told (a start, an exit), before it counts, that lie closer together than its
  backend waited for a processor just then; two exits that the postmaster finds in one look lie at no distance. What was lost before one count is lost at the next.
- Several postmasters write their logs independently: the recorded order of their lines is that of one run.

What is left is lateness of the judge's own process, and processes that got no processor for so long that a scenario's own pauses (some are of 50 ms) have not
parted what they were to part. Where a scenario failed, and the time by which the judge's process was late at worst while it took the steps (as the timers of its
event loop show) and the time for which one of the scenario's was ready to run and had no processor (as the kernel counts, the worst in any 200 ms) come to
${TOO_LATE_MS} ms or more together, the scenario is tried again after all others, with none beside it, up to three tries in all. Only that is tried again: not what failed while all had a processor, whatever the load. (With
four scenarios side by side on a quiet machine of two processors, one scenario in eight has as much; where it passed, that does not matter.) Each such try is listed with how long it was, and all that had differed, so that nothing is hidden that comes and goes; with \`--tries 1\`
whatever happens counts.
`;

const VERDICTS: readonly Verdict[] = ['passed', 'failed', 'not applicable'];

function row(...cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`;
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');
}

export interface Circumstances {
  readonly date: Date;
  readonly node: string;
  /** Every processor was kept busy. */
  readonly busy: boolean;
}

/** `10 runs, every processor busy, the same verdict each time`: what one run cannot show, from the runs themselves. */
function runsText(runs: readonly (readonly Result[])[], busy: boolean): string {
  const differing = disagreements(runs);
  const same = differing.length === 0 ? 'the same verdict each time' : `NOT the same verdict each time (${differing.join('; ')})`;
  const parts = [
    `${runs.length} ${runs.length === 1 ? 'run' : 'runs'}`,
    ...(busy ? ['every processor busy'] : []),
    ...(runs.length > 1 ? [same] : []),
  ];
  return parts.join(', ');
}

/** The table is that of the first run. */
export function documentText(runs: readonly (readonly Result[])[], { date, node, busy }: Circumstances): string {
  const results = runs[0] ?? [];
  const total = (verdict: Verdict): number => results.filter((result) => result.verdict === verdict).length;
  const groups = [...countByGroup(results)].map(([group, count]) => [group, ...VERDICTS.map((verdict) => count[verdict])]);
  const discarded = runs.flat().reduce((sum, result) => sum + result.discarded.length, 0);
  const without = results.filter(({ verdict }) => verdict === 'not applicable');
  return [
    HEAD,
    '## The table\n',
    `${date.toISOString().slice(0, 10)}, Node ${node.slice(1)}. ${runsText(runs, busy)}. Tries that did not count: ${discarded}.\n`,
    table(['Group', 'Passed', 'Failed', 'Not applicable'], [...groups, ['**all**', ...VERDICTS.map(total)]]),
    '',
    exceptionsText(),
    '## Not applicable in this run\n',
    without.length === 0
      ? 'None.'
      : table(
          ['Scenario', 'Why'],
          without.map(({ id, reasons }) => [`\`${id}\``, reasons.join('; ')]),
        ),
    '',
  ].join('\n');
}

/** A pattern in a table: the bar would end the cell. */
const code = (text: string): string => (text === '' ? 'nothing' : `\`${text.replaceAll('|', '\\|')}\``);

/** What is compared otherwise, or not at all; the same in each run. */
export function exceptionsText(): string {
  const bits = MASK_BITS.map(({ fields, signals, release, reason }) => [
    code(fields.source),
    signals.join(', '),
    release === undefined ? 'all' : code(release.source),
    reason,
  ]);
  return [
    "## Lines that are PostgreSQL's alone, or ours\n",
    'Left out of the comparison on both sides.\n',
    table(
      ['Pattern', 'Why'],
      LINES.map(({ pattern, reason }) => [code(pattern.source), reason]),
    ),
    '\n## Parts of lines that differ from run to run\n',
    'Replaced on both sides.\n',
    table(
      ['Pattern', 'Replaced by', 'Why'],
      VALUES.map(({ pattern, replacement, reason }) => [code(pattern.source), code(replacement), reason]),
    ),
    '\n## Bits of signal masks\n',
    "Cleared on both sides: they are not a worker's own doing.\n",
    table(['Field of /proc/PID/status', 'Signals', 'Releases', 'Why'], bits),
    '\n## Scenarios that lose their point\n',
    'Recognised by what they do, not by their names. "Hard to do" is no reason.\n',
    SCENARIOS.map(({ reason }) => `- ${reason}`).join('\n'),
    '',
  ].join('\n');
}
