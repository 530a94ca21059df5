// The settings of the log: what they may say, and how the layer below is told. Any process.
// PostgreSQL: check_log_destination in src/backend/utils/error/elog.c; server_message_level_options in src/backend/utils/misc/guc.c, REL_15_STABLE.

import { configureLog, type LogDestination } from '../elog/elog.js';
import { DEBUG1, DEBUG2, DEBUG3, DEBUG4, DEBUG5, ERROR, FATAL, INFO, LOG, NOTICE, PANIC, WARNING } from '../elog/error-data.js';
import { splitIdentifierString } from './identifier-list.js';
import type { CheckFailure, SettingDefinition, SettingValue } from './setting-types.js';

/** Least to most severe as an operator asks for them; LOG stands high because the server log should have it. */
const LEVELS: Readonly<Record<string, number>> = {
  debug5: DEBUG5,
  debug4: DEBUG4,
  debug3: DEBUG3,
  debug2: DEBUG2,
  debug1: DEBUG1,
  info: INFO,
  notice: NOTICE,
  warning: WARNING,
  error: ERROR,
  log: LOG,
  fatal: FATAL,
  panic: PANIC,
};

const isDestination = (name: string): name is LogDestination => name === 'stderr' || name === 'jsonlog';

/** DIFFERS FROM POSTGRES: no csvlog, syslog or eventlog. */
function checkLogDestination(text: string | null): true | CheckFailure {
  const names = splitIdentifierString(text ?? '')?.map((name) => [name, name.toLowerCase()] as const);
  if (names === undefined) return { detail: 'List syntax is invalid.' };
  const [unrecognized] = names.find(([, lower]) => !isDestination(lower)) ?? [];
  return unrecognized === undefined ? true : { detail: `Unrecognized key word: "${unrecognized}".` };
}

function destinations(text: string): LogDestination[] {
  return (splitIdentifierString(text) ?? []).map((name) => name.toLowerCase()).filter(isDestination);
}

export const LOG_SETTINGS: readonly SettingDefinition[] = [
  {
    name: 'log_destination',
    type: 'string',
    context: 'sighup',
    bootValue: 'stderr',
    shortDesc: 'Sets the form of the server log.',
    longDesc: 'A list of "stderr" (text) and "jsonlog" (a JSON object for each record); both go to standard error.',
    checkHook: checkLogDestination,
  },
  {
    name: 'log_min_messages',
    type: 'enum',
    context: 'sighup',
    bootValue: 'warning',
    options: Object.keys(LEVELS),
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
    name: 'log_fold_repeats',
    type: 'bool',
    context: 'sighup',
    bootValue: false,
    shortDesc: 'Folds lines about the exits and restarts of one worker that repeat within ten seconds.',
  },
];

/** What the layer below keeps for itself, since it may not look up here. */
export const LOG_ASSIGN_HOOKS: Readonly<Record<string, (value: SettingValue) => void>> = {
  log_destination: (value) => configureLog({ destination: destinations(String(value)) }),
  log_min_messages: (value) => configureLog({ minMessages: LEVELS[String(value)] ?? WARNING }),
  log_line_prefix: (value) => configureLog({ linePrefix: String(value) }),
};
