// The scenario language: its types, and the check that a file speaks it. Pure.
//
// Whatever the check does not know makes the scenario an error in the report: a step that were skipped in silence would let a scenario pass
// that nobody has judged. So the tables below name every operation with every field it may have.

import { parseRegistration, type WorkerFields } from './registration.js';
import { parseScript } from './script.js';
import { parseSql } from './sql.js';

/** One step. `op` says which of the other fields there are. */
export interface Step extends WorkerFields {
  readonly op: string;
  /** The cluster, `m` if not said. */
  readonly on?: string;
  /** The session, `s1` if not said. */
  readonly s?: string;
  /** Give up after so many ms. */
  readonly timeout?: number;
  readonly once?: boolean;
  readonly async?: boolean;
  readonly is?: string;
  readonly ev?: string;
  readonly n?: number;
  readonly text?: string;
  readonly sig?: string | number;
  readonly who?: string | readonly string[];
  readonly sql?: string;
  readonly label?: string;
  readonly ms?: number;
  readonly file?: string;
  readonly from?: string;
  readonly to?: string;
  readonly wal?: string;
  readonly wait?: boolean;
}

export interface ClusterSetup {
  readonly conf?: Readonly<Record<string, string | number>>;
  readonly static?: readonly WorkerFields[];
  /** Not started before the steps. */
  readonly nostart?: boolean;
  /** Without a data directory: a base backup makes it. */
  readonly empty?: boolean;
}

/** What became of one worker, by the log: `exits` and the gaps belong to the starts, in order. */
export interface WorkerHistory {
  readonly starts: number;
  readonly exits: readonly string[];
  readonly restart_gaps_s: readonly number[];
  readonly start_to_start_s: readonly number[];
}

export interface Scenario {
  /** Where it stands; the judge's own. */
  readonly file?: string;
  readonly id: string;
  readonly group: string;
  readonly postgres: string;
  readonly description: string;
  readonly note?: string;
  readonly setup: {
    readonly cluster?: 'shared' | 'fresh';
    readonly clusters?: Readonly<Record<string, ClusterSetup>>;
    readonly steps: readonly Step[];
  };
  readonly workers: Readonly<Record<string, WorkerHistory>>;
  readonly signature: readonly string[];
  readonly stable: boolean;
  readonly stableOrder: boolean;
}

/** Every worker that a scenario describes, in whatever way it is registered. */
export function registeredWorkers({ clusters, steps }: Scenario['setup']): WorkerFields[] {
  return [
    ...Object.values(clusters ?? {}).flatMap((cluster) => cluster.static ?? []),
    ...steps.filter(({ op }) => op === 'reg' || op === 'reg_static'),
  ];
}

/** What scenarios call them. */
export function workerNames(setup: Scenario['setup']): string[] {
  return [...new Set(registeredWorkers(setup).map(({ w = 'w' }) => w))];
}

type Type = 'string' | 'number' | 'boolean' | 'word' | 'names';

const WORKER: Readonly<Record<string, Type>> = {
  w: 'string',
  name: 'string',
  rawname: 'string',
  type: 'string',
  flags: 'number',
  start: 'number',
  restart: 'number',
  lib: 'string',
  func: 'string',
  arg: 'number',
  notify: 'word',
  script: 'string',
};
const STATIC: Readonly<Record<string, Type>> = { ...WORKER, dyn: 'number' };

