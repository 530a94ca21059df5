// The public API: its export list is what this package promises. docs/api.md has each by hand.

// prettier-ignore
export {
  BGWH_NOT_YET_STARTED, BGWH_POSTMASTER_DIED, BGWH_STARTED, BGWH_STOPPED, BGWORKER_BACKEND_DATABASE_CONNECTION, BGWORKER_CLASS_PARALLEL,
  BGWORKER_SHMEM_ACCESS, BGW_DEFAULT_RESTART_INTERVAL, BGW_EXTRALEN, BGW_MAXLEN, BGW_NEVER_RESTART, BgWorkerStart_ConsistentState,
  BgWorkerStart_PostmasterStart, BgWorkerStart_RecoveryFinished,
} from './constants.js';
export { type BackgroundWorker, type BgworkerMain, type Datum, type Descriptor, myBgworkerEntry } from './bgworker/background-worker.js';
export { processSharedPreloadLibrariesInProgress, registerBackgroundWorker, registerDynamicBackgroundWorker } from './bgworker/register.js';
export {
  type BackgroundWorkerHandle,
  type BackgroundWorkerStatus,
  getBackgroundWorkerPid,
  getBackgroundWorkerTypeByPid,
  terminateBackgroundWorker,
  waitForBackgroundWorkerShutdown,
  waitForBackgroundWorkerShutdownSync,
  waitForBackgroundWorkerStartup,
  waitForBackgroundWorkerStartupSync,
} from './bgworker/handle.js';
export {
  BGWORKER_BYPASS_ALLOWCONN,
  BGWORKER_BYPASS_ROLELOGINCHECK,
  backgroundWorkerInitializeConnection,
  backgroundWorkerInitializeConnectionByOid,
  myDatabaseId,
} from './database/connection.js';
export * from './database/spi-codes.js';
export { getDatabaseOid, getRoleOid } from './database/catalog-oid.js';
export * from './database/pg-type.js';
export { spiConnect, spiFinish } from './database/spi-connect.js';
export { type SPIExecuteOptions, type SPIField, type SPIResult, type SPIRunOptions, spiExecute, tableBeginscanCatalog } from './database/spi.js';
export { type CopySource, spiCopyFrom, spiCopyTo } from './database/spi-copy.js';
export {
  CURSOR_OPT_NO_SCROLL,
  CURSOR_OPT_SCROLL,
  type CursorOptions,
  FETCH_ABSOLUTE,
  FETCH_ALL,
  FETCH_BACKWARD,
  FETCH_FORWARD,
  FETCH_RELATIVE,
  type Portal,
  spiCursorClose,
  spiCursorFetch,
  spiCursorFind,
  spiCursorMove,
  spiCursorOpen,
  spiCursorOpenWithArgs,
  spiScrollCursorFetch,
  spiScrollCursorMove,
} from './database/spi-cursor.js';
export { type PGnotify, asyncListen, asyncNotify, asyncUnlisten, asyncUnlistenAll, notifications, pqNotifies } from './database/async-notify.js';
export {
  type SPIPlan,
  spiExecutePlan,
  spiFreeplan,
  spiGetargcount,
  spiGetargtypeid,
  spiIsCursorPlan,
  spiKeepplan,
  spiPrepare,
} from './database/spi-plan.js';
export {
  abortCurrentTransaction,
  beginInternalSubTransaction,
  commitTransactionCommand,
  getCurrentTransactionNestLevel,
  isAbortedTransactionBlockState,
  isTransactionState,
  releaseCurrentSubTransaction,
  rollbackAndReleaseCurrentSubTransaction,
  startTransactionCommand,
} from './database/xact.js';
// prettier-ignore
export {
  DEBUG1, DEBUG2, DEBUG3, DEBUG4, DEBUG5, ERROR, ErrorData, type ErrorFields, FATAL, INFO, LOG, NOTICE, PANIC, WARNING,
} from './elog/error-data.js';
export { elog, ereport } from './elog/elog.js';
export { myProcPid } from './globals.js';
export { getConfigOption } from './guc/guc.js';
export {
  defineCustomBoolVariable,
  defineCustomEnumVariable,
  defineCustomIntVariable,
  defineCustomStringVariable,
  markGUCPrefixReserved,
} from './guc/custom.js';
export { processConfigFile } from './guc/reload.js';
// prettier-ignore
export {
  DSM_CREATE_NULL_IF_MAXSEGMENTS, cancelOnDsmDetach, dsmAttach, dsmCreate, dsmDetach, dsmFindMapping,
  dsmPinMapping, dsmPinSegment, dsmSegmentAddress, dsmSegmentHandle, dsmSegmentMapLength, dsmUnpinMapping, dsmUnpinSegment, onDsmDetach,
} from './ipc/dsm.js';
export type { DsmSegment, OnDsmDetachCallback } from './ipc/dsm-segment.js';
export { getNamedDSMSegment } from './ipc/dsm-registry.js';
export { type ExitCallback, beforeShmemExit, cancelBeforeShmemExit, onProcExit, onShmemExit, procExit } from './ipc/exit.js';
export { configReload, procsignalSigusr1Handler, signalHandlerForConfigReload, statementCancelHandler } from './ipc/interrupt.js';
// prettier-ignore
export {
  type Latch, WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, WL_POSTMASTER_DEATH, WL_TIMEOUT, die, disownLatch, initLatch, initSharedLatch, myLatch, ownLatch,
  resetLatch, setLatch, waitLatch, waitLatchSync,
} from './ipc/latch.js';
export { waitLatchOrSocket, waitLatchOrSocketSync } from './ipc/latch-or-socket.js';
// prettier-ignore
export {
  PGINVALID_SOCKET, WL_SOCKET_CLOSED, WL_SOCKET_CONNECTED, WL_SOCKET_MASK, WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE, type WaitEvent,
  type WaitEventSet, addWaitEventToSet, createWaitEventSet, freeWaitEventSet, getNumRegisteredWaitEvents, modifyWaitEvent, type pgsocket,
  waitEventSetCanReportClosed, waitEventSetWait, waitEventSetWaitSync,
} from './ipc/wait-event-set.js';
export {
  PG_WAIT_CLIENT,
  PG_WAIT_EXTENSION,
  PG_WAIT_IPC,
  PG_WAIT_LWLOCK,
  WAIT_EVENT_BGWORKER_SHUTDOWN,
  WAIT_EVENT_BGWORKER_STARTUP,
  WAIT_EVENT_CLIENT_READ,
  WAIT_EVENT_LIBPQWALRECEIVER_CONNECT,
  WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE,
  WAIT_EVENT_MQ_INTERNAL,
  WAIT_EVENT_MQ_RECEIVE,
  WAIT_EVENT_MQ_SEND,
  pgstatGetWaitEventType,
} from './ipc/wait-event.js';
export { pgstatGetWaitEvent, waitEventExtensionNew } from './ipc/wait-event-custom.js';
export { type BlockingWaitOptions, type WaitOptions } from './ipc/waiters.js';
export {
  type BackendStatus,
  STATE_DISABLED,
  STATE_FASTPATH,
  STATE_IDLE,
  STATE_IDLEINTRANSACTION,
  STATE_IDLEINTRANSACTION_ABORTED,
  STATE_RUNNING,
  STATE_UNDEFINED,
  pgstatReportActivity,
} from './ipc/backend-status.js';
export { setPsDisplay } from './ipc/ps-status.js';
export { postmasterIsAlive } from './ipc/postmaster-death.js';
export { type PGPROC, backendPidGetProc, myProc } from './ipc/proc.js';
// prettier-ignore
export {
  SIG_DFL, SIG_IGN, type SignalHandler, backgroundWorkerBlockSignals, backgroundWorkerUnblockSignals, bgworkerDie, checkForInterrupts,
  holdCancelInterrupts, holdInterrupts, pqsignal, resumeCancelInterrupts, resumeInterrupts, signalCount,
} from './ipc/signals.js';
export { type WorkerChannel, acceptWorkerChannel, openWorkerChannel } from './shm-mq/channel.js';
export { type ShmMqHandle, shmMqAttach, shmMqDetach, shmMqGetQueue, shmMqSetHandle } from './shm-mq/handle.js';
// prettier-ignore
export {
  SHM_MQ_DETACHED, SHM_MQ_SUCCESS, SHM_MQ_WOULD_BLOCK, type ShmMq, shmMqCreate, shmMqGetReceiver, shmMqGetSender, shmMqMinimumSize,
  shmMqSetReceiver, shmMqSetSender,
} from './shm-mq/queue.js';
// prettier-ignore
export {
  type ShmMqReceived, shmMqReceive, shmMqReceiveSync, shmMqSend, shmMqSendSync, shmMqSendv, shmMqSendvSync, shmMqWaitForAttach,
  shmMqWaitForAttachSync,
} from './shm-mq/shm-mq.js';
// prettier-ignore
export {
  type ShmMqReceivedValue, shmMqReceiveValue, shmMqReceiveValueSync, shmMqSendValue, shmMqSendValueSync,
} from './shm-mq/values.js';
// prettier-ignore
export {
  type ShmToc, type ShmTocEstimator, shmTocAllocate, shmTocAttach, shmTocCreate, shmTocEstimate, shmTocEstimateChunk, shmTocEstimateKeys,
  shmTocFreespace, shmTocInitializeEstimator, shmTocInsert, shmTocLookup,
} from './shm-mq/toc.js';
export { type ActivityEntry } from './session/activity.js';
export { type SessionChannel } from './session/channel.js';
export { type Session, type SessionBackgroundWorker, connect } from './session/client.js';
export { type ShmemHook, requestAddinShmemSpace, setShmemRequestHook, setShmemStartupHook } from './ipc/ipci.js';
export { type ShmemBytes, type ShmemStructResult, shmemInitStruct } from './ipc/shmem-index.js';
export * from './shmem/atomics.js';
export { type ShmemRegion } from './shmem/region.js';
export {
  type ShmemArray,
  type ShmemDeclaration,
  type ShmemElementType,
  type ShmemFieldType,
  type ShmemFields,
  type ShmemStruct,
  type ShmemView,
  shmemStruct,
} from './shmem/struct.js';
export { type SharedObject, type ShmemFieldTypes, type ShmemTypeName } from './shmem/struct-types.js';
// prettier-ignore
export {
  LW_EXCLUSIVE, LW_SHARED, type LWLockMode, lwLockAcquire, lwLockAcquireSync, lwLockAnyHeldByMe, lwLockConditionalAcquire, lwLockHeldByMe,
  lwLockHeldByMeInMode, lwLockRelease, lwLockReleaseAll,
} from './ipc/lwlock.js';
export {
  type LWLockVar,
  lwLockAcquireOrWait,
  lwLockAcquireOrWaitSync,
  lwLockReleaseClearVar,
  lwLockUpdateVar,
  lwLockWaitForVar,
  lwLockWaitForVarSync,
} from './ipc/lwlock-var.js';
// prettier-ignore
export {
  type LWLock, addinShmemInitLock, getNamedLWLockTranche, lwLockInitialize, lwLockNewTrancheId, lwLockRegisterTranche,
  requestNamedLWLockTranche,
} from './ipc/lwlock-tranche.js';
// prettier-ignore
export {
  type ConditionVariable, conditionVariableBroadcast, conditionVariableCancelSleep, conditionVariableInit, conditionVariablePrepareToSleep,
  conditionVariableSignal, conditionVariableSleep, conditionVariableSleepSync, conditionVariableTimedSleep,
  conditionVariableTimedSleepSync,
} from './ipc/condition-variable.js';
export * from './ipc/barrier.js';
