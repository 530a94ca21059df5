// The settings: the table of all that are built in, and what a definition says. Any process; nothing here changes at run time.
// PostgreSQL: ConfigureNames… in src/backend/utils/misc/guc.c, and struct config_generic in src/include/utils/guc_tables.h, REL_15_STABLE.
//
// Names, defaults and ranges are PostgreSQL's where it has the setting. Which settings may change when is ours in part: where PostgreSQL lets a
// superuser set one by SQL, ours changes with the configuration file, because there is no SQL to set it by.

/** When a setting may change: never, at the start of the postmaster, when the configuration file is read again, or any time within one process. */
export type SettingContext = 'internal' | 'postmaster' | 'sighup' | 'user';
export type SettingUnit = 'ms' | 's' | 'min' | 'B' | 'kB' | 'MB';
export type SettingValue = boolean | number | string | null;

/** Why a check hook refuses a value. `message` replaces the standard one. */
export interface CheckFailure {
  readonly message?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly code?: string;
}

interface Definition<T> {
  readonly name: string;
  readonly context: SettingContext;
  /** One sentence. */
  readonly shortDesc: string;
  readonly longDesc?: string;
  readonly bootValue: T;
  /** Says whether a value that has passed the checks of its type will do: true, or why not. It must have no effect of its own. */
  readonly checkHook?: (value: T) => boolean | CheckFailure;
  /** Told each new value, and the first one too. It must not fail. */
  readonly assignHook?: (value: T) => void;
}

export interface BoolSetting extends Definition<boolean> {
  readonly type: 'bool';
}

export interface IntSetting extends Definition<number> {
  readonly type: 'int';
  readonly minValue: number;
  readonly maxValue: number;
  /** What the number counts; the text may then name a related unit. */
  readonly unit?: SettingUnit;
}

export interface StringSetting extends Definition<string | null> {
  readonly type: 'string';
  /** A name: only its first 63 bytes count. */
  readonly isName?: boolean;
}

export interface EnumSetting extends Definition<string> {
  readonly type: 'enum';
  readonly options: readonly string[];
  /** Other spellings, which no hint lists, and what each stands for. */
  readonly hidden?: Readonly<Record<string, string>>;
}

export type SettingDefinition = BoolSetting | IntSetting | StringSetting | EnumSetting;

/** INT_MAX of C, which bounds every integer setting. */
export const INT_MAX = 2147483647;
/** As many processes as a lock word of PostgreSQL can count (MAX_BACKENDS). */
const MAX_BACKENDS = 0x3ffff;

/** The built-in settings and the types of their values: what `getConfigOption` returns for each. */
export interface Settings {
  max_worker_processes: number;
  max_parallel_workers: number;
  max_connections: number;
  shared_preload_libraries: string;
  dynamic_library_path: string;
  restart_after_crash: boolean;
  log_min_messages: string;
  log_line_prefix: string;
  cluster_name: string;
  database: string;
  pg_bindir: string;
  allow_root: boolean;
  allow_orphan_workers: boolean;
  allow_workers_without_shmem: boolean;
}

/** Least to most severe as an operator asks for them; LOG stands high because the server log should have it (PostgreSQL: server_message_level_options). */
const LOG_LEVELS = ['debug5', 'debug4', 'debug3', 'debug2', 'debug1', 'info', 'notice', 'warning', 'error', 'log', 'fatal', 'panic'] as const;

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
  {
    name: 'log_min_messages',
    type: 'enum',
    context: 'sighup',
    bootValue: 'warning',
    options: LOG_LEVELS,
    hidden: { debug: 'debug2' },
    shortDesc: 'Sets the message levels that are logged.',
    longDesc: 'Each level includes all the levels that follow it. The later the level, the fewer messages are sent.',
  },
  {
    name: 'log_line_prefix',
    type: 'string',
    context: 'sighup',
    bootValue: '%m [%p] ',
    shortDesc: 'Controls information prefixed to each log line.',
  },
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
    name: 'pg_bindir',
    type: 'string',
    context: 'postmaster',
    bootValue: '',
    shortDesc: 'Sets the directory of the PostgreSQL programs for an owned database; empty means to find them.',
  },
  {
    name: 'allow_root',
    type: 'bool',
    context: 'postmaster',
    bootValue: false,
    shortDesc: 'Allows the server to run as root.',
  },
  {
    name: 'allow_orphan_workers',
    type: 'bool',
    context: 'postmaster',
    bootValue: false,
    shortDesc: 'Lets a worker live on when the postmaster has died, if it chooses so.',
  },
  {
    name: 'allow_workers_without_shmem',
    type: 'bool',
    context: 'postmaster',
    bootValue: true,
    shortDesc: 'Allows background workers without shared memory access.',
  },
];
