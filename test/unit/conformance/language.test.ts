// The format of scenarios: what is accepted, and that nothing unknown is skipped in silence. Pure; see test/conformance/language.ts.

import { describe, expect, it } from 'vitest';
import { problemsOf, registeredWorkers, type Step } from '../../conformance/language.js';
import { sharesDatabase, usesDatabase } from '../../conformance/runner.js';
import { LETTERS, parseScript } from '../../conformance/script.js';
import { STEPS } from '../../conformance/steps.js';
import { more, own, recorded, scenarioWith } from './scenarios.js';

const withStep = (step: object): string[] => problemsOf(scenarioWith({ setup: { steps: [step as Step] } }));

describe('the scenario language', () => {
  it.each([...recorded, ...more, ...own].map((scenario) => [scenario.id, scenario] as const))('understands %s', (_, scenario) => {
    expect(problemsOf(scenario)).toEqual([]);
  });

  // From the tables of the oracle's description. That each letter has an action in the worker library the compiler sees (library/commands.ts).
  const operations =
    'open close reg reg_static status wait_startup wait_shutdown terminate handle await wait_status hook_usr1 usr1 wait_ev wait_log kill killpg pm ' +
    'wait_pm_exit alive wait_gone ps masks sql start try_start basebackup sleep touch';
  const letters = 'UBsipxe_EFPAVkLMGftnCOQTHcZDWlr';
  const flags = 'dxc1qn';

  it('has each operation and each script command of its description, and no others', () => {
    expect(Object.keys(STEPS).toSorted()).toEqual(operations.split(' ').toSorted());
    expect(LETTERS.toSorted()).toEqual(letters.split('').toSorted());
  });

  it('is used whole by the scenarios, so that nothing of it is carried out by nobody', () => {
    const all = [...recorded, ...own];
    expect(new Set(all.flatMap(({ setup }) => setup.steps.map(({ op }) => op)))).toEqual(new Set(operations.split(' ')));
    const commands = all.flatMap(({ setup }) => registeredWorkers(setup)).flatMap(({ script = '' }) => parseScript(script).flat());
    expect(new Set(commands.map(({ letter }) => letter))).toEqual(new Set(letters.split('')));
    expect(new Set(commands.filter(({ letter }) => letter === 'L').flatMap(({ text }) => text.split('')))).toEqual(new Set(flags.split('')));
  });

  it.each([
    [{ op: 'reboot' }, /unrecognized operation "reboot"/],
    [{ op: 'constructor' }, /unrecognized operation "constructor"/],
    [{ op: 'sleep', ms: 5, for: 'fun' }, /unrecognized field "for"/],
    [{ op: 'sleep', ms: '5' }, /field "ms" must be a number/],
    [{ op: 'sleep' }, /field "ms" is missing/],
    [{ op: 'reg', w: 'w', script: 'U;j5' }, /unrecognized script command "j5"/],
    [{ op: 'touch', file: 'cfg', text: 'extra=%ID%.child U;j5' }, /unrecognized script command "j5"/],
    [{ op: 'touch', file: 'cfg', text: 'extra=%ID%.child U\nprio=3' }, /unrecognized field in a worker's description: "prio"/],
    [{ op: 'sql', sql: 'SELECT bgwo_juggle(1)' }, /unrecognized call of "bgwo_juggle"/],
    [{ op: 'touch', file: 'cfg', text: 7 }, /field "text" must be a string/],
    [{ op: 'sql', sql: 7 }, /field "sql" must be a string/],
    [{ op: 'alive', who: [5] }, /field "who" must be/],
  ])('refuses %o', (step, problem) => {
    expect(withStep(step).join('\n')).toMatch(problem);
  });

  it('refuses what it does not know of a cluster', () => {
    const setup = { steps: [], cluster: 'fresh' as const, clusters: { m: { static: [{ w: 'w', colour: 'red' }], moon: true } } };
    const problems = problemsOf(scenarioWith({ setup: { ...setup, weather: 1 } as never })).join('\n');
    expect(problems).toMatch(/unrecognized setup field "weather"/);
    expect(problems).toMatch(/cluster m: unrecognized field "moon"/);
    expect(problems).toMatch(/static worker w: unrecognized field "colour"/);
  });

  it.each([
    [{ m: null }, /^cluster m is not an object$/],
    [[], /^"clusters" is not an object$/],
    [{ m: { conf: [] } }, /^cluster m: "conf" is not an object$/],
    [{ m: { static: { w: 'w' } } }, /^cluster m: "static" is not a list of workers$/],
    [{ m: { static: ['w'] } }, /^cluster m: "static" is not a list of workers$/],
    [{ m: { static: [{ w: 'w', script: 7 }] } }, /^static worker w: field "script" must be a string$/m],
  ])('says what is wrong with clusters %o, and throws nothing', (clusters, problem) => {
    expect(problemsOf(scenarioWith({ setup: { steps: [], clusters: clusters as never } })).join('\n')).toMatch(problem);
  });

  it('says of what is no scenario that it is none', () => {
    expect(problemsOf({ id: 'a' } as never)).toEqual([expect.stringMatching(/^not a scenario: /)]);
  });

  it('knows which scenarios need a database', () => {
    const byId = (id: string): boolean => usesDatabase(recorded.find((scenario) => scenario.id === id) ?? scenarioWith({}));
    expect(byId('mx.exit1.never')).toBe(false);
    expect(byId('conn.baddb')).toBe(true); // a worker connects
    expect(byId('crash.exit1_then_crash')).toBe(true); // a session queries
    expect(byId('term.same_statement')).toBe(false); // only calls of ours
    expect(byId('start.primary')).toBe(true); // about the database's state
    // What is not understood is said of its scenario, when its turn comes, and not of the whole file.
    expect(sharesDatabase(scenarioWith({ setup: { steps: [{ op: 'sql', sql: 'SELECT bgwo_status(1) FROM t' }] } }))).toBe(false);
  });
});
