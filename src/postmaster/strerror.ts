// How a failed fork is explained in the log, as the C library has it. Postmaster.
// PostgreSQL: %m in src/backend/postmaster/postmaster.c's messages.

const STRERROR: Readonly<Record<string, string>> = {
  EAGAIN: 'Resource temporarily unavailable',
  ENOMEM: 'Cannot allocate memory',
  EBUSY: 'another thread of the postmaster did not come to rest',
};

export const strerror = (err: NodeJS.ErrnoException): string => STRERROR[err.code ?? ''] ?? err.message;
