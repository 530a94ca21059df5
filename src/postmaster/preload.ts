// Preloading: the modules of `shared_preload_libraries` are loaded once, here, and every child has them. Postmaster, before the first fork.
// PostgreSQL: src/backend/utils/init/miscinit.c (process_shared_preload_libraries, load_libraries), src/backend/utils/adt/varlena.c (SplitDirectoriesString).

import { audited, beginPreloadAudit } from './preload-audit.js';
import type { Descriptor } from '../bgworker/background-worker.js';
import { loadLibrary } from '../bgworker/library.js';
import { beginPreload, endPreload } from '../bgworker/register.js';
import { ERRCODE_SYNTAX_ERROR, ERRCODE_UNDEFINED_FILE } from '../elog/errcodes.js';
import { DEBUG1, ErrorData, LOG, errorFields } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { libDir } from '../globals.js';

/** Names separated by commas; double quotes around one protect commas and blanks, a doubled quote is a quote. null: a syntax error. */
export function splitLibraryList(list: string): string[] | null {
  const names: string[] = [];
  let rest = list.trim();
  while (rest !== '') {
    const match = /^"((?:[^"]|"")*)"\s*(,|$)|^([^",]+?)\s*(,|$)/.exec(rest);
    if (match === null) return null;
    const name = match[1] === undefined ? (match[3] as string) : match[1].replaceAll('""', '"');
    if (name.trim() === '') return null;
    names.push(name);
    rest = rest.slice(match[0].length).trimStart();
    if (rest === '' && (match[2] ?? match[4]) === ',') return null;
  }
  return names;
}

/**
 * Loads every listed module and lets it register its workers. Returns the accepted ones, the last registered first.
 * @throws ErrorData FATAL where a module is missing, cannot be loaded, or its `_PG_init` throws: a server without what it was told to load does not start
 */
export async function processSharedPreloadLibraries(list: string): Promise<readonly Descriptor[]> {
  const names = splitLibraryList(list);
  if (names === null) {
    ereport(LOG, { code: ERRCODE_SYNTAX_ERROR, message: 'invalid list syntax in parameter "shared_preload_libraries"' });
  }
  beginPreload();
  await beginPreloadAudit();
  for (const name of names ?? []) {
    try {
      await audited(name, () => loadLibrary(name));
    } catch (err) {
      const context = `while preloading "${name}"${contextOf(err)}`;
      throw new ErrorData({ ...errorFields(err), ...hintFor(err), severity: 'FATAL', context, cause: err });
    }
    ereport(DEBUG1, { message: `loaded library "${name}"` });
  }
  return endPreload();
}

// Whoever starts a server reads this in a shell, and may not know yet how libraries are named. (A worker's own error has PostgreSQL's words alone.)
function hintFor(err: unknown): { hint?: string } {
  if (!(err instanceof ErrorData) || err.code !== ERRCODE_UNDEFINED_FILE || err.cause !== undefined) return {};
  const hint = `A library is named by an absolute path, by a path that begins with "./" and starts at "${libDir}", or by a name along "dynamic_library_path".`;
  return { hint };
}

function contextOf(err: unknown): string {
  const { context } = errorFields(err);
  return context === undefined ? '' : `\n${context}`;
}
