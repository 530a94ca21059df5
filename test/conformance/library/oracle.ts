// What every part of the worker library needs: the judge's settings, the event file, and a scenario's worker as our API takes one.
// Runs in the postmaster, in workers and in session backends.

import type { BackgroundWorker } from 'bgworker';
import { appendEvent, ORACLE_VARIABLE, type OracleSettings } from '../event-file.js';
import type { Registration } from '../registration.js';

export function oracle(): OracleSettings {
  const text = process.env[ORACLE_VARIABLE];
  if (text === undefined) throw new Error(`the environment variable ${ORACLE_VARIABLE} is not set: the judge starts postmasters with it`);
  return JSON.parse(text) as OracleSettings;
}

export function event(tag: string, text: string): void {
  appendEvent(oracle().events, tag, text);
}

/** `notifyPid` is what `notify` stands for in this process; a static registration has it from the scenario as it is. */
export function toWorker(registration: Registration, notifyPid: number): BackgroundWorker {
  return {
    name: registration.name,
    ...(registration.type === undefined ? {} : { type: registration.type }),
    flags: registration.flags,
    startTime: registration.start,
    restartTime: registration.restart,
    libraryName: registration.lib,
    functionName: registration.func,
    mainArg: registration.arg,
    extra: registration.extra,
    notifyPid,
  };
}

/** `self`, or a pid. */
export function notifyPidOf({ notify }: Registration, self: number): number {
  return notify === 'self' ? self : Number(notify);
}
