// The configuration file that a new data directory gets: every setting with its default, commented out. Command line and postmaster.
// PostgreSQL: src/backend/utils/misc/postgresql.conf.sample, REL_15_STABLE.

import { SETTINGS, type SettingDefinition } from './settings.js';

const HEADER = `# bgworker.conf: the settings of the server on this data directory.
#
# Lines have the form "name = value"; the "=" may be left out. A "#" begins a comment. Values other than numbers and simple words need single
# quotes; a quote inside them is written twice. The settings below are commented out and show their defaults.
#
# The server reads this file when it starts and when it receives SIGHUP ("bgworker reload"). What the command line says counts more.
`;

const CHANGES: Readonly<Record<SettingDefinition['context'], string>> = {
  internal: 'cannot be changed',
  postmaster: 'change requires restart',
  sighup: '',
  user: '',
};

function showValue(setting: SettingDefinition): string {
  if (setting.type === 'bool') return setting.bootValue ? 'on' : 'off';
  if (setting.type === 'int') return `${setting.bootValue}${setting.unit ?? ''}`;
  if (setting.type === 'enum') return setting.bootValue;
  return `'${(setting.bootValue ?? '').replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** The text of a new configuration file. */
export function sampleConfigFile(): string {
  const blocks = SETTINGS.map((setting) => {
    const note = CHANGES[setting.context];
    const comments = [setting.shortDesc, setting.longDesc, setting.type === 'enum' ? `One of: ${setting.options.join(', ')}.` : undefined];
    const lines = comments.filter((line) => line !== undefined).map((line) => `# ${line}\n`);
    return `${lines.join('')}#${setting.name} = ${showValue(setting)}${note === '' ? '' : `    # (${note})`}\n`;
  });
  return [HEADER, ...blocks].join('\n');
}
