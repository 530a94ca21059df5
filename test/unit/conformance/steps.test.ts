// The steps that look at something wait for what was recorded by then, and write down what they find where it does not come. Runs against an event file, a log
// and processes of its own; a postmaster has no part in it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { BGWH_STARTED, BGWH_STOPPED } from '../../../dist/constants.js';
import type { Cluster } from '../../conformance/cluster.js';
import { appendEvent } from '../../conformance/event-file.js';
import type { Operation, Scenario, Step } from '../../conformance/language.js';
import { hasSpoken } from '../../conformance/patience.js';
import { ScenarioRun, type RegisteredWorker } from '../../conformance/scenario-run.js';
import type { OracleSession } from '../../conformance/sessions.js';
import { STEPS } from '../../conformance/steps.js';
import { scenarioWith } from './scenarios.js';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A session whose answers are made up. */
function sessionThat(backend: object): OracleSession {
  const ask = async (what: string, question: (backend: never) => Promise<string>): Promise<string> =>
    `${what} -> ${await question(backend as never)}`;
  return { name: 's1', isOpen: true, pending: [], handles: [], ask } as unknown as OracleSession;
}

class Run extends ScenarioRun {
  constructor(scenario: Partial<Scenario>, signal: AbortSignal = new AbortController().signal) {
    const folder = mkdtempSync(join(tmpdir(), 'bgw-steps-'));
    folders.push(folder);
    super(scenarioWith({ id: 'x', ...scenario }), folder, signal);
    this.clusters.set('m', { pid: null, log: () => ({ records: [], noise: [] }) } as unknown as Cluster);
  }

  backend: object = {};
  override session(): OracleSession {
    return sessionThat(this.backend);
  }

  /** A worker whose handle the session has. */
  know(w: string): void {
    this.workers.set(w, { session: this.session(), handle: {}, askedMs: 0 } as unknown as RegisteredWorker);
  }

  writes(w: string, text: string): void {
    appendEvent(this.eventFile, `x.${w}`, text);
  }

  async take(step: Step): Promise<string | undefined> {
    await STEPS[step.op as Operation](this, step);
    return this.lastSaid;
  }
}

/** Answers with one after the other, and with the last from then on. */
function inTurn<T>(...answers: T[]): { readonly asked: () => number; readonly next: () => Promise<T> } {
  let asked = 0;
  return { asked: () => asked, next: () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)] as T) };
}

describe('before a step that ends a worker', () => {
  const signature = ['runner: s1: register w -> true', 'w#1: main run=1 arg=0', 'w#1: unblocked', 'runner: s1: Terminate w -> ok'];
  const registered = (fields: Partial<Scenario>, signal?: AbortSignal): Run => {
    const run = new Run({ signature, ...fields }, signal);
    run.say('s1: register w -> true');
    return run;
  };

  it('it has written as many lines as were recorded by then', async () => {
    const run = registered({});
    run.writes('w', 'main run=1 arg=0');
    const order: string[] = [];
    const spoken = hasSpoken(run, 'w').then(() => order.push('spoken'));
    await sleep(20);
    order.push('its second line');
    run.writes('w', 'unblocked');
    await spoken;
    expect(order).toEqual(['its second line', 'spoken']);
  });

  it('lines that were recorded after it are not waited for', async () => {
    const run = registered({ signature: [...signature, 'w#1: exit'] });
    run.writes('w', 'main run=1 arg=0');
    run.writes('w', 'unblocked');
    await hasSpoken(run, 'w');
  });

  it('where the recordings differ from run to run nothing is waited for', async () => {
    await hasSpoken(registered({ stable: false }), 'w');
  });

  it('who never says it is not waited for when the scenario’s time is over', async () => {
    await expect(hasSpoken(registered({}, AbortSignal.timeout(50)), 'w')).rejects.toThrow(/abort|timeout/i);
  });
});

