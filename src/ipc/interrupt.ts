// The standard handlers that processes install. A handler does nothing but note what happened and set the latch; whoever waits does the rest.
// PostgreSQL: src/backend/postmaster/interrupt.c, src/backend/storage/ipc/procsignal.c, src/backend/tcop/postgres.c (StatementCancelHandler).

import { ERRCODE_FLOATING_POINT_EXCEPTION } from '../elog/errcodes.js';
import { ERROR } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { myLatch, setLatch } from './latch.js';
import { noteQueryCancel, type SignalHandler } from './signals.js';

/**
 * SIGUSR1 of backends and of workers with the connection flag: sets the process's latch, so that waits for notifications wake.
 * @example pqsignal('SIGUSR1', procsignalSigusr1Handler); // in a worker without the connection flag that waits for others
 * @pg procsignal_sigusr1_handler
 */
export const procsignalSigusr1Handler: SignalHandler = () => setLatch(myLatch);

/** SIGINT of backends and of workers with the connection flag: the wait or statement under way ends with an error (57014). @pg StatementCancelHandler */
export const statementCancelHandler: SignalHandler = () => {
  noteQueryCancel();
  setLatch(myLatch);
};

/** SIGFPE of backends and of workers with the connection flag, where somebody sent it: an error. A real fault ends the process. @pg FloatExceptionHandler */
export const floatExceptionHandler: SignalHandler = () => {
  ereport(ERROR, {
    code: ERRCODE_FLOATING_POINT_EXCEPTION,
    message: 'floating-point exception',
    detail:
      'An invalid floating-point operation was signaled. This probably means an out-of-range result or an invalid operation, such as division by zero.',
  });
};

/** Was SIGHUP received since it was last set to false? @pg ConfigReloadPending */
export const configReload: { pending: boolean } = { pending: false };

/** SIGHUP of a worker that wants to read its settings again: notes it and sets the latch. @pg SignalHandlerForConfigReload */
export const signalHandlerForConfigReload: SignalHandler = () => {
  configReload.pending = true;
  setLatch(myLatch);
};
