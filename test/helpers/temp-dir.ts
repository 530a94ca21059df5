// Directories for tests, all below the one of the run, which is gone and empty at its end. Runs in the process of a test.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Below which a test makes its directories: the run's own (test/helpers/global-setup.ts), else, outside of vitest, the system's. */
export function tempRoot(): string {
  return process.env['BGWORKER_TEST_TMP'] ?? tmpdir();
}

/**
 * A fresh directory with a short path: sockets live in it, and theirs end at 107 bytes. Others may pass through it (0711), because a database server that
 * root starts runs as somebody else; what it holds is closed or open by itself.
 */
export function makeTempDir(prefix = 't'): string {
  const dir = mkdtempSync(join(tempRoot(), `${prefix}-`));
  chmodSync(dir, 0o711);
  return dir;
}

/** BGWORKER_TEST_KEEP=1 leaves directories for a look at them; the run then fails for what is left. */
export function removeTempDir(dir: string): void {
  if (process.env['BGWORKER_TEST_KEEP'] !== '1') rmSync(dir, { recursive: true, force: true });
}