describe('a look at a status', () => {
  const look: Step = { op: 'status', w: 'w' };
  const asking = (recorded: string, ...answers: { status: number; pid?: number }[]): { run: Run; asked: () => number } => {
    const run = new Run({ signature: [`runner: s1: status w -> ${recorded}`] });
    const { asked, next } = inTurn(...answers);
    run.backend = { getBackgroundWorkerPid: next };
    run.know('w');
    return { run, asked };
  };

  it('is repeated until it is the recorded one', async () => {
    const { run, asked } = asking('STOPPED', { status: BGWH_STARTED, pid: 7 }, { status: BGWH_STARTED, pid: 7 }, { status: BGWH_STOPPED });
    expect(await run.take(look)).toBe('s1: status w -> STOPPED');
    expect(asked()).toBe(3);
  });

  it('takes any pid for the recorded one', async () => {
    const { run, asked } = asking('STARTED <w#1>', { status: BGWH_STARTED, pid: 7 });
    expect(await run.take(look)).toBe('s1: status w -> STARTED 7');
    expect(asked()).toBe(1);
  });

  it('is repeated where a message was recorded before it', async () => {
    const run = new Run({ signature: ['runner: s1: got WARNING 57P02: x', 'runner: s1: status w -> CLOSED : connection closed by the server'] });
    const { asked, next } = inTurn({ status: BGWH_STARTED, pid: 7 }, null);
    run.backend = { getBackgroundWorkerPid: () => next().then((answer) => answer ?? Promise.reject(new Error('closed'))) };
    run.know('w');
    await expect(run.take(look)).rejects.toThrow('closed');
    expect(asked()).toBe(2);
  });

  it('is not repeated where something else was recorded', async () => {
    const run = new Run({ signature: ['runner: processes: w:alive'] });
    const { asked, next } = inTurn({ status: BGWH_STARTED, pid: 7 });
    run.backend = { getBackgroundWorkerPid: next };
    run.know('w');
    expect(await run.take(look)).toBe('s1: status w -> STARTED 7');
    expect(asked()).toBe(1);
  });

  it('says what it is in the end, where that is another one', async () => {
    const { run } = asking('STOPPED', { status: BGWH_STARTED, pid: 7 });
    expect(await run.take(look)).toBe('s1: status w -> STARTED 7');
  });
});

describe('a look at processes', () => {
  const look: Step = { op: 'alive', who: ['w'] };

  it('is repeated until it is the recorded one: a worker may have said nothing yet', async () => {
    const run = new Run({ signature: ['runner: processes: w:alive'] });
    const taken = run.take(look);
    await sleep(20);
    run.writes('w', 'main run=1 arg=0'); // by this process, which is alive
    expect(await taken).toBe('processes: w:alive');
  });

  it('says what it is in the end, where that is something else', async () => {
    const run = new Run({ signature: ['runner: processes: w:gone'] });
    run.writes('w', 'main run=1 arg=0');
    expect(await run.take(look)).toBe('processes: w:alive');
  });

  it('is one look where the recordings differ from run to run', async () => {
    const run = new Run({ signature: ['runner: processes: w:alive'], stable: false });
    expect(await run.take(look)).toBe('processes: w:gone');
  });
});

describe('a look at what processes do', () => {
  const sql = `SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'b'`;
  const looking = (recorded: string, ...rows: string[]): { run: Run; asked: () => number; step: Step } => {
    const run = new Run({ signature: [`runner: s1: activity -> ${recorded}`] });
    const { asked, next } = inTurn(...rows.map((row) => [[row]]));
    run.backend = { activity: () => Promise.resolve([]), call: next };
    return { run, asked, step: { op: 'sql', sql, label: 'activity' } };
  };

  it('is repeated until it is the recorded one: what says it has connected may not wait yet', async () => {
    const { run, asked, step } = looking('Extension', '', 'Extension');
    expect(await run.take(step)).toBe('s1: activity -> Extension');
    expect(asked()).toBe(2);
  });

  it('says what it is in the end, where that is another one', async () => {
    const { run, step } = looking('Extension', 'Client');
    expect(await run.take(step)).toBe('s1: activity -> Client');
  });

  it('any other statement is carried out once', async () => {
    const { run, asked, step } = looking('1', '2');
    expect(await run.take({ ...step, sql: 'INSERT INTO t SELECT count(*) FROM pg_stat_activity RETURNING 1' })).toBe('s1: activity -> 2');
    expect(asked()).toBe(1);
  });
});

describe('a count of SIGUSR1', () => {
  const look: Step = { op: 'usr1', s: 's1' };
  const counting = (recorded: number, ...counts: number[]): Run => {
    const run = new Run({ signature: [`runner: s1: SIGUSR1 received so far = ${recorded}`] });
    const { next } = inTurn(...counts);
    run.backend = { call: next };
    return run;
  };

  it('is repeated until there are as many as recorded', async () => {
    expect(await counting(2, 0, 1, 2).take(look)).toBe('s1: SIGUSR1 received so far = 2');
  });

  it('one too many is written down', async () => {
    expect(await counting(2, 3).take(look)).toBe('s1: SIGUSR1 received so far = 3');
  });

  it('one too few is written down, and that none can have become one with another', async () => {
    const run = counting(2, 1);
    expect(await run.take(look)).toBe('s1: SIGUSR1 received so far = 1');
    expect(run.mergesPossibleAt('s1', 0)).toBe(0);
  });

  it('one that may have become one with another is noted', async () => {
    const run = counting(3, 1);
    run.mergesPossible = () => 2;
    expect(await run.take(look)).toBe('s1: SIGUSR1 received so far = 1');
    expect([run.mergesPossibleAt('s1', 0), run.mergesPossibleAt('s1', 1), run.mergesPossibleAt('s2', 0)]).toEqual([2, 0, 0]);
  });
});
