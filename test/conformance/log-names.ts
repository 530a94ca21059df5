// What the log calls a worker. Pure.

import { asciiSafeText, cutText } from '../../dist/bgworker/background-worker.js';
import { BGW_MAXLEN } from '../../dist/constants.js';
import type { Step } from './language.js';
import type { WorkerFields } from './registration.js';

/**
 * Its name as far as a descriptor holds it, without the scenario's id. Of a dynamic worker the postmaster takes only what is ASCII (contract S-10); of a static one,
 * everything.
 */
export function logName(scenario: string, fields: WorkerFields & Partial<Pick<Step, 'op'>>): string {
  const name = cutText(fields.rawname ?? fields.name ?? `${scenario}.${fields.w ?? 'w'}`, BGW_MAXLEN);
  return (fields.op === 'reg' ? asciiSafeText(Buffer.from(name)) : name).replaceAll(`${scenario}.`, '');
}
