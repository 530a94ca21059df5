// The title that ps shows. PostgreSQL: src/backend/utils/misc/ps_status.c, contract O-20.

import { getConfigOption } from '../guc/guc.js';
import { native } from '../native.js';

/** `postgres: <cluster_name>: <activity> `, with the trailing blank that PostgreSQL leaves for what a backend appends. */
export function setPsDisplay(activity: string): void {
  const cluster = getConfigOption('cluster_name');
  process.title = `postgres: ${cluster === '' ? '' : `${cluster}: `}${activity} `;
  // libuv gave the main thread the title's first bytes as its name; PostgreSQL's processes keep their program's.
  native.setName('postgres');
}
