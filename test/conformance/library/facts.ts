// What a worker reports about itself: signal masks, process ids, open descriptors, title, registry entry. Runs in workers.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { BGWORKER_SHMEM_ACCESS, myBgworkerEntry } from 'bgworker';

/** Asked of the kernel: what the process itself believes does not count. */
export function masks(): string {
  const status = readFileSync('/proc/self/status', 'utf8');
  const mask = (field: string): string => `${field}=${new RegExp(`^${field}:\\s*(\\w+)$`, 'm').exec(status)?.[1]}`;
  return `masks ${['SigBlk', 'SigIgn', 'SigCgt'].map(mask).join(' ')}`;
}

export function ids(): string {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const [, parent, group, session] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const { pid } = process;
  const isPostmaster = readTitle(parent as number).includes('postmaster') || parent === postmasterOfLockFile();
  return `ids pgid==pid:${bit(group === pid)} sid==pid:${bit(session === pid)} ppid==PostmasterPid:${bit(isPostmaster)} MyProc:${bit(hasSharedMemory())} IsUnderPostmaster:${bit(myBgworkerEntry !== null)}`;
}

const bit = (value: boolean): number => (value ? 1 : 0);

/** A worker without shared memory access has the mapping removed before its main function runs. */
function hasSharedMemory(): boolean {
  const wanted = ((myBgworkerEntry?.flags ?? 0) & BGWORKER_SHMEM_ACCESS) !== 0;
  const mapped = /^[^\n]*\brw-s\b[^\n]*memfd:/m.test(readFileSync('/proc/self/maps', 'latin1'));
  if (wanted !== mapped) throw new Error(`shared memory is ${mapped ? '' : 'not '}mapped`);
  return mapped;
}

function postmasterOfLockFile(): number {
  const file = process.env['BGWORACLE_LOCK_FILE'];
  return file === undefined ? 0 : Number(readFileSync(file, 'utf8').split('\n')[0]);
}

export function descriptors(): string {
  const fds = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return `${fd}:${readlinkSync(`/proc/self/fd/${fd}`).replace(/^pipe:.*/, 'pipe')}`;
    } catch {
      return null; // the descriptor of this very look at the directory
    }
  });
  const open = fds.filter((fd) => fd !== null);
  return `fds n=${open.length} ${open.join(' ')}`;
}

function readTitle(pid: number | 'self'): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
}

export function title(): string[] {
  return [`cmdline [${readTitle('self')}]`, `comm [${readFileSync('/proc/self/comm', 'utf8').trim()}]`];
}

export function entry(): string {
  if (myBgworkerEntry === null) throw new Error('not a background worker');
  const { name, type, flags, startTime, restartTime, libraryName, functionName, mainArg, notifyPid } = myBgworkerEntry;
  return `entry name=${name} type=${type} flags=${flags} start=${startTime} restart=${restartTime} lib=${libraryName} func=${functionName} arg=${mainArg} notify_is_0=${bit(notifyPid === 0)}`;
}
