// The four rules of comparison, each with a pair that passes and one that fails. Pure; see test/conformance/compare.ts.

import { describe, expect, it } from 'vitest';
import { compare } from '../../conformance/compare.js';
import { comparable, LINES, notApplicable, SCENARIOS, VALUES } from '../../conformance/exceptions.js';
import { isMergeOf } from '../../conformance/postmaster-order.js';
import { terminatedAtStart } from '../../conformance/races.js';
import type { Scenario } from '../../conformance/language.js';
import type { Life } from '../../conformance/signature.js';
import { more, own, recorded, scenarioWith } from './scenarios.js';

const stable = recorded.filter((scenario) => scenario.stable);
const judged = (scenario: (typeof recorded)[number], signature: readonly string[]): string[] => compare(scenario, { signature });
/** Is the line one that the judge compares, and whose place is not open? */
function isJudged(scenario: (typeof recorded)[number], line: string): boolean {
  const [, worker] = /^(\S+)#\d+: /.exec(line) ?? [];
  return comparable([line], '15.20').length > 0 && (worker === undefined || !terminatedAtStart(scenario).has(worker));
}

describe('the judge', () => {
  it.each([...recorded, ...more, ...own].map((scenario) => [scenario.id, scenario] as const))('passes %s as it was recorded', (_, scenario) => {
    expect(judged(scenario, scenario.signature)).toEqual([]);
  });

  it('misses every line that is missing, and sees every line that is doubled', { timeout: 120_000 }, () => {
    const overlooked = stable.flatMap((scenario) =>
      scenario.signature.flatMap((line, index) => {
        // DETAIL and HINT belong to the line before them.
        if (!isJudged(scenario, line)) return [];
        const without = judged(scenario, scenario.signature.toSpliced(index, 1));
        const doubled = judged(scenario, scenario.signature.toSpliced(index, 0, line));
        return without.length > 0 && doubled.length > 0 ? [] : [`${scenario.id}: ${line}`];
      }),
    );
    expect(overlooked).toEqual([]);
  });

  it('sees every line that reads otherwise', () => {
    const overlooked = stable.flatMap((scenario) =>
      scenario.signature.flatMap((line, index) => {
        // What a wait for a start answers may differ in a name of a process that nobody knows.
        const end = line.includes(' WaitForStartup ') ? /\w(?= ->)/ : /\w(?=\W*$)/;
        const other = line.replace(end, (char) => (char === '7' ? '8' : '7'));
        return !isJudged(scenario, line) || judged(scenario, scenario.signature.with(index, other)).length > 0 ? [] : [`${scenario.id}: ${line}`];
      }),
    );
    expect(overlooked).toEqual([]);
  });

  it('sees two lines of one process, or of one session, that changed places', () => {
    const speaker = (line: string): string | undefined => /^(?:runner: s\d+: |\S+#\d+: )/.exec(line)?.[0];
    const overlooked = stable.flatMap((scenario) =>
      scenario.signature.flatMap((line, index) => {
        const next = scenario.signature.findIndex((other, at) => at > index && speaker(other) === speaker(line));
        const other = scenario.signature[next];
        if (speaker(line) === undefined || other === undefined || other === line || !isJudged(scenario, line) || !isJudged(scenario, other))
          return [];
        return judged(scenario, scenario.signature.with(index, other).with(next, line)).length > 0 ? [] : [`${scenario.id}: ${line} / ${other}`];
      }),
    );
    expect(overlooked).toEqual([]);
  });

  it('lets lines of different processes change places', () => {
    const signature = ['a#1: main run=1 arg=0', 'b#1: main run=1 arg=0', 'runner: s1: connected', 'LOG[FATAL] oracle fatal'];
    expect(judged(scenarioWith({ signature }), signature.toReversed())).toEqual([]);
  });

  it('leaves out the detail of a line that is left out, and no other', () => {
    const line = 'LOG[LOG] received fast shutdown request';
    const refused = 'LOG[FATAL] the database system is not yet accepting connections';
    const detail = 'LOG[DETAIL] Consistent recovery state has not been yet reached.';
    expect(judged(scenarioWith({ signature: [line] }), [line, refused, detail])).toEqual([]);
    expect(judged(scenarioWith({ signature: [line] }), [line, detail, refused])).not.toEqual([]);
  });

  it('shows a difference as one', () => {
    const signature = ['a#1: main run=1 arg=0', 'a#1: unblocked', 'a#1: proc_exit(0)'];
    expect(judged(scenarioWith({ signature }), signature.with(1, 'a#1: blocked'))).toEqual([
      'process a#1 saw something else:',
      '  a#1: main run=1 arg=0',
      '- a#1: unblocked',
      '+ a#1: blocked',
      '  a#1: proc_exit(0)',
    ]);
  });
});

const registering = (name: string): string => `LOG[DEBUG] registering background worker "${name}"`;
const starting = (name: string): string => `LOG[DEBUG] starting background worker process "${name}"`;
const exited = (name: string): string => `LOG[LOG] background worker "${name}" (PID <${name}#1>) exited with exit code 1`;
const READY = 'LOG[LOG] database system is ready to accept connections';

describe("the order of the postmaster's lines", () => {
  const together = [registering('a'), registering('b'), starting('b'), starting('a'), READY, exited('a'), exited('b')];
  const oneByOne = [registering('a'), starting('a'), registering('b'), starting('b'), READY, exited('b'), exited('a')];
  const compareOrder = (got: readonly string[], steps: { op: string; who?: string; sig?: string; on?: string }[] = []): string[] =>
    judged(scenarioWith({ signature: together, setup: { steps } }), got);

  it('is free where chance decides which registrations are noticed together, and who exits first', () => {
    expect(compareOrder(oneByOne)).toEqual([]);
  });

  it('is not free where the postmaster was held meanwhile', () => {
    const [stop, go, reg] = [
      { op: 'kill', who: 'postmaster', sig: 'STOP' },
      { op: 'kill', who: 'postmaster', sig: 'CONT' },
      { op: 'reg', w: 'a' },
    ];
    for (const steps of [
      [stop, reg, go],
      [stop, { op: 'pm', sig: 'HUP' }, reg, go],
    ])
      expect(compareOrder(oneByOne, steps)[0]).toBe('workers were registered and started in another order:');
    expect(compareOrder(oneByOne, [stop, { ...reg, on: 'other' }, go])).toEqual([]);
    expect(compareOrder(oneByOne, [reg, stop, go, reg])).toEqual([]);
  });

  it('has the newest registration started first', () => {
    const got = [registering('a'), registering('b'), starting('a'), starting('b'), READY, exited('a'), exited('b')];
    expect(compareOrder(got)[0]).toBe('"a" was started before "b", which was registered after it');
  });

  it('knows workers with one type apart by their processes: each is unregistered before its end is told, whoever ends first', () => {
    const ended = (w: string): string => `LOG[LOG] background worker "typed" (PID <${w}#1>) exited with exit code 1`;
    const signature = [ended('a'), ended('b')];
    expect(judged(scenarioWith({ signature }), signature.toReversed())).toEqual([]);
    const twice = [ended('a'), 'LOG[LOG] background worker "typed" (PID <a#1>) was terminated by signal 9: Killed', ended('b')];
    expect(judged(scenarioWith({ signature: twice }), [twice[1], twice[0], twice[2]] as string[])[0]).toMatch(
      /lines about "typed a" are in another order/,
    );
  });

  it('keeps lines about workers between the same lines about the server', () => {
    expect(compareOrder([...together.slice(0, 3), READY, starting('a'), exited('a'), exited('b')]).join('\n')).toMatch(/between its predecessor and/);
  });

  it('keeps the order of one worker', () => {
    expect(compareOrder([registering('a'), registering('b'), starting('b'), starting('a'), READY, exited('b'), exited('a')])).toEqual([]);
    expect(compareOrder([registering('b'), starting('b'), starting('a'), registering('a'), READY, exited('a'), exited('b')]).join('\n')).toMatch(
      /about "a"/,
    );
  });
});

describe('the logs of several postmasters', () => {
  it('are independent: any shuffle of them may have been recorded, and nothing else', () => {
    expect(isMergeOf(['a', 'x', 'a', 'b'], [['a', 'b'], ['x', 'a']])).toBe(true); // prettier-ignore
    expect(isMergeOf(['a', 'x', 'b', 'a'], [['a', 'b'], ['a', 'x']])).toBe(false); // prettier-ignore
    expect(isMergeOf(['a', 'x'], [['a'], ['x'], ['y']])).toBe(false);
    expect(isMergeOf([], [[], []])).toBe(true);
  });

  it.each([true, false])('are so in a scenario (stable: %s)', (stable) => {
    const shut = 'LOG[LOG] database system is shut down';
    const request = 'LOG[LOG] received fast shutdown request';
    const scenario = scenarioWith({ stable, signature: [READY, request, shut, READY] });
    const seen = (postmasters: string[][]): string[] => compare(scenario, { signature: postmasters.flat(), postmasters });
    expect(seen([[READY], [READY, request, shut]])).toEqual([]);
    expect(seen([[READY], [READY, shut, request]]).join()).toMatch(/in another order/);
    expect(compare(scenario, { signature: [READY, READY, request, shut] })).not.toEqual([]);
  });
});

describe('restarts', () => {
  const history = { starts: 2, exits: ['exited with exit code 1', '(not seen)'], restart_gaps_s: [1], start_to_start_s: [1.1] };
  const scenario = scenarioWith({ workers: { w: history }, setup: { steps: [{ op: 'reg', w: 'w', restart: 1 }] } });
  const record = (epochMs: number, message: string) => ({ epochMs, pid: 1, code: '00000', level: 'LOG', message });
  const none = (): number => 0;
  const after = (
    gapMs: number,
    log: ReturnType<typeof record>[] = [],
    waitedMs: (fromMs: number) => number = none,
    like = scenario,
    childrenWaitedMs = waitedMs,
  ): string[] => {
    const lives: Life[] = [
      { startedMs: 0, exit: 'exited with exit code 1', exitedMs: 100, pid: null },
      { startedMs: 100 + gapMs, exit: null, exitedMs: null, pid: null },
    ];
    return compare(like, { signature: [], lives: new Map([['w', lives]]), log, waitedMs, childrenWaitedMs });
  };

  it.each([1000, 1190])('may come %i ms after the exit', (gap) => expect(after(gap)).toEqual([]));
  it.each([900, 1300])('may not come %i ms after the exit', (gap) => expect(after(gap)).toEqual([expect.stringMatching(/its interval is 1 s/)]));

  it('come at once where PostgreSQL’s 32 bits make nothing of the interval (R-09)', () => {
    const long = (restart: number): Scenario => ({ ...scenario, setup: { steps: [{ op: 'reg', w: 'w', restart }] } });
    expect(after(5, [], none, long(2_500_000))).toEqual([]);
    expect(after(1000, [], none, long(2_500_000))).toEqual([expect.stringMatching(/its interval is 0 s/)]);
    expect(after(5, [], none, long(2_147_483))).toEqual([expect.stringMatching(/its interval is 2147483 s/)]);
  });

  it('come soon after a crash cycle, whatever the interval', () => {
    expect(after(300, [record(200, 'all server processes terminated; reinitializing')])).toEqual([]);
    expect(after(900, [record(200, 'all server processes terminated; reinitializing')])).toEqual([expect.stringMatching(/not in under 0.5 s/)]);
  });

  it('come soon after the exit that began a crash cycle, where the recorded one did', () => {
    const cycle = [record(105, 'terminating any other active server processes'), record(600, 'all server processes terminated; reinitializing')];
    const quick = { ...scenario, workers: { w: { ...history, restart_gaps_s: [0.02] } } };
    expect(after(450, cycle.with(1, record(500, 'all server processes terminated; reinitializing')), undefined, quick)).toEqual([]);
    expect(after(600, cycle, none, quick)).toEqual([expect.stringMatching(/came back 0\.59 s after crash cycle 1, not in under 0\.5 s/)]);
    expect(after(600, cycle, () => 150, quick, none)).toEqual([]);
    // A child had no processor when it was to end; if that was not all of it, a reader is told.
    expect(after(600, cycle, none, quick, () => 50)).toEqual([]);
    expect(after(600, cycle, none, quick, (from) => (from < 600 ? 100 : 0))).toEqual([]);
    expect(after(600, cycle, none, quick, (from) => (from < 600 ? 50 : 20))).toEqual([
      expect.stringMatching(/not in under 0\.5 s, all were gone after 0\.49 s \(those that it waited for had no processor for 0\.07 s of that\)$/),
    ]);
    // The startup process had none.
    const reset = [record(200, 'all server processes terminated; reinitializing')];
    expect(after(640, reset, none, quick, () => 50)).toEqual([]);
    expect(after(640, reset, none, quick, () => 30)).toHaveLength(1);
    // A child resisted, there too: what counts is the time from then on.
    expect(after(600, cycle)).toEqual([]);
  });

  it('may be later by as long as the postmaster had no processor, and by no more; never sooner', () => {
    const waited = (from: number): number => (from >= 100 ? 150 : 0);
    expect(after(1300, [], waited)).toEqual([]);
    expect(after(1400, [], waited)).toEqual([expect.stringMatching(/\(the postmaster had no processor for 0\.15 s of that\)$/)]);
    expect(after(900, [], waited)).toHaveLength(1);
    expect(after(640, [record(200, 'all server processes terminated; reinitializing')], waited)).toEqual([]);
  });

  it('may look sooner by as long as the line of the exit came late, and by no more', () => {
    const late = (from: number): number => (from < 100 ? 30 : 0);
    expect(after(955, [], late)).toEqual([]);
    expect(after(940, [], late)).toEqual([expect.stringMatching(/its interval is 1 s/)]);
  });

  it('are no restarts where the server was stopped in between', () => {
    expect(after(50, [record(120, 'database system is shut down')])).toEqual([]);
  });

  it('are counted', () => {
    const lives = new Map([['w', [{ startedMs: 0, exit: null, exitedMs: null, pid: null }]]]);
    expect(compare(scenario, { signature: [], lives })).toEqual(['worker "w" was started 1 times instead of 2']);
    expect(compare(scenario, { signature: [], lives: new Map() })).toEqual(['worker "w" was started 0 times instead of 2']);
  });
});

describe('scenarios whose runs differ', () => {
  const unstable = (id: string): (typeof recorded)[number] => recorded.find((scenario) => scenario.id === id && !scenario.stable) ?? scenarioWith({});

  it('may have processes more or less often', () => {
    const scenario = unstable('rst.zero');
    expect(
      judged(
        scenario,
        scenario.signature.filter((line) => !/^w#(?:[5-9]|\d\d)|<w#(?:[5-9]|\d\d)>/.test(line)),
      ),
    ).toEqual([]);
  });

  it('may have other answers where timing decides, and no others', () => {
    const scenario = unstable('wait.bad_library_restart');
    const swap = (from: string, to: string): string[] =>
      judged(
        scenario,
        scenario.signature.map((line) => line.replace(from, to)),
      );
    expect(swap('WaitForStartup w -> STOPPED', 'WaitForStartup w -> STARTED <pid>')).toEqual([]);
    expect(swap('WaitForStartup w -> STOPPED', 'WaitForStartup w -> false').length).toBeGreaterThan(0);
    expect(swap('could not access file', 'could not find file').length).toBeGreaterThan(0);
    expect(swap('runner: s1: Terminate w -> ok', 'runner: s1: handle w -> ok').length).toBeGreaterThan(0);
  });

  it('have no processes that say what none has said', () => {
    const scenario = unstable('crash.dynamic');
    expect(judged(scenario, [...scenario.signature, 'd60#3: main run=3 arg=0', 'd60#3: blocked']).length).toBeGreaterThan(0);
  });
});

describe('the list of exceptions', () => {
  it('has a reason for each entry', () => {
    for (const { reason } of [...LINES, ...VALUES, ...SCENARIOS]) expect(reason).toMatch(/\w+ \w+/);
  });

  it('leaves out steps about auxiliary processes of PostgreSQL, whatever they ask, and no others', () => {
    const asking = (op: string, who: string | string[]): string | null => notApplicable(scenarioWith({ setup: { steps: [{ op, who }] } }));
    for (const who of ['aux:checkpointer', 'aux:wal', ['w', 'aux:logical replication launcher']]) expect(asking('alive', who)).toMatch(/auxiliary/);
    for (const who of ['aux:startup', 'aux:x.y.w', 'w', 'postmaster', 'sess:s1']) expect(asking('kill', who)).toBeNull();
  });

  it('lets at most one scenario in twelve go', () => {
    expect(recorded.filter((scenario) => notApplicable(scenario) !== null).length * 12).toBeLessThanOrEqual(recorded.length);
  });
});
