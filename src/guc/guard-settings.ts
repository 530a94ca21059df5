// The settings of the guard against what fails again and again. Any process; the postmaster uses them. Ours: PostgreSQL restarts for ever.

import { INT_MAX, type SettingDefinition } from './setting-types.js';

/** Off unless somebody says how far to go. */
const OFF = { type: 'int', context: 'sighup', bootValue: 0, minValue: 0 } as const;

export const GUARD_SETTINGS: readonly SettingDefinition[] = [
  {
    ...OFF,
    name: 'worker_restart_backoff_max',
    unit: 's',
    maxValue: 86_400,
    shortDesc: 'Sets the longest delay before the restart of a worker that fails again and again.',
    longDesc: 'The delay begins with the restart interval, at least a second, and doubles. Zero turns this off.',
  },
  {
    ...OFF,
    name: 'worker_give_up_after',
    maxValue: INT_MAX,
    shortDesc: 'Sets after how many failures in a row a worker is unregistered.',
    longDesc: 'A worker that has run for a minute begins anew. Zero turns this off.',
  },
  {
    ...OFF,
    name: 'crash_cycle_backoff_max',
    unit: 's',
    maxValue: 86_400,
    shortDesc: 'Sets the longest delay before the server reinitializes after crashes in a row.',
    longDesc: 'The first crash has none, the second one of a second, which doubles. Zero turns this off.',
  },
  {
    ...OFF,
    name: 'crash_give_up_after',
    maxValue: INT_MAX,
    shortDesc: 'Sets after how many crashes in a row the server shuts down.',
    longDesc: 'A server that has run for a minute begins anew. Zero turns this off.',
  },
];
