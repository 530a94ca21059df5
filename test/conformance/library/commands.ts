// The worker scripts' commands, one function each, on the public API alone. Runs in workers.
//
// A sleep turns the event loop: handlers of signals run there, as they interrupt a C program's sleep.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as bgworker from 'bgworker';
import { parseRegistration } from '../registration.js';
import type { Command, Letter } from '../script.js';
import { descriptors, entry, ids, masks, title } from './facts.js';
import { latchLoop } from './latch-loop.js';
import { event, notifyPidOf, oracle, toWorker } from './oracle.js';
import { leaveWithoutCleanup } from './raw-exit.js';

/** What one process of a worker carries through its script. */
export class ScriptedWorker {
  readonly #tag: string;
  #sigtermFlag = false;

  constructor(tag: string) {
    this.#tag = tag;
  }

  readonly tell = (text: string): void => event(this.#tag, text);

  /** True where the script returns from main here. */
  async run(command: Command): Promise<boolean> {
    await ACTIONS[command.letter](this, command);
    return command.letter === 'r';
  }

  get tag(): string {
    return this.#tag;
  }

  readonly sigtermFlag = (): boolean => this.#sigtermFlag;

  readonly raiseSigtermFlag = (): void => {
    this.tell('SIGTERM flag handler');
    this.#sigtermFlag = true;
    bgworker.setLatch(bgworker.myLatch);
  };
}

type Action = (worker: ScriptedWorker, command: Command) => void | Promise<void>;

/** The most that a timer takes: longer sleeps are sleeps for ever. */
const FOREVER_MS = 0x7fffffff;
const SIGNALS = Array.from({ length: 31 }, (_, index) => index + 1);
/** SIGURG wakes waits; nothing of it reaches a program. */
const SIGURG = 23;

const ACTIONS: Readonly<Record<Letter, Action>> = {
  U: ({ tell }) => {
    bgworker.backgroundWorkerUnblockSignals();
    tell('unblocked');
  },
  B: ({ tell }) => {
    bgworker.backgroundWorkerBlockSignals();
    tell('blocked');
  },
  s: (_, { number }) => sleep(Math.min(number, FOREVER_MS)),
  i: ({ tell }, { number }) => interruptibleSleep(tell, number),
  p: (_, { number }) => politeSleep(number),
  x: ({ tell }, { number }) => {
    tell(`proc_exit(${number})`);
    bgworker.procExit(number);
  },
  e: ({ tell }, { number }) => {
    tell(`exit(${number})`);
    process.exit(number);
  },
  _: ({ tell }, { number }) => {
    tell(`_exit(${number})`);
    leaveWithoutCleanup(number);
  },
  r: ({ tell }) => tell('return'),
  E: ({ tell }) => {
    tell('ereport(ERROR)');
    bgworker.ereport(bgworker.ERROR, { message: 'oracle error' });
  },
  F: ({ tell }) => {
    tell('ereport(FATAL)');
    bgworker.ereport(bgworker.FATAL, { message: 'oracle fatal' });
  },
  P: ({ tell }) => {
    tell('ereport(PANIC)');
    bgworker.ereport(bgworker.PANIC, { message: 'oracle panic' });
  },
  A: ({ tell }) => {
    tell('abort()');
    process.abort();
  },
  V: ({ tell }) => {
    tell('segfault');
    process.kill(bgworker.myProcPid, 'SIGSEGV');
  },
  k: ({ tell }, { number }) => {
    tell(`kill(self, ${number})`);
    process.kill(bgworker.myProcPid, number);
  },
  L: ({ tell, sigtermFlag }, { text, number }) => latchLoop({ flags: text, ms: number, tell, sigtermFlag }),
  M: ({ tell }) => tell(masks()),
  G: ({ tell }) => tell(ids()),
  f: ({ tell }) => tell(descriptors()),
  t: ({ tell }) => title().forEach(tell),
  n: ({ tell }) => tell(entry()),
  C: async ({ tell }, { names }) => {
    const [database = null, user = null] = names;
    tell(`connecting db=${database ?? '-'} user=${user ?? '-'}`);
    await bgworker.backgroundWorkerInitializeConnection(database, user);
    tell(`connected MyDatabaseId=${bgworker.myDatabaseId === 0 ? '0' : 'valid'}`);
  },
  O: async ({ tell }, { names }) => {
    const [database, user] = names.map(Number);
    tell(`connecting db=${database} user=${user}`);
    await bgworker.backgroundWorkerInitializeConnectionByOid(database as number, user as number);
    tell(`connected MyDatabaseId=${bgworker.myDatabaseId === 0 ? '0' : 'valid'}`);
  },
  Q: ({ tell }, { text }) => query(tell, text),
  T: ({ raiseSigtermFlag }, { text }) => {
    const dispositions = { d: bgworker.die, f: raiseSigtermFlag, i: bgworker.SIG_IGN, D: bgworker.SIG_DFL } as const;
    bgworker.pqsignal('SIGTERM', dispositions[text as keyof typeof dispositions]);
  },
  H: ({ tell }, { number }) =>
    bgworker.pqsignal(number, (signo) => {
      tell(`signal ${signo} handled`);
      bgworker.setLatch(bgworker.myLatch);
    }),
  c: ({ tell }) => {
    bgworker.beforeShmemExit((code) => tell(`before_shmem_exit callback code=${code}`));
    bgworker.onShmemExit((code) => tell(`on_shmem_exit callback code=${code}`));
    bgworker.onProcExit((code) => tell(`on_proc_exit callback code=${code}`));
  },
  Z: ({ tag }, { number }) => {
    const program = fileURLToPath(new URL('kid.js', import.meta.url));
    const kid = spawn(process.execPath, [program, String(number), `${tag}.kid`, String(bgworker.myProcPid)], { stdio: 'ignore' });
    kid.unref();
  },
  D: ({ tell }, { text }) => registerAnother(tell, text),
  W: async ({ tell }, { text }) => {
    while (!existsSync(join(oracle().folder, text))) await sleep(5);
    tell(`saw file ${text}`);
  },
  l: (_, { text }) => bgworker.ereport(bgworker.LOG, { message: text }),
};

/** One nanosleep: any signal with a handler ends it. */
async function interruptibleSleep(tell: (text: string) => void, ms: number): Promise<void> {
  const handled = (): number => SIGNALS.filter((signo) => signo !== SIGURG).reduce((sum, signo) => sum + bgworker.signalCount(signo), 0);
  const before = handled();
  const deadline = performance.now() + ms;
  while (performance.now() < deadline && handled() === before) await sleep(1);
  tell(handled() === before ? 'nanosleep done' : 'nanosleep EINTR');
}

async function politeSleep(ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  while (performance.now() < deadline) {
    await sleep(10);
    bgworker.checkForInterrupts();
  }
}

async function query(tell: (text: string) => void, sql: string): Promise<void> {
  await bgworker.startTransactionCommand();
  bgworker.spiConnect();
  const { code, processed, rows } = await bgworker.spiExecute(sql);
  const [first] = rows;
  const value = first === undefined ? undefined : Object.values(first)[0];
  bgworker.spiFinish();
  await bgworker.commitTransactionCommand();
  tell(value === undefined ? `query rc=${code} rows=${processed}` : `query -> ${asText(value)}`);
}

/** As the database would write it. */
function asText(value: unknown): string {
  if (value === null) return '(null)';
  if (typeof value === 'boolean') return value ? 't' : 'f';
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'bigint' ? value.toString() : JSON.stringify(value);
}

async function registerAnother(tell: (text: string) => void, file: string): Promise<void> {
  const registration = parseRegistration(readFileSync(join(oracle().folder, file), 'utf8'));
  const handle = bgworker.registerDynamicBackgroundWorker(toWorker(registration, notifyPidOf(registration, bgworker.myProcPid)));
  tell(`worker registered a worker: ${handle !== null}`);
  if (handle === null) return;
  const { status } = await bgworker.waitForBackgroundWorkerStartup(handle);
  tell(`child startup status=${status}`);
  tell(`child shutdown status=${await bgworker.waitForBackgroundWorkerShutdown(handle)}`);
}
