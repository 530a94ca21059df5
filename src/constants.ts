// The constants of background workers, with C's names and values. PostgreSQL: src/include/postmaster/bgworker.h, REL_15_STABLE.

/** Asks for shared memory access. @pg BGWORKER_SHMEM_ACCESS */
export const BGWORKER_SHMEM_ACCESS = 0x0001;
/** Asks for the ability to connect to a database later. Needs BGWORKER_SHMEM_ACCESS. @pg BGWORKER_BACKEND_DATABASE_CONNECTION */
export const BGWORKER_BACKEND_DATABASE_CONNECTION = 0x0002;
/** Counts against `max_parallel_workers`. May not be configured for restart. @pg BGWORKER_CLASS_PARALLEL */
export const BGWORKER_CLASS_PARALLEL = 0x0010;

/** Start as soon as the postmaster itself is initialised. @pg BgWorkerStart_PostmasterStart */
export const BgWorkerStart_PostmasterStart = 0;
/** Start once the database is consistent: hot standby, or read-write. @pg BgWorkerStart_ConsistentState */
export const BgWorkerStart_ConsistentState = 1;
/** Start once the database is in normal read-write state. @pg BgWorkerStart_RecoveryFinished */
export const BgWorkerStart_RecoveryFinished = 2;

/** Restart time of a worker that is not started again. @pg BGW_NEVER_RESTART */
export const BGW_NEVER_RESTART = -1;
/** Seconds; a convenience that nothing applies by itself. @pg BGW_DEFAULT_RESTART_INTERVAL */
export const BGW_DEFAULT_RESTART_INTERVAL = 60;
/** Bytes of a name, its terminating NUL included: 95 can be used. @pg BGW_MAXLEN */
export const BGW_MAXLEN = 96;
/** Bytes of `extra`. @pg BGW_EXTRALEN */
export const BGW_EXTRALEN = 128;
/** Bytes of a library name, NUL included, as since release 17: module paths are longer than 95 bytes. @pg MAXPGPATH */
export const MAXPGPATH = 1024;
/** Ours. Bytes of the limits of a worker's resources, NUL included. */
export const RLIMITS_SIZE = 256;
/** Slot value of a worker that is registered and has not been started. @pg InvalidPid */
export const InvalidPid = -1;

/** The worker is running. @pg BGWH_STARTED */
export const BGWH_STARTED = 0;
/** The postmaster has not started it yet. @pg BGWH_NOT_YET_STARTED */
export const BGWH_NOT_YET_STARTED = 1;
/** It was started and is not running: finished, waiting for its restart, or unregistered. @pg BGWH_STOPPED */
export const BGWH_STOPPED = 2;
/** The postmaster is gone, and nothing is known of the worker. @pg BGWH_POSTMASTER_DIED */
export const BGWH_POSTMASTER_DIED = 3;

/** The longest restart interval that is accepted, in seconds (a mix-up of units that is now behaviour, R-08). */
export const MAX_RESTART_TIME = 86_400_000;
