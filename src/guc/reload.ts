// Reading the settings again in a process that wants the new ones: a worker, once SIGHUP has told it that the file has changed.
// PostgreSQL: ProcessConfigFile in src/backend/utils/misc/guc-file.l, REL_15_STABLE. There, too, every process reads the file for itself.

import { join } from 'node:path';
import { dataDir } from '../globals.js';
import { CONFIG_FILE_NAME, processConfigFileInternal } from './guc.js';

/**
 * Reads `bgworker.conf` again and applies what may change while the server runs. What is wrong in the file the postmaster has logged already;
 * it is left out here without a word.
 *
 * @param context 'sighup': the only one that a module has a use for
 * @example if (configReload.pending) { configReload.pending = false; processConfigFile('sighup'); }
 * @pg ProcessConfigFile
 */
export function processConfigFile(context: 'sighup'): void {
  processConfigFileInternal(join(dataDir, CONFIG_FILE_NAME), context);
}
