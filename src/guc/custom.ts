// Settings that modules define: `worker_spi.naptime` and its like. Any process; a module that is preloaded does it in the postmaster, from _PG_init,
// and all children have it by the fork.
// PostgreSQL: DefineCustom…Variable and MarkGUCPrefixReserved in src/backend/utils/misc/guc.c, REL_15_STABLE.
//
// What the configuration file and the command line said of such a name before is kept as a placeholder, and read when the module says how. A text
// that will not do then is a WARNING, and the default stands: the module is loaded in any case.

import { ERRCODE_INTERNAL_ERROR, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_INVALID_NAME } from '../elog/errcodes.js';
import { ERROR, ErrorData, FATAL, WARNING } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { isUnderPostmaster } from '../globals.js';
import {
  type BoolSetting,
  type EnumSetting,
  INT_MAX,
  type IntSetting,
  type SettingDefinition,
  type SettingValue,
  type StringSetting,
} from './settings.js';
import { addVariable, allVariables, lookUp, removeVariable, reservePrefix, setConfigVariable, validCustomVariableName } from './variables.js';

/** What a definition says besides name and type. `context` is 'sighup' where nothing else is said. */
type Custom<S extends SettingDefinition> = Omit<S, 'type' | 'name' | 'context'> & Partial<Pick<S, 'context'>>;

export type CustomBoolVariable = Custom<BoolSetting>;
export type CustomIntVariable = Omit<Custom<IntSetting>, 'minValue' | 'maxValue'> & Partial<Pick<IntSetting, 'minValue' | 'maxValue'>>;
export type CustomStringVariable = Custom<StringSetting>;
export type CustomEnumVariable = Custom<EnumSetting>;

/** On what occasion a placeholder's text is set: it was given when that was allowed, whatever the definition turns out to say. */
const PLACEHOLDER_CONTEXT = 'postmaster';

/** What a caller without types could get wrong, and would find out when the setting is read, in another place. */
const CONTEXTS: readonly string[] = ['internal', 'postmaster', 'sighup', 'user'];
const UNITS: readonly unknown[] = [undefined, 'ms', 's', 'min', 'B', 'kB', 'MB'];

function defineCustomVariable(definition: SettingDefinition): void {
  const { name, context } = definition;
  if (!CONTEXTS.includes(context)) throw new TypeError(`context of parameter "${name}" must be one of ${CONTEXTS.join(', ')}`);
  if (definition.type === 'int' && !UNITS.includes(definition.unit)) {
    throw new TypeError(`unit of parameter "${name}" must be one of ${UNITS.slice(1).join(', ')}`);
  }
  if (!validCustomVariableName(name)) {
    const detail = 'Custom parameter names must be two or more simple identifiers separated by dots.';
    throw new ErrorData({ code: ERRCODE_INVALID_NAME, message: `invalid configuration parameter name "${name}"`, detail });
  }
  if (context === 'postmaster' && isUnderPostmaster()) {
    ereport(FATAL, { code: ERRCODE_INTERNAL_ERROR, message: 'cannot create PGC_POSTMASTER variables after startup' });
  }
  const known = lookUp(name);
  if (known !== undefined && !known.placeholder) {
    ereport(ERROR, { code: ERRCODE_INTERNAL_ERROR, message: `attempt to redefine parameter "${name}"` });
  }
  addVariable(definition);
  if (known === undefined || known.source === 'default' || known.value === null) return;
  const change = { name, text: String(known.value), context: PLACEHOLDER_CONTEXT, source: known.source } as const;
  setConfigVariable(change, (fields) => ereport(WARNING, fields));
}

function requireType(name: string, value: SettingValue, type: 'boolean' | 'number' | 'string'): void {
  if (typeof value === type && !Number.isNaN(value)) return;
  throw new TypeError(`bootValue of parameter "${name}" must be a ${type}, not ${value === null ? 'null' : typeof value}`);
}

/**
 * Defines a boolean setting.
 * @param name with a prefix of the module's own and a dot: `my_module.enabled`
 * @throws ErrorData XX000 where the name is defined already
 * @example defineCustomBoolVariable('my_module.enabled', { shortDesc: 'Turns it on.', bootValue: true });
 * @pg DefineCustomBoolVariable
 */
export function defineCustomBoolVariable(name: string, variable: CustomBoolVariable): void {
  requireType(name, variable.bootValue, 'boolean');
  defineCustomVariable({ context: 'sighup', ...variable, name, type: 'bool' });
}

/**
 * Defines an integer setting; its range is that of a C int where none is given.
 * @param name with a prefix of the module's own and a dot
 * @throws ErrorData XX000 where the name is defined already, 22023 where the boot value is out of the range
 * @example defineCustomIntVariable('worker_spi.naptime', { shortDesc: 'Duration between each check.', bootValue: 10, minValue: 1, unit: 's' });
 * @pg DefineCustomIntVariable
 */
export function defineCustomIntVariable(name: string, variable: CustomIntVariable): void {
  requireType(name, variable.bootValue, 'number');
  const { minValue = -INT_MAX - 1, maxValue = INT_MAX, bootValue } = variable;
  if (!Number.isInteger(bootValue) || bootValue < minValue || bootValue > maxValue) {
    const message = `${bootValue} is outside the valid range for parameter "${name}" (${minValue} .. ${maxValue})`;
    throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message });
  }
  defineCustomVariable({ context: 'sighup', ...variable, minValue, maxValue, name, type: 'int' });
}

/**
 * Defines a string setting. A boot value of null says that it is unset, which no text can say later.
 * @param name with a prefix of the module's own and a dot
 * @throws ErrorData XX000 where the name is defined already
 * @example defineCustomStringVariable('worker_spi.database', { shortDesc: 'Database to connect to.', bootValue: 'postgres' });
 * @pg DefineCustomStringVariable
 */
export function defineCustomStringVariable(name: string, variable: CustomStringVariable): void {
  if (variable.bootValue !== null) requireType(name, variable.bootValue, 'string');
  defineCustomVariable({ context: 'sighup', ...variable, name, type: 'string' });
}

/**
 * Defines a setting that takes one of some words.
 * @param name with a prefix of the module's own and a dot
 * @throws ErrorData XX000 where the name is defined already, 22023 where the boot value is not one of the options
 * @example defineCustomEnumVariable('my_module.mode', { shortDesc: 'How it works.', bootValue: 'fast', options: ['fast', 'slow'] });
 * @pg DefineCustomEnumVariable
 */
export function defineCustomEnumVariable(name: string, variable: CustomEnumVariable): void {
  requireType(name, variable.bootValue, 'string');
  if (!variable.options.includes(variable.bootValue)) {
    const hint = `Available values: ${variable.options.join(', ')}.`;
    throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message: `invalid value for parameter "${name}": "${variable.bootValue}"`, hint });
  }
  defineCustomVariable({ context: 'sighup', ...variable, name, type: 'enum' });
}

/**
 * Says that a module has defined all its settings: a placeholder with its prefix is a misspelling, and goes with a WARNING; no new one is accepted.
 * @param className the prefix, without the dot
 * @example markGUCPrefixReserved('worker_spi');
 * @pg MarkGUCPrefixReserved
 */
export function markGUCPrefixReserved(className: string): void {
  for (const { placeholder, definition } of allVariables()) {
    if (!placeholder || !definition.name.startsWith(`${className}.`)) continue;
    removeVariable(definition.name);
    const message = `invalid configuration parameter name "${definition.name}", removing it`;
    ereport(WARNING, { code: ERRCODE_INVALID_NAME, message, detail: `"${className}" is now a reserved prefix.` });
  }
  reservePrefix(className);
}
