// A change of credentials takes back the request for a parent-death signal (prctl(2), PR_SET_PDEATHSIG): whoever changes them in a child asks again. Children.
// PostgreSQL: PostmasterDeathSignalInit in src/backend/storage/ipc/pmsignal.c, whose processes never change theirs.

import { check, native } from '../native.js';

/** Whose child this is, and the signal that ends it with its parent, 0 for none. */
export interface Family {
  readonly parent: number;
  readonly parentDeathSignal: number;
}

const CHANGES = ['setuid', 'seteuid', 'setgid', 'setegid', 'setgroups', 'initgroups'] as const;

type Change = (...args: unknown[]) => unknown;

/** In a fresh child: Node's functions that change credentials keep it in the family. A postmaster that died in between is noticed, and ends the process. */
export function keepFamily({ parent, parentDeathSignal }: Family): void {
  if (parentDeathSignal === 0) return;
  const functions = process as unknown as Record<string, Change>;
  for (const name of CHANGES) {
    const original = functions[name] as Change;
    functions[name] = (...args) => {
      const result = original.apply(process, args);
      check(native.deathPipeChild(parent, parentDeathSignal), 'prctl');
      return result;
    };
  }
}
