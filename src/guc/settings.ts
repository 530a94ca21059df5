// The settings: the table of all that are built in, and what a definition says. Any process; nothing here changes at run time.
// PostgreSQL: ConfigureNames… in src/backend/utils/misc/guc.c, and struct config_generic in src/include/utils/guc_tables.h, REL_15_STABLE.
//
// Names, defaults and ranges are PostgreSQL's where it has the setting. Which settings may change when is ours in part: where PostgreSQL lets a
// superuser set one by SQL, ours changes with the configuration file, because there is no SQL to set it by.

import { GUARD_SETTINGS } from './guard-settings.js';
import { LOG_SETTINGS } from './log-settings.js';
import { checkRlimits } from './rlimits.js';
import type { SettingDefinition } from './setting-types.js';

export { INT_MAX } from './setting-types.js';
export type * from './setting-types.js';

/** As many processes as a lock word of PostgreSQL can count (MAX_BACKENDS). */
const MAX_BACKENDS = 0x3ffff;

/** The built-in settings and the types of their values: what `getConfigOption` returns for each. */
export interface Settings {
  max_worker_processes: number;
  max_parallel_workers: number;
  max_connections: number;
  shared_preload_libraries: string;
  preload_audit: string;
  dynamic_library_path: string;
  restart_after_crash: boolean;
  worker_restart_backoff_max: number;
  worker_give_up_after: number;
  database_check_interval: number;
  crash_cycle_backoff_max: number;
  crash_give_up_after: number;
  log_destination: string;
  log_min_messages: string;
  log_line_prefix: string;
  log_fold_repeats: boolean;
  cluster_name: string;
  database: string;
  pg_bindir: string;
  user: string;
  allow_root: boolean;
  allow_writable_libraries: boolean;
  allow_orphan_workers: boolean;
  worker_rlimits: string;
  post_auth_delay: number;
  allow_workers_without_shmem: boolean;
}

/** Everything built in, in the order in which the sample configuration file shows it. */
export const SETTINGS: readonly SettingDefinition[] = [
  {
    name: 'max_worker_processes',
    type: 'int',
    context: 'postmaster',
    bootValue: 8,
    minValue: 0,
    maxValue: MAX_BACKENDS,
    shortDesc: 'Maximum number of concurrent worker processes.',
  },
  {
    name: 'max_parallel_workers',
    type: 'int',
    context: 'sighup',
    bootValue: 8,
    minValue: 0,
    maxValue: 1024,
    shortDesc: 'Sets the maximum number of parallel workers that can be active at one time.',
  },
  {
    name: 'max_connections',
    type: 'int',
    context: 'postmaster',
    bootValue: 100,
    minValue: 1,
    maxValue: MAX_BACKENDS,
    shortDesc: 'Sets the maximum number of concurrent connections.',
  },
  {
    name: 'shared_preload_libraries',
    type: 'string',
    context: 'postmaster',
    bootValue: '',
    shortDesc: 'Lists shared libraries to preload into server.',
  },
  {
    name: 'preload_audit',
    type: 'enum',
    context: 'postmaster',
    bootValue: 'error',
    options: ['error', 'warning', 'off'],
    shortDesc: 'Sets what becomes of a preloaded library that leaves behind what does not survive a fork.',
    longDesc: 'Threads, sockets, pipes, watchers, requests under way. With "error" the server does not start.',
  },
  {
    name: 'dynamic_library_path',
    type: 'string',
    context: 'sighup',
    bootValue: '$libdir',
    shortDesc: 'Sets the path for dynamically loadable modules.',
    longDesc: 'Where a library without a slash in its name is looked for. "$libdir" is the directory in which the server was started.',
  },
  {
    name: 'restart_after_crash',
    type: 'bool',
    context: 'sighup',
    bootValue: true,
    shortDesc: 'Reinitialize server after backend crash.',
  },
  ...GUARD_SETTINGS,
  ...LOG_SETTINGS,
  {
    name: 'cluster_name',
    type: 'string',
    context: 'postmaster',
    bootValue: 'bgworker',
    isName: true,
    shortDesc: 'Sets the name of the cluster, which is included in the process title.',
  },
  {
    name: 'database',
    type: 'string',
    context: 'postmaster',
    bootValue: 'owned',
    shortDesc: 'Sets the database that workers can connect to: "owned", "none", or a connection string.',
    longDesc: 'An owned database server lives in the data directory and is started and stopped with the server.',
  },
  {
    name: 'database_check_interval',
    type: 'int',
    unit: 's',
    context: 'postmaster',
    bootValue: 10,
    minValue: 0,
    maxValue: 86_400,
    shortDesc: 'Sets how often a database server that is silent is asked for a sign of life; 0 disables this.',
    longDesc: 'By the startup process, and by a worker that waits for an answer over TCP. An owned server is not asked.',
  },
  {
    name: 'pg_bindir',
    type: 'string',
    context: 'postmaster',
    bootValue: '',
    shortDesc: 'Sets the directory of the PostgreSQL programs for an owned database; empty means to find them.',
  },
  {
    name: 'user',
    type: 'string',
    context: 'postmaster',
    bootValue: '',
    shortDesc: 'Sets the user that a server started by root becomes, for good.',
    longDesc: 'By name or number. In this file it can only be the owner of the data directory.',
  },
  {
    name: 'allow_root',
    type: 'bool',
    context: 'postmaster',
    bootValue: false,
    shortDesc: 'Allows the server to run as root.',
  },
  {
    name: 'allow_writable_libraries',
    type: 'bool',
    context: 'postmaster',
    bootValue: false,
    shortDesc: 'Allows libraries that other users of the system may write.',
  },
  {
    name: 'allow_orphan_workers',
    type: 'bool',
    context: 'postmaster',
    bootValue: false,
    shortDesc: 'Lets a worker live on when the postmaster has died, if it chooses so.',
  },
  {
    name: 'worker_rlimits',
    type: 'string',
    context: 'sighup',
    bootValue: '',
    checkHook: checkRlimits,
    shortDesc: 'Sets limits of the resources of each background worker.',
    longDesc:
      'A list such as "RLIMIT_NOFILE=256, RLIMIT_CPU=60s:70s, max_old_space_size=64MB"; a worker that is registered with limits has these over them.',
  },
  {
    name: 'allow_workers_without_shmem',
    type: 'bool',
    context: 'postmaster',
    bootValue: true,
    shortDesc: 'Allows background workers without shared memory access.',
  },
  {
    name: 'post_auth_delay',
    type: 'int',
    unit: 's',
    context: 'sighup',
    bootValue: 0,
    minValue: 0,
    maxValue: 2147,
    shortDesc: 'Sets the time that a background worker or a session waits when it has just begun.',
    longDesc: 'This allows attaching a debugger to the process.',
  },
];
