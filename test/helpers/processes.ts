// What the kernel says about processes, read from /proc. Runs in the process of the test.
//
// A process can end between two looks at it, so every question has an answer for a process that is gone: null, or nothing in the list.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** As /proc/PID/stat has it: R running, S sleeping, D in the kernel, T stopped, t traced, Z zombie, X dying, I idle thread of the kernel. */
export type ProcessState = 'R' | 'S' | 'D' | 'T' | 't' | 'Z' | 'X' | 'I';

interface Stat {
  readonly state: ProcessState;
  readonly parent: number;
  /** In clock ticks since the machine started: with the pid it names one process for ever, as pids are used again. */
  readonly startTime: number;
}

/** The result of a look at /proc, or null where there is nothing to look at: the process ended (ENOENT, ESRCH), or is someone else's (EACCES, EPERM). */
function look<T>(read: () => T): T | null {
  try {
    return read();
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return null;
    throw err;
  }
}

function statOf(pid: number): Stat | null {
  const text = look(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  if (text === null || text === '') return null;
  // The name stands in parentheses and may contain anything, these included: what follows begins after the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] as ProcessState, parent: Number(fields[1]), startTime: Number(fields[19]) };
}

/** The state of a process, null for one that does not exist (any more). */
export function processState(pid: number): ProcessState | null {
  return statOf(pid)?.state ?? null;
}

/** Does the process run? A zombie does not: it only waits for its parent to ask how it ended. */
export function isAlive(pid: number): boolean {
  const state = processState(pid);
  return state !== null && state !== 'Z' && state !== 'X';
}

/** When the process was born; with its pid this names it for ever. */
export function startTimeOf(pid: number): number | null {
  return statOf(pid)?.startTime ?? null;
}

export function parentOf(pid: number): number | null {
  return statOf(pid)?.parent ?? null;
}

/** Every pid of the machine. */
export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The children of a process, zombies among them, by age. */
export function childrenOf(pid: number): number[] {
  return allPids()
    .map((child) => ({ child, stat: statOf(child) }))
    .filter(({ stat }) => stat?.parent === pid)
    .toSorted((a, b) => (a.stat?.startTime ?? 0) - (b.stat?.startTime ?? 0) || a.child - b.child)
    .map(({ child }) => child);
}

/** The children that a process's main thread has forked, by one look and not by one at each process of the machine. */
export function forkedBy(pid: number): number[] {
  const text = look(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')) ?? '';
  return text.split(' ').filter(Boolean).map(Number);
}

/** A process's children, their children, and so on, parents first. */
export function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** The zombies among a process's children: it forgot to wait for them. */
export function zombiesOf(pid: number): number[] {
  return childrenOf(pid).filter((child) => processState(child) === 'Z');
}

/** Open descriptors and what they are: `pipe:[4711]`, `anon_inode:[eventpoll]`, a path. Empty for a process that is gone. */
export function openFds(pid: number): Map<number, string> {
  const dir = `/proc/${pid}/fd`;
  const fds = look(() => readdirSync(dir).map(Number)) ?? [];
  const entries = fds.toSorted((a, b) => a - b).map((fd) => [fd, look(() => readlinkSync(`${dir}/${fd}`))] as const);
  return new Map(entries.filter((entry): entry is readonly [number, string] => entry[1] !== null));
}

/** The title as ps shows it: the command line, or what the process has written over it. */
export function titleOf(pid: number): string {
  const text = look(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ?? '';
  return text.replace(/\0+$/, '').replaceAll('\0', ' ');
}

/** The environment that a process was started with; what it changed since is not in it. */
export function environOf(pid: number): string[] {
  return (look(() => readFileSync(`/proc/${pid}/environ`, 'utf8')) ?? '').split('\0');
}

/** The directory in which a process is, or null. */
export function cwdOf(pid: number): string | null {
  return look(() => readlinkSync(`/proc/${pid}/cwd`));
}

/** One line about a process, for messages. A zombie that nobody can reap yet has threads left; where these are, says who holds it. */
export function describeProcess(pid: number): string {
  const stat = statOf(pid);
  if (stat === null) return `${pid} (gone)`;
  const line = `${pid} (state ${stat.state}, parent ${stat.parent}) ${titleOf(pid)}`;
  return stat.state === 'Z' ? `${line}${nameOf(pid)}, child of ${titleOf(stat.parent)}; threads: ${threadsOf(pid).join(', ')}` : line;
}

const nameOf = (pid: number): string => (look(() => readFileSync(`/proc/${pid}/comm`, 'utf8')) ?? '').trim();

/** Each thread: its id, name, state, and where in the kernel it sleeps. */
function threadsOf(pid: number): string[] {
  const dir = `/proc/${pid}/task`;
  return (look(() => readdirSync(dir)) ?? []).map((tid) => {
    const read = (file: string): string => (look(() => readFileSync(`${dir}/${tid}/${file}`, 'latin1')) ?? '').trim();
    const state = read('stat').replace(/^.*\) (\w).*$/s, '$1');
    return `${tid} ${read('comm')} ${state} ${read('wchan')}`.trim();
  });
}
