// The steps that have to do with processes, files and clusters; those of sessions are in session-steps.ts. Runs in the judge.

import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { titleOf } from '../helpers/processes.js';
import { alterSystem, baseBackup } from './database.js';
import { isForeign } from './exceptions.js';
import type { Operation, Step } from './language.js';
import { allAtRest, atRest, caughtUp, patience, seenAsRecorded, silentInCrash } from './patience.js';
import { becomes } from './polling.js';
import type { ScenarioRun, StepAction } from './scenario-run.js';
import { SESSION_STEPS, type SessionOperation } from './session-steps.js';

const WAIT_MS = 8000;
const START_MS = 40_000;
/** Longer than a fork takes on any machine. */
const FORK_MS = 1000;

function signalNumber(sig: string | number): number {
  const number = typeof sig === 'number' || /^\d+$/.test(sig) ? Number(sig) : constants.signals[`SIG${sig}` as NodeJS.Signals];
  if (number === undefined) throw new Error(`unrecognized signal "${sig}"`);
  return number;
}

async function sendSignal(run: ScenarioRun, step: Step, group: boolean): Promise<void> {
  const who = one(step.who);
  await ready(run, who, step.sig);
  const pid = run.pidOf(who, step.on);
  const text = `${group ? 'killpg' : 'kill'} -${step.sig} ${who}`;
  if (pid === null) {
    run.say(`${text} -> (no process)`);
    return;
  }
  run.say(text);
  try {
    process.kill(group ? -pid : pid, signalNumber(step.sig as string));
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
  }
}

const isWorker = (who: string): boolean => who !== 'postmaster' && !who.includes(':');

/** SIGSTOP and SIGCONT hold a process and let it go: what others do meanwhile is the scenario's point. */
const HOLDS = /^(?:STOP|CONT|18|19)$/;

/** Before a step that acts on a process: is who it acts on where it would have been on a quiet machine? */
async function ready(run: ScenarioRun, who: string, sig: string | number = ''): Promise<void> {
  if (HOLDS.test(String(sig))) return;
  if (who === 'postmaster') await allAtRest(run);
  else if (isWorker(who)) await atRest(run, who);
}

const one = (who: Step['who']): string => (typeof who === 'string' ? who : (who?.[0] ?? ''));
const all = (who: Step['who']): readonly string[] => (typeof who === 'string' ? [who] : (who ?? []));

const MASKS = ['SigPnd', 'ShdPnd', 'SigBlk', 'SigIgn', 'SigCgt'];

/**
 * A postmaster has everything blocked from before a fork until after it: PostgreSQL's, too (fork_process, PG_SETMASK(&BlockSig)). Who looks just then looks again,
 * as the recorded one was caught between two forks. One that never unblocks is seen all the same.
 */
async function masks(run: ScenarioRun, step: Step): Promise<string> {
  const who = one(step.who);
  const pid = run.pidOf(who, step.on);
  let seen = readMasks(pid);
  if (who === 'postmaster') await becomes(() => /SigBlk=0+ /.test((seen = readMasks(pid))), FORK_MS, run.signal);
  return seen;
}

function readMasks(pid: number | null): string {
  const status = pid === null ? '' : readFileSync(`/proc/${pid}/status`, 'utf8');
  return MASKS.map((field) => `${field}=${new RegExp(`^${field}:\\s*(\\w+)$`, 'm').exec(status)?.[1] ?? ''}`).join(' ');
}

async function start(run: ScenarioRun, step: Step, said: { good: string; bad: (exit: string) => string }): Promise<void> {
  const cluster = run.cluster(step.on);
  const exit = await cluster.start(run.signal, step.timeout ?? START_MS);
  run.say(exit === null ? said.good : said.bad(exit));
  if (exit === null)
    await alterSystem(cluster.dir, run.scenario.setup.clusters?.[cluster.name] ?? {}).catch((err: unknown) => run.notes.push(String(err)));
}

