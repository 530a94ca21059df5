// What waitpid reports, taken apart. Pure. PostgreSQL: <sys/wait.h>, src/common/wait_error.c.

/** One of the two is set; neither for what is no end (a stop). */
export interface ChildExit {
  readonly exitCode: number | null;
  readonly signal: number | null;
}

/** WIFEXITED and WEXITSTATUS, WIFSIGNALED and WTERMSIG. */
export function decodeWaitStatus(status: number): ChildExit {
  const low = status & 0x7f;
  if (low === 0) return { exitCode: (status >> 8) & 0xff, signal: null };
  if (low !== 0x7f) return { exitCode: null, signal: low };
  return { exitCode: null, signal: null };
}
