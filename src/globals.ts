// What a process is, in variables that any module may read and only start-up code writes.
// PostgreSQL: src/backend/utils/init/globals.c.

/** The kinds of process. The postmaster is not one of its children's kinds, and an application is none at all. */
export type BackendType = 'application' | 'postmaster' | 'startup' | 'background worker' | 'client backend';

/** This process's pid. A live binding: `import { myProcPid } from 'bgworker'` always reads the current value. @pg MyProcPid */
export let myProcPid: number = process.pid;
/** When this process began, in seconds since 1970: with the pid it names the process for good, as the log's session id. */
export let myStartTime: number = Math.floor(Date.now() / 1000);
export let myBackendType: BackendType = 'application';
/** The type as `%b` shows it and as the activity listing has it: a worker's is its `bgw_type`. */
export let myBackendTypeName: string = 'application';
export let postmasterPid = 0;
/** When the postmaster began, in milliseconds since 1970; its children have it by the fork. @pg PgStartTime */
export let pgStartTime = 0;
export let dataDir = '';
/** The directory in which the postmaster was started: `$libdir`, where libraries are looked for. */
export let libDir: string = process.cwd();
/** The client of a session's backend, as the log shows it. No other process has one. */
export interface ProcPort {
  readonly userName: string | null;
  readonly remoteHost: string;
  /** What the process does for its client just now. */
  readonly activity: string;
}
export let myProcPort: ProcPort | null = null;
/** Set while the process is on its way out: nothing may start it again. */
export let procExitInprogress = false;

export function setMyProcPid(pid: number): void {
  myProcPid = pid;
  myStartTime = Math.floor(Date.now() / 1000);
}

export function setMyProcPort(port: ProcPort): void {
  myProcPort = port;
}

export function setMyBackendType(type: BackendType, typeName: string = type): void {
  myBackendType = type;
  myBackendTypeName = typeName;
}

export function setPostmaster(pid: number, dir: string, lib: string): void {
  postmasterPid = pid;
  pgStartTime = Date.now();
  dataDir = dir;
  libDir = lib;
}

export function setProcExitInprogress(): void {
  procExitInprogress = true;
}

/** Is this process a child of a postmaster that is attached to shared memory, and so allowed to register and to wait? */
export function isUnderPostmaster(): boolean {
  return myBackendType === 'background worker' || myBackendType === 'client backend' || myBackendType === 'startup';
}
