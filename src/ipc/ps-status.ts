// The title that ps shows. Any child of the postmaster. PostgreSQL: src/backend/utils/misc/ps_status.c, contract O-20.

import { getConfigOption } from '../guc/guc.js';
import { native } from '../native.js';

let fixedPart = '';

/** `postgres: <cluster_name>: <name> `, with the trailing blank that PostgreSQL leaves for what the process says later. C: init_ps_display. */
export function initPsDisplay(name: string): void {
  const cluster = getConfigOption('cluster_name');
  fixedPart = `postgres: ${cluster === '' ? '' : `${cluster}: `}${name} `;
  setPsDisplay('');
}

/**
 * Shows in `ps` what this process is doing, behind its name. Cut to the room that its first title left, as in PostgreSQL.
 * @param activity of a few words; empty: nothing
 * @example setPsDisplay('rolling up');
 * @pg set_ps_display
 */
export function setPsDisplay(activity: string): void {
  if (typeof activity !== 'string') throw new TypeError(`activity must be a string, not ${typeof activity}`);
  process.title = fixedPart + activity;
  // libuv gave the main thread the title's first bytes as its name; PostgreSQL's processes keep their program's.
  native.setName('postgres');
}
