// What others see this process wait for while its event loop sleeps: of all waits that are under way the one that began last. Any child of the postmaster.
// PostgreSQL: pgstat_report_wait_start and pgstat_report_wait_end in src/include/utils/wait_event.h, where a process has one wait at a time.

import { setWaitEventInfo } from './own-words.js';

/** A wait that others can see, from `showWait` to `hideWait`. */
export interface ShownWait {
  /** 0: it is not shown. */
  readonly waitEventInfo: number;
}

/** In the order in which they began. */
const waits = new Set<ShownWait>();

export function showWait(wait: ShownWait): void {
  if (wait.waitEventInfo === 0) return;
  waits.add(wait);
  setWaitEventInfo(wait.waitEventInfo);
}

/** It is over: the one before it shows again. */
export function hideWait(wait: ShownWait): void {
  if (!waits.delete(wait)) return;
  let info = 0;
  for (const { waitEventInfo } of waits) info = waitEventInfo;
  setWaitEventInfo(info);
}
