// Libraries: modules that hold workers' main functions, `_PG_init`, and functions that sessions call. The postmaster preloads, children load.
// PostgreSQL: src/backend/utils/fmgr/dfmgr.c (load_external_function, expand_dynamic_library_name), miscinit.c (load_libraries), contract 7.4.

import { realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { checkLibraryPermissions } from './library-permissions.js';
import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INTERNAL_ERROR, ERRCODE_UNDEFINED_FILE, ERRCODE_UNDEFINED_FUNCTION } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { libDir } from '../globals.js';
import { getConfigOption } from '../guc/guc.js';

/** A loaded module: where it is, and what it exports. */
export interface Library {
  readonly path: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

/** The library name of PostgreSQL's built-in functions. None are built in here. */
const BUILT_IN = 'postgres';

// By real path. The postmaster fills it while preloading, so a child finds those at no cost; what a child loads stays its own.
const loaded = new Map<string, Library>();

const SUFFIXES = ['', '.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'];

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The directories of `dynamic_library_path`; `$libdir` is the directory in which the postmaster was started. */
function libraryPath(): string[] {
  const parts = getConfigOption('dynamic_library_path')
    .split(':')
    .filter((part) => part !== '');
  return parts.map((part) => resolve(libDir, part.replace(/^\$libdir(?=\/|$)/, libDir)));
}

function candidates(name: string): string[] {
  const expanded = name.replace(/^\$libdir(?=\/|$)/, libDir);
  const bases = isAbsolute(expanded)
    ? [expanded]
    : /^\.{1,2}(\/|$)/.test(expanded)
      ? [join(libDir, expanded)]
      : libraryPath().map((dir) => join(dir, expanded));
  return bases.flatMap((base) => SUFFIXES.map((suffix) => base + suffix));
}

// A package of node_modules, as `import` would find it from one of the directories.
function packageEntry(name: string): string | undefined {
  if (isAbsolute(name) || name.startsWith('.') || name.startsWith('$')) return undefined;
  for (const dir of libraryPath()) {
    try {
      return createRequire(join(dir, 'noop.js')).resolve(name);
    } catch {
      // not there: the next directory
    }
  }
  return undefined;
}

/** The file that a library name means, links not followed. @throws ErrorData 58P01 where there is none */
function locateLibrary(name: string): string {
  const file = candidates(name).find(isFile) ?? packageEntry(name);
  if (file === undefined || !isAbsolute(file)) {
    throw new ErrorData({
      code: ERRCODE_UNDEFINED_FILE,
      message: `could not access file "${name}": No such file or directory`,
    });
  }
  return file;
}

/** The same, by its real path. */
export function resolveLibrary(name: string): string {
  return realpathSync(locateLibrary(name));
}

async function importModule(name: string, path: string): Promise<Library> {
  let exports: Record<string, unknown>;
  try {
    exports = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (err) {
    const { code, message } = err as NodeJS.ErrnoException;
    const typescript = /^\.[mc]?ts$/.test(extname(path)) && (code === 'ERR_UNKNOWN_FILE_EXTENSION' || code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX');
    throw new ErrorData({
      code: typescript ? ERRCODE_FEATURE_NOT_SUPPORTED : ERRCODE_UNDEFINED_FILE,
      message: `could not load library "${name}": ${message ?? String(err)}`,
      ...(typescript
        ? { hint: `This Node (${process.version}) cannot run this TypeScript by itself: use Node 22.18 or later, or compile the file.` }
        : {}),
      ...(err instanceof Error && !typescript && err.stack !== undefined ? { context: err.stack } : {}),
      cause: err,
    });
  }
  return { path, exports };
}

/**
 * The library of that name, loaded at most once in a process. Its `_PG_init`, where it exports one, runs when it is loaded: in the postmaster
 * for a preloaded module, else in the child that needs it first.
 * @throws ErrorData 58P01 where it is missing or cannot be loaded, 42501 where others may write it
 */
export async function loadLibrary(name: string): Promise<Library> {
  const file = locateLibrary(name);
  const path = realpathSync(file);
  const known = loaded.get(path);
  if (known !== undefined) return known;
  checkLibraryPermissions(name, file);
  const library = await importModule(name, path);
  loaded.set(path, library);
  const init = exportedValue(library, '_PG_init');
  if (typeof init === 'function') await (init as () => unknown)();
  return library;
}

/** The library if it is loaded already, without waiting. */
export function loadedLibrary(name: string): Library | undefined {
  return loaded.get(resolveLibrary(name));
}

// A CommonJS module's functions may be known to `import` only as properties of its default export.
function exportedValue(library: Library, name: string): unknown {
  if (Object.hasOwn(library.exports, name)) return library.exports[name];
  const fallback = library.exports['default'];
  if ((typeof fallback === 'object' && fallback !== null) || typeof fallback === 'function') {
    if (Object.hasOwn(fallback, name)) return (fallback as Record<string, unknown>)[name];
  }
  return undefined;
}

/** An exported function. @throws ErrorData 42883 where there is none of that name */
export function libraryFunction(library: Library, functionName: string): (...args: never[]) => unknown {
  const value = exportedValue(library, functionName);
  if (typeof value === 'function') return value as (...args: never[]) => unknown;
  throw new ErrorData({
    code: ERRCODE_UNDEFINED_FUNCTION,
    message: `could not find function "${functionName}" in file "${library.path}"`,
    ...(value === undefined ? {} : { detail: `"${functionName}" is exported, but it is not a function.` }),
  });
}

/** Loads a library and finds a function in it: what `bgw_library_name` and `bgw_function_name` mean. */
export async function loadExternalFunction(libraryName: string, functionName: string): Promise<(...args: never[]) => unknown> {
  if (libraryName === BUILT_IN) {
    throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: `internal function "${functionName}" not found` });
  }
  return libraryFunction(await loadLibrary(libraryName), functionName);
}

/** Where a function is exported by a loaded module: how a dynamic registration names its `main`. */
export function findExport(fn: unknown): { libraryName: string; functionName: string } | undefined {
  for (const library of loaded.values()) {
    for (const source of [library.exports, library.exports['default']]) {
      if (typeof source !== 'object' || source === null) continue;
      const name = Object.keys(source).find((key) => (source as Record<string, unknown>)[key] === fn);
      if (name !== undefined) return { libraryName: library.path, functionName: name };
    }
  }
  return undefined;
}
