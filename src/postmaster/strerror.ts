// What a system error is called in the postmaster's log: `%m`, as the C library has it. Postmaster. Pure.
// PostgreSQL: %m in src/backend/postmaster/postmaster.c's messages.

const STRERROR: Readonly<Record<string, string>> = {
  EAGAIN: 'Resource temporarily unavailable',
  ENOMEM: 'Cannot allocate memory',
  EMFILE: 'Too many open files',
  ENFILE: 'Too many open files in system',
  ENOBUFS: 'No buffer space available',
  EPERM: 'Operation not permitted',
  EBUSY: 'another thread of the postmaster did not come to rest',
};

export const strerror = (err: NodeJS.ErrnoException): string => STRERROR[err.code ?? ''] ?? err.message;
