// The settings' values, where each came from, and the one function that changes one. Any process: a child inherits all of it over the fork, and
// what it changes afterwards is its own.
// PostgreSQL: find_option, add_placeholder_variable and set_config_option in src/backend/utils/misc/guc.c, REL_15_STABLE.
//
// A value stays until one from a source of the same rank or a higher one comes: default < file < command line < override < session. A name with a dot
// that nobody has defined is a placeholder: it keeps the text until a module defines the setting, which then reads that text (src/guc/custom.ts).

import { ERRCODE_CANT_CHANGE_RUNTIME_PARAM, ERRCODE_INVALID_NAME, ERRCODE_UNDEFINED_OBJECT } from '../elog/errcodes.js';
import type { ErrorFields } from '../elog/error-data.js';
import { LOG_ASSIGN_HOOKS } from './log-settings.js';
import { SETTINGS, type SettingDefinition, type SettingValue } from './settings.js';
import { type Parsed, parseAndValidateValue } from './value.js';

/** Where a value came from. */
export type SettingSource = 'default' | 'file' | 'command line' | 'override' | 'session';
const RANK: Readonly<Record<SettingSource, number>> = { default: 0, file: 1, 'command line': 2, override: 3, session: 4 };

/** On what occasion a value is set: the start of the postmaster, a reload of the file, or at any time by code in one process. */
export type ChangeContext = 'postmaster' | 'sighup' | 'user';

/** Takes the report of what is wrong. Where it returns, the value stays as it was. */
export type Report = (fields: ErrorFields) => void;

export interface Variable {
  definition: SettingDefinition;
  /** Nobody has defined it: `definition` is a stand-in. */
  placeholder: boolean;
  value: SettingValue;
  source: SettingSource;
}

/** What became of a change: made, refused with a report, or without effect and no error (another source counts more, or nothing changed). */
export type ChangeResult = 'changed' | 'refused' | 'ignored';

/** By lower-case name: names are compared without regard to case. */
const variables = new Map<string, Variable>();

/** Prefixes whose module has defined all that it has: no placeholder may take such a name. */
const reservedPrefixes = new Set<string>();

/** Every setting with its boot value, and nothing custom: how a process starts, and how a test starts again. */
export function initializeGUCOptions(): void {
  variables.clear();
  reservedPrefixes.clear();
  for (const definition of SETTINGS) addVariable(definition);
}

/** Makes a setting known, with its boot value. The caller has made sure that no other has its name. */
export function addVariable(definition: SettingDefinition): Variable {
  const variable: Variable = { definition, placeholder: false, value: definition.bootValue, source: 'default' };
  variables.set(definition.name.toLowerCase(), variable);
  assign(variable, definition.bootValue);
  return variable;
}

function assign(variable: Variable, value: SettingValue): void {
  variable.value = value;
  LOG_ASSIGN_HOOKS[variable.definition.name]?.(value);
  (variable.definition.assignHook as ((value: SettingValue) => void) | undefined)?.(value);
}

/** Two simple identifiers or more, with dots between them. */
export function validCustomVariableName(name: string): boolean {
  return /^[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*(?:\.[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*)+$/.test(name);
}

export function lookUp(name: string): Variable | undefined {
  return variables.get(name.toLowerCase());
}

export function removeVariable(name: string): void {
  variables.delete(name.toLowerCase());
}

export function allVariables(): readonly Variable[] {
  return [...variables.values()];
}

export function reservePrefix(prefix: string): void {
  reservedPrefixes.add(prefix);
}

/** Finds a setting, and makes a placeholder for a custom name that is not known yet. Reports why there is none. */
export function findOption(name: string, report: Report): Variable | null {
  const known = lookUp(name);
  if (known !== undefined) return known;
  if (!name.includes('.')) {
    report({ code: ERRCODE_UNDEFINED_OBJECT, message: `unrecognized configuration parameter "${name}"` });
    return null;
  }
  const prefix = name.slice(0, name.indexOf('.'));
  const invalid = (detail: string): null => {
    report({ code: ERRCODE_INVALID_NAME, message: `invalid configuration parameter name "${name}"`, detail });
    return null;
  };
  if (!validCustomVariableName(name)) return invalid('Custom parameter names must be two or more simple identifiers separated by dots.');
  if (reservedPrefixes.has(prefix)) return invalid(`"${prefix}" is a reserved prefix.`);
  const variable = addVariable({ name, type: 'string', context: 'user', bootValue: '', shortDesc: '' });
  variable.placeholder = true;
  return variable;
}

function cannotChange(name: string, why: string): ErrorFields {
  return { code: ERRCODE_CANT_CHANGE_RUNTIME_PARAM, message: `parameter "${name}" cannot be changed${why}` };
}

/** Whether a setting may change on this occasion; `null`: only to what it is already, which shows when the text has been read. */
function mayChange(variable: Variable, name: string, context: ChangeContext): ErrorFields | true | null {
  switch (variable.definition.context) {
    case 'internal':
      return cannotChange(name, '');
    case 'postmaster':
      if (context === 'postmaster') return true;
      // Whoever reads the file again meets settings that have not changed: no error. "8" and "0x8" are the same value, so the text will not do.
      return context === 'sighup' ? null : cannotChange(name, ' without restarting the server');
    case 'sighup':
      return context === 'user' ? cannotChange(name, ' now') : true;
    case 'user':
      return true;
  }
}

/** What to set, and how. `text` null means the boot value. */
export interface Change {
  readonly name: string;
  readonly text: string | null;
  readonly context: ChangeContext;
  readonly source: SettingSource;
}

/**
 * Sets one setting, by all the rules.
 * @param report takes the reason of a refusal; it may throw
 */
export function setConfigVariable(change: Change, report: Report): ChangeResult {
  const { name, text, source } = change;
  const variable = findOption(name, report);
  if (variable === null) return 'refused';
  const verdict = mayChange(variable, name, change.context);
  if (verdict !== null && verdict !== true) {
    report(verdict);
    return 'refused';
  }
  const parsed: Parsed<SettingValue> =
    text === null ? { value: variable.definition.bootValue } : parseAndValidateValue(variable.definition, name, text);
  if ('error' in parsed) {
    report(parsed.error);
    return 'refused';
  }
  if (verdict === null) {
    if (variable.value === parsed.value) return 'ignored';
    report(cannotChange(name, ' without restarting the server'));
    return 'refused';
  }
  // The text was read all the same, so that a bad one is reported.
  if (text !== null && RANK[variable.source] > RANK[source]) return 'ignored';
  variable.source = source;
  assign(variable, parsed.value);
  return 'changed';
}

initializeGUCOptions();