const PROCESS_STEPS: Readonly<Record<Exclude<Operation, SessionOperation>, StepAction>> = {
  sleep: (run, { ms }) => sleep(ms, undefined, { signal: run.signal }),
  touch: (run, { file, text }) => {
    const { id } = run.scenario;
    writeFileSync(join(run.eventFolder, `${id}.${file}`), (text ?? '').replaceAll('%ID%', id));
    run.say(`touch ${file}`);
  },
  wait_ev: async (run, { w, ev, n = 1, timeout = WAIT_MS }) => {
    const seen = (): number => run.eventsOf(w as string).filter(({ text }) => text.includes(ev as string)).length;
    const count = (): number => seen() + (seen() < n && ev?.startsWith('main') ? silentInCrash(run, w as string) : 0);
    const late = (): string => `worker ${w} has written ${count()} of ${n} events "${ev}" after ${timeout} ms`;
    if (!(await becomes(() => count() >= n, patience(run, timeout, `worker ${w} has written `), run.signal))) run.say(late());
  },
  wait_log: async (run, { text = '', n = 1, on, timeout = WAIT_MS }) => {
    const wanted = text.replaceAll('%ID%', run.scenario.id);
    const cluster = run.cluster(on);
    // What PostgreSQL alone says stands in the log of the one behind us, where the scenario has one for itself.
    const lines = (): string[] => [...cluster.logText().split('\n'), ...cluster.databaseLog().filter(isForeign)];
    const count = (): number => lines().filter((line) => line.includes(wanted)).length;
    const late = (): string => `the log has ${count()} of ${n} lines "${text}" after ${timeout} ms`;
    if (!(await becomes(() => count() >= n, patience(run, timeout, 'the log has '), run.signal))) run.say(late());
  },
  kill: (run, step) => sendSignal(run, step, false),
  killpg: (run, step) => sendSignal(run, step, true),
  pm: async (run, step) => {
    await ready(run, 'postmaster', step.sig);
    run.say(`kill -${step.sig} postmaster`);
    run.cluster(step.on).signal(signalNumber(step.sig as string));
  },
  wait_pm_exit: async (run, { on, timeout = WAIT_MS }) => {
    const cluster = run.cluster(on);
    const late = `postmaster has not exited after ${timeout} ms`;
    const exited = await cluster.waitForExit(patience(run, timeout, late), run.signal);
    run.say(exited ? `postmaster exited with ${cluster.exit}` : late);
  },
  alive: async (run, { who, on }) => {
    await caughtUp(run, all(who).filter(isWorker));
    const states = (): string[] => all(who).map((name) => `${name}:${run.isAlive(name, on) ? 'alive' : 'gone'}`);
    run.say(`processes: ${await seenAsRecorded(run, 'processes: ', () => states().join(' '))}`);
  },
  wait_gone: async (run, { who, on, timeout = WAIT_MS }) => {
    const began = performance.now();
    for (const name of all(who)) {
      const late = `${name} is still there after ${timeout} ms`;
      const leftMs = began + patience(run, timeout, late) - performance.now();
      const gone = await becomes(() => !run.isAlive(name, on), Math.max(0, leftMs), run.signal);
      run.say(gone ? `${name} is gone` : late);
    }
  },
  ps: async (run, step) => {
    const who = one(step.who);
    await ready(run, who);
    const pid = run.pidOf(who, step.on);
    run.say(`ps title of ${who}: [${pid === null ? '' : titleOf(pid).trim()}]`);
  },
  masks: async (run, step) => {
    await ready(run, one(step.who));
    run.say(`masks of ${one(step.who)}: ${await masks(run, step)}`);
  },
  start: async (run, step) => {
    if (step.wait === false) {
      run.cluster(step.on).launch();
      run.say('postmaster launched');
    } else await start(run, step, { good: 'server started', bad: (exit) => `postmaster exited with ${exit} at start` });
  },
  try_start: (run, step) => start(run, step, { good: 'server started', bad: (exit) => `postmaster exited with ${exit} at start` }),
  basebackup: async (run, { from = '', to = '', wal = 'stream' }) => {
    await baseBackup(run.cluster(from), run.cluster(to), wal, run.scenario.setup.clusters?.[to] ?? {});
    run.say(`pg_basebackup ${from} -> ${to}`);
  },
};

/** What each operation of the language does. */
export const STEPS: Readonly<Record<Operation, StepAction>> = { ...PROCESS_STEPS, ...SESSION_STEPS };