/** Every operation with its own fields; those that must be there end in `!`. All may have `on`, `s`, `timeout` and `label`. */
const OPERATIONS = {
  open: { once: 'boolean' },
  close: {},
  reg: { ...WORKER, 'w!': 'string', async: 'boolean' },
  reg_static: { ...WORKER, 'w!': 'string' },
  status: { 'w!': 'string' },
  wait_startup: { 'w!': 'string', async: 'boolean' },
  wait_shutdown: { 'w!': 'string', async: 'boolean' },
  terminate: { 'w!': 'string' },
  handle: { 'w!': 'string' },
  wait_status: { 'w!': 'string', 'is!': 'string' },
  await: {},
  hook_usr1: {},
  usr1: {},
  wait_ev: { 'w!': 'string', 'ev!': 'string', n: 'number' },
  wait_log: { 'text!': 'string', n: 'number' },
  kill: { 'sig!': 'word', 'who!': 'string' },
  killpg: { 'sig!': 'word', 'who!': 'string' },
  pm: { 'sig!': 'word' },
  wait_pm_exit: {},
  alive: { 'who!': 'names' },
  wait_gone: { 'who!': 'names' },
  ps: { 'who!': 'string' },
  masks: { 'who!': 'string' },
  sql: { 'sql!': 'string', async: 'boolean' },
  start: { wait: 'boolean' },
  try_start: {},
  basebackup: { 'from!': 'string', 'to!': 'string', wal: 'string' },
  sleep: { 'ms!': 'number' },
  touch: { 'file!': 'string', text: 'string' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Type>>>>;

export type Operation = keyof typeof OPERATIONS;
const COMMON: Readonly<Record<string, Type>> = { op: 'string', on: 'string', s: 'string', timeout: 'number', label: 'string' };
const CLUSTER: Readonly<Record<string, Type>> = { nostart: 'boolean', empty: 'boolean' };

const SCENARIO: Readonly<Record<string, (value: unknown) => boolean>> = {
  id: (value) => typeof value === 'string' && value !== '',
  group: (value) => typeof value === 'string',
  postgres: (value) => typeof value === 'string',
  setup: (value) => isObject(value) && Array.isArray(value['steps']) && value['steps'].every(isObject),
  workers: isObject,
  signature: (value) => Array.isArray(value) && value.every((line) => typeof line === 'string'),
  stable: (value) => typeof value === 'boolean',
};

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first thing that keeps a value from being a scenario at all, or null. */
export function notAScenario(value: unknown): string | null {
  if (!isObject(value)) return 'it is no object';
  const field = Object.keys(SCENARIO).find((name) => SCENARIO[name]?.(value[name]) !== true);
  if (field === undefined) return null;
  return `its field "${field}" is ${value[field] === undefined ? 'missing' : 'not what it must be'}`;
}

/** What in a scenario is not of the language; none where the judge can run it. */
export function problemsOf(scenario: Scenario): string[] {
  const trouble = notAScenario(scenario);
  if (trouble !== null) return [`not a scenario: ${trouble}`];
  const { setup } = scenario;
  const problems = Object.keys(setup)
    .filter((key) => !['cluster', 'clusters', 'steps'].includes(key))
    .map((key) => `unrecognized setup field "${key}"`);
  if (setup.clusters !== undefined && !isObject(setup.clusters)) return [...problems, '"clusters" is not an object'];
  if (setup.cluster !== undefined && !['shared', 'fresh'].includes(setup.cluster)) problems.push(`unrecognized kind of cluster "${setup.cluster}"`);
  for (const [name, cluster] of Object.entries(setup.clusters ?? {})) {
    if (!isObject(cluster)) {
      problems.push(`cluster ${name} is not an object`);
      continue;
    }
    const { conf = {}, static: workers = [], ...rest } = cluster as ClusterSetup;
    if (!isObject(conf)) problems.push(`cluster ${name}: "conf" is not an object`);
    problems.push(...checkFields(rest, CLUSTER).map((problem) => `cluster ${name}: ${problem}`));
    if (!Array.isArray(workers) || !workers.every(isObject)) {
      problems.push(`cluster ${name}: "static" is not a list of workers`);
      continue;
    }
    for (const worker of workers as readonly WorkerFields[]) {
      problems.push(...[...checkFields(worker, STATIC), ...checkScript(worker.script)].map((problem) => `static worker ${worker.w}: ${problem}`));
    }
  }
  setup.steps.forEach((step, index) => problems.push(...problemsOfStep(step).map((problem) => `step ${index + 1} (${step.op}): ${problem}`)));
  return problems;
}

function problemsOfStep(step: Step): string[] {
  if (!Object.hasOwn(OPERATIONS, step.op)) return [`unrecognized operation "${step.op}"`];
  const fields = OPERATIONS[step.op as Operation];
  const problems = [...checkFields(step, { ...COMMON, ...fields }), ...checkScript(step.script)];
  if (step.op === 'sql' && step.sql !== undefined) problems.push(...attempt(() => parseSql(step.sql ?? '')));
  // A file that describes a worker is one for the script command D; any other text is nobody's business.
  if (step.op === 'touch' && String(step.text).includes('extra=')) problems.push(...checkDescription(String(step.text)));
  return problems;
}

function checkFields(object: object, fields: Readonly<Record<string, Type>>): string[] {
  const required = Object.keys(fields).filter((field) => field.endsWith('!'));
  const missing = required.map((field) => field.slice(0, -1)).filter((field) => !Object.hasOwn(object, field));
  const wrong = Object.entries(object).flatMap(([field, value]) => {
    const type = fields[field] ?? fields[`${field}!`];
    if (type === undefined) return [`unrecognized field "${field}"`];
    return isOfType(value, type) ? [] : [`field "${field}" must be a ${type}`];
  });
  return [...missing.map((field) => `field "${field}" is missing`), ...wrong];
}

function isOfType(value: unknown, type: Type): boolean {
  if (type === 'word') return typeof value === 'string' || typeof value === 'number';
  if (type === 'names') return typeof value === 'string' || (Array.isArray(value) && value.every((name) => typeof name === 'string'));
  return typeof value === type;
}

function checkScript(script: string | undefined): string[] {
  return script === undefined ? [] : attempt(() => parseScript(script));
}

function checkDescription(text: string): string[] {
  return attempt(() => parseScript(parseRegistration(text).extra.replace(/^\S+ ?/, '')));
}

function attempt(check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (err) {
    return [(err as Error).message];
  }
}
