// The public API: its export list is what this package promises. docs/api.md has each by hand.

export {
  BGWH_NOT_YET_STARTED,
  BGWH_POSTMASTER_DIED,
  BGWH_STARTED,
  BGWH_STOPPED,
  BGWORKER_BACKEND_DATABASE_CONNECTION,
  BGWORKER_CLASS_PARALLEL,
  BGWORKER_SHMEM_ACCESS,
  BGW_DEFAULT_RESTART_INTERVAL,
  BGW_EXTRALEN,
  BGW_MAXLEN,
  BGW_NEVER_RESTART,
  BgWorkerStart_ConsistentState,
  BgWorkerStart_PostmasterStart,
  BgWorkerStart_RecoveryFinished,
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
export {
  SPI_ERROR_ARGUMENT,
  SPI_ERROR_COPY,
  SPI_ERROR_TRANSACTION,
  SPI_ERROR_UNCONNECTED,
  SPI_OK_CONNECT,
  SPI_OK_DELETE,
  SPI_OK_DELETE_RETURNING,
  SPI_OK_FINISH,
  SPI_OK_INSERT,
  SPI_OK_INSERT_RETURNING,
  SPI_OK_SELECT,
  SPI_OK_SELINTO,
  SPI_OK_UPDATE,
  SPI_OK_UPDATE_RETURNING,
  SPI_OK_UTILITY,
  type SPIExecuteOptions,
  type SPIField,
  type SPIResult,
  abortCurrentTransaction,
  commitTransactionCommand,
  isTransactionState,
  spiConnect,
  spiExecute,
  spiFinish,
  spiResultCodeString,
  startTransactionCommand,
  tableBeginscanCatalog,
} from './database/spi.js';
export {
  DEBUG1,
  DEBUG2,
  DEBUG3,
  DEBUG4,
  DEBUG5,
  ERROR,
  ErrorData,
  type ErrorFields,
  FATAL,
  INFO,
  LOG,
  NOTICE,
  PANIC,
  WARNING,
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
export {
  DSM_CREATE_NULL_IF_MAXSEGMENTS,
  type DsmSegment,
  type OnDsmDetachCallback,
  cancelOnDsmDetach,
  dsmAttach,
  dsmCreate,
  dsmDetach,
  dsmFindMapping,
  dsmPinMapping,
  dsmPinSegment,
  dsmSegmentAddress,
  dsmSegmentHandle,
  dsmSegmentMapLength,
  dsmUnpinMapping,
  dsmUnpinSegment,
  onDsmDetach,
} from './ipc/dsm.js';
export { getNamedDSMSegment } from './ipc/dsm-registry.js';
export { type ExitCallback, beforeShmemExit, onProcExit, onShmemExit, procExit } from './ipc/exit.js';
export { configReload, procsignalSigusr1Handler, signalHandlerForConfigReload, statementCancelHandler } from './ipc/interrupt.js';
export {
  type Latch,
  WL_EXIT_ON_PM_DEATH,
  WL_LATCH_SET,
  WL_POSTMASTER_DEATH,
  WL_TIMEOUT,
  die,
  myLatch,
  resetLatch,
  setLatch,
  waitLatch,
  waitLatchSync,
} from './ipc/latch.js';
export { postmasterIsAlive } from './ipc/postmaster-death.js';
export {
  SIG_DFL,
  SIG_IGN,
  type SignalHandler,
  backgroundWorkerBlockSignals,
  backgroundWorkerUnblockSignals,
  bgworkerDie,
  checkForInterrupts,
  pqsignal,
  signalCount,
} from './ipc/signals.js';
export { type ActivityEntry } from './session/activity.js';
export { type Session, type SessionBackgroundWorker, connect } from './session/client.js';
