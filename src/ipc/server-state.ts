// What the startup process sees of the database server: a word in shared memory. The startup process stores, the postmaster loads.
// PostgreSQL has no counterpart: there the startup process ends with recovery, and the server cannot be elsewhere.
//
// A state and not one signal for each change: of two changes between two looks of the postmaster's only the last one counts, and flags would have lost
// their order.

import { PMSIGNAL_SERVER_STATE, sendPostmasterSignal } from './pmsignal.js';
import { HEADER } from '../shmem/layout.js';
import { sharedMemory } from '../shmem/shmem.js';

/** By the word's value. 0, which fresh memory holds: nothing has been said yet. */
const STATES = [null, 'away', 'standby', 'primary', 'closed'] as const;

export type SeenServerState = Exclude<(typeof STATES)[number], null>;

/** Startup process: stores what it sees, then tells the postmaster. */
export function reportServerState(state: SeenServerState): void {
  // Before the flag that sendPostmasterSignal() publishes. Pairs with the load in seenServerState().
  sharedMemory().store(HEADER.serverState, STATES.indexOf(state));
  sendPostmasterSignal(PMSIGNAL_SERVER_STATE);
}

/** Postmaster, after the flag was seen: the state as it is now; null where nothing sensible stands there. */
export function seenServerState(): SeenServerState | null {
  // Pairs with the store in reportServerState(), by the flag's exchange.
  return STATES[sharedMemory().load(HEADER.serverState)] ?? null;
}
