// What the workers have in common that bench/players.mjs starts. Preloaded by the measured postmaster, with the library that imports it.
import { execFileSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { backgroundWorkerUnblockSignals, myBgworkerEntry } from 'bgworker';

/** First in a player's main function: on its core, with what it was told to do. */
export function beginPlayer() {
  backgroundWorkerUnblockSignals();
  const told = JSON.parse(Buffer.from(myBgworkerEntry.extra).toString().replace(/\0.*$/s, ''));
  pin(told.core);
  return told;
}

/** This process, with the threads that it has, to one core. */
export const pin = (core) => execFileSync('taskset', ['-apc', String(core), String(process.pid)], { stdio: 'ignore' });

/** What the measurement is to get from this player. */
export const tell = (what) => writeSync(3, `${JSON.stringify(what)}\n`);
