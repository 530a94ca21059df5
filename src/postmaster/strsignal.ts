// How a signal is called in the line about a process that died of it: the C library's strsignal(), English, Linux. Any process; pure.
// PostgreSQL: pg_strsignal, src/port/pgstrsignal.c, REL_15_STABLE.

/** By number, from 1, on x86-64 and arm64, which agree. */
const NAMES: readonly string[] = [
  'Hangup',
  'Interrupt',
  'Quit',
  'Illegal instruction',
  'Trace/breakpoint trap',
  'Aborted',
  'Bus error',
  'Floating point exception',
  'Killed',
  'User defined signal 1',
  'Segmentation fault',
  'User defined signal 2',
  'Broken pipe',
  'Alarm clock',
  'Terminated',
  'Stack fault',
  'Child exited',
  'Continued',
  'Stopped (signal)',
  'Stopped',
  'Stopped (tty input)',
  'Stopped (tty output)',
  'Urgent I/O condition',
  'CPU time limit exceeded',
  'File size limit exceeded',
  'Virtual timer expired',
  'Profiling timer expired',
  'Window changed',
  'I/O possible',
  'Power failure',
  'Bad system call',
];

/** glibc keeps 32 and 33 for itself, so SIGRTMIN is 34. */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

export function strsignal(signal: number): string {
  if (signal >= SIGRTMIN && signal <= SIGRTMAX) return `Real-time signal ${signal - SIGRTMIN}`;
  return NAMES[signal - 1] ?? `Unknown signal ${signal}`;
}
