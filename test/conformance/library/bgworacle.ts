// The worker library of the judge: the C module of scripted workers, written anew on our API. Preloaded by the postmasters that the judge starts.

import { readFileSync } from 'node:fs';
import { myBgworkerEntry, registerBackgroundWorker, registerDynamicBackgroundWorker } from 'bgworker';
import { readEvents } from '../event-file.js';
import type { Registration } from '../registration.js';
import { commandsOfRun } from '../script.js';
import { ScriptedWorker } from './commands.js';
import { event, notifyPidOf, oracle, toWorker } from './oracle.js';

export { beginStatement, failTransaction, hookUsr1, registerStatic, signalBackend, sql, usr1Count } from './session-functions.js';
export { doBlock, select } from './sql-calls.js';

/** Registers the scenario's static workers. Runs in the postmaster, while it preloads. */
export function _PG_init(): void {
  const settings = oracle();
  if (settings.static === undefined || myBgworkerEntry !== null) return;
  const tell = (text: string): void => event(settings.postmasterTag, text);
  for (const registration of JSON.parse(readFileSync(settings.static, 'utf8')) as Registration[]) {
    const worker = toWorker(registration, notifyPidOf(registration, process.pid));
    if (registration.dyn) tell(`RegisterDynamicBackgroundWorker in _PG_init returned ${registerDynamicBackgroundWorker(worker) !== null}`);
    else {
      registerBackgroundWorker(worker);
      tell('RegisterBackgroundWorker in _PG_init returned');
    }
  }
}

/** `bgw_extra` is `TAG SCRIPT`, in 128 bytes filled with zeros. */
function tagAndScript(): { tag: string; script: string } {
  const bytes = Buffer.from(myBgworkerEntry?.extra ?? []);
  const end = bytes.indexOf(0);
  const text = bytes.subarray(0, end < 0 ? bytes.length : end).toString();
  const space = text.indexOf(' ');
  return space < 0 ? { tag: text, script: '' } : { tag: text.slice(0, space), script: text.slice(space + 1) };
}

/** Which run of the worker this is: one more than the event file knows. */
function runNumber(tag: string): number {
  return readEvents(oracle().events).filter((seen) => seen.tag === tag && seen.text.startsWith('main run=')).length + 1;
}

/** The main function of every scripted worker. */
export async function ora_main(mainArg: bigint): Promise<void> {
  const { tag, script } = tagAndScript();
  const run = runNumber(tag);
  const worker = new ScriptedWorker(tag);
  worker.tell(`main run=${run} arg=${BigInt.asIntN(64, mainArg)}`);
  for (const command of commandsOfRun(script, run)) {
    if (await worker.run(command)) return;
  }
}
