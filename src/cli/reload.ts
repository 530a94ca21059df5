// bgworker reload: has a server read its configuration file again. The command line.
// PostgreSQL: do_reload in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.

import { type DataDirOption, dataDirOf, requirePostmaster, signalPostmaster } from './data-dir-option.js';
import { EXIT_SUCCESS, type Surroundings } from './surroundings.js';

export function reload(options: DataDirOption & { readonly silent: boolean }, surroundings: Surroundings): number {
  signalPostmaster(requirePostmaster(dataDirOf(options, surroundings)), 'SIGHUP', 'reload');
  if (!options.silent) surroundings.out('server signaled\n');
  return EXIT_SUCCESS;
}
