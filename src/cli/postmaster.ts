// bgworker postmaster: the server in the foreground, as this very process. The command line, until the import below.
// PostgreSQL: src/backend/main/main.c, the program `postgres` itself.

import { pathToFileURL } from 'node:url';
import { type DataDirOption, dataDirOf } from './data-dir-option.js';
import type { Setting } from './options-file.js';
import { OPTIONS_VARIABLE, prepareDataDir } from './start.js';
import { EXIT_SUCCESS, type Surroundings } from './surroundings.js';

/**
 * Prepares arguments and environment as for a postmaster of its own, and becomes it: the module executes Node again, with V8's flags and these
 * arguments, so that the settings do not stay where everybody can read them.
 */
export async function postmaster(options: DataDirOption & { readonly settings: readonly Setting[] }, surroundings: Surroundings): Promise<number> {
  const dir = dataDirOf(options, surroundings);
  prepareDataDir(dir, options.settings, surroundings.err, surroundings);
  process.argv = [process.argv0, surroundings.postmaster, '-D', dir];
  process.env[OPTIONS_VARIABLE] = JSON.stringify(options.settings);
  await import(pathToFileURL(surroundings.postmaster).href);
  return EXIT_SUCCESS;
}
