// Where things are. The helpers run from test/helpers under vitest and from build-test/helpers under plain Node: as deep in the checkout, both.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** A compiled module, by its path under dist/. */
export const dist = (path: string): string => join(projectRoot, 'dist', path);

/** A file for tests to load or to start, by its path under test/fixtures/. */
export const fixture = (path: string): string => join(projectRoot, 'test', 'fixtures', path);
