// Settings as code uses them: get one, set one, read the configuration file. Any process.
// PostgreSQL: GetConfigOption, SetConfigOption, ParseLongOption in src/backend/utils/misc/guc.c; ProcessConfigFileInternal in guc-file.l, REL_15_STABLE.
//
// The postmaster reads the file at its start, when any error ends it, and again at SIGHUP, when errors are logged and what is wrong stays as it was.
// A child that reads it again logs nothing (below DEBUG2): the postmaster has said it all.

import { readFileSync } from 'node:fs';
import { ERRCODE_CANT_CHANGE_RUNTIME_PARAM, ERRCODE_CONFIG_FILE_ERROR, ERRCODE_SYNTAX_ERROR, ERRCODE_UNDEFINED_OBJECT } from '../elog/errcodes.js';
import { DEBUG2, DEBUG3, ERROR, ErrorData, LOG } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { errcodeForFileAccess, strerror } from '../elog/file-access.js';
import { isUnderPostmaster } from '../globals.js';
import { type ConfigItem, parseConfigFile } from './conf-file.js';
import type { Settings, SettingValue } from './settings.js';
import { type ChangeContext, type SettingSource, allVariables, lookUp, setConfigVariable, validCustomVariableName } from './variables.js';

/** The name of the configuration file in the data directory. */
export const CONFIG_FILE_NAME = 'bgworker.conf';

/**
 * The value of a setting: a boolean, a number in the setting's own unit, or a string.
 *
 * @param name without regard to case
 * @returns for a custom setting that nobody has defined yet, its text
 * @throws ErrorData 42704 where there is no such setting
 * @example const slots = getConfigOption('max_worker_processes');
 * @pg GetConfigOption
 */
export function getConfigOption<Name extends keyof Settings>(name: Name): Settings[Name];
export function getConfigOption(name: string): SettingValue;
export function getConfigOption(name: string): SettingValue {
  const variable = lookUp(name);
  if (variable === undefined) {
    throw new ErrorData({ code: ERRCODE_UNDEFINED_OBJECT, message: `unrecognized configuration parameter "${name}"` });
  }
  return variable.value;
}

/**
 * Sets a setting from a text.
 *
 * @param source 'command line' and 'override' only while the postmaster starts; 'session' at any time, for this process alone
 * @throws ErrorData 42704 unknown name, 42602 impossible name, 22023 bad value, 55P02 not now. From a source of low rank (`default`, `file`), bad ones
 * are logged and skipped instead.
 * @example setConfigOption('max_worker_processes', '16', 'command line');
 * @pg SetConfigOption
 */
export function setConfigOption(name: string, text: string, source: SettingSource): void {
  const level = source === 'default' || source === 'file' ? fileErrorLevel() : ERROR;
  const context = source === 'session' ? 'user' : 'postmaster';
  setConfigVariable({ name, text, context, source }, (fields) => ereport(level, fields));
}

/**
 * Takes `name=value`, as after -c, apart. Dashes in the name stand for underscores.
 * @throws ErrorData 42601 where there is no value
 * @pg ParseLongOption
 */
export function parseLongOption(option: string): [name: string, value: string] {
  const equals = option.indexOf('=');
  if (equals < 0) throw new ErrorData({ code: ERRCODE_SYNTAX_ERROR, message: `-c ${option} requires a value` });
  return [option.slice(0, equals).replaceAll('-', '_'), option.slice(equals + 1)];
}

/** The level for what is wrong with one value in the file. */
function fileErrorLevel(): number {
  return isUnderPostmaster() ? DEBUG3 : LOG;
}

/**
 * Reads the configuration file and applies what it says; settings that it no longer has go back to their defaults.
 *
 * A file with a syntax error or an unknown name changes nothing at all; a bad value leaves that setting alone, and the others are applied.
 * DIFFERS FROM POSTGRES: there need not be a file; no file is an empty one.
 *
 * @param context 'postmaster' at its start, 'sighup' afterwards
 * @throws ErrorData F0000 FATAL, at the start only, where anything is wrong; the log has the particulars
 * @pg ProcessConfigFileInternal
 */
export function processConfigFileInternal(path: string, context: 'postmaster' | 'sighup'): void {
  const items = readConfigFile(path);
  // Both run in any case: what is wrong with one setting does not keep the next from being reported.
  const failed = items === null || [revertRemoved(items, context), ...items.map((item) => applyItem(item, context))].includes(false);
  if (!failed) return;
  const message = `configuration file "${path}" contains errors`;
  if (context === 'postmaster') throw new ErrorData({ code: ERRCODE_CONFIG_FILE_ERROR, message, severity: 'FATAL' });
  const outcome = items === null ? 'no changes were applied' : 'unaffected changes were applied';
  ereport(reportLevel(), { code: ERRCODE_CONFIG_FILE_ERROR, message: `${message}; ${outcome}` });
}

/** The level for all that concerns the file. */
function reportLevel(): number {
  return isUnderPostmaster() ? DEBUG2 : LOG;
}

/** The last item of each name, or null where the file must not be used; the reasons are reported. */
function readConfigFile(path: string): ConfigItem[] | null {
  const level = reportLevel();
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT') {
      ereport(level, { code: errcodeForFileAccess(err), message: `could not open configuration file "${path}": ${strerror(err)}` });
      return null;
    }
  }
  const { items, errors } = parseConfigFile(text, path);
  for (const error of errors) ereport(level, error);
  if (errors.length > 0) return null;
  const unrecognized = items.filter(({ name }) => lookUp(name) === undefined && !validCustomVariableName(name));
  for (const { name, line } of unrecognized) {
    const message = `unrecognized configuration parameter "${name}" in file "${path}" line ${line}`;
    ereport(level, { code: ERRCODE_UNDEFINED_OBJECT, message });
  }
  if (unrecognized.length > 0) return null;
  return items.filter((item, index) => !items.slice(index + 1).some((later) => sameName(later.name, item.name)));
}

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** What came from the file and is not in it any more has its default again. Returns false where something cannot change so late. */
function revertRemoved(items: readonly ConfigItem[], context: ChangeContext): boolean {
  let ok = true;
  for (const variable of allVariables()) {
    const { name } = variable.definition;
    if (variable.source !== 'file' || items.some((item) => sameName(item.name, name))) continue;
    if (variable.definition.context === 'postmaster') {
      const message = `parameter "${name}" cannot be changed without restarting the server`;
      ereport(reportLevel(), { code: ERRCODE_CANT_CHANGE_RUNTIME_PARAM, message });
      ok = false;
      continue;
    }
    setConfigVariable({ name, text: null, context, source: 'default' }, (fields) => ereport(fileErrorLevel(), fields));
    if (context === 'sighup') ereport(reportLevel(), { message: `parameter "${name}" removed from configuration file, reset to default` });
  }
  return ok;
}

/** Returns false where the value was refused. */
function applyItem({ name, value: text }: ConfigItem, context: ChangeContext): boolean {
  const before = lookUp(name)?.value;
  const result = setConfigVariable({ name, text, context, source: 'file' }, (fields) => ereport(fileErrorLevel(), fields));
  // A custom name that nobody knew had no value before; PostgreSQL logs that as a change too.
  if (result === 'changed' && context === 'sighup' && !isUnderPostmaster() && lookUp(name)?.value !== before) {
    ereport(LOG, { message: `parameter "${name}" changed to "${text}"` });
  }
  return result !== 'refused';
}
