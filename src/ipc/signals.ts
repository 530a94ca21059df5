// Signals for JavaScript: dispositions, masks, and the safe points at which recorded signals become calls. Any child of the postmaster.
// PostgreSQL: src/backend/libpq/pqsignal.c, src/backend/postmaster/interrupt.c, tcopprot.h (CHECK_FOR_INTERRUPTS).
//
// The C handler records a signal and wakes the process (native/core/signals.c). The JavaScript handler runs at the next safe point: before
// `backgroundWorkerUnblockSignals` returns, when a wait returns, in `checkForInterrupts`, or on the next turn of the event loop; and before anything changes
// that it was delivered under: an action, the mask, a hold.

import { constants } from 'node:os';

import { signalsRecorded } from './own-words.js';
import { ERRCODE_ADMIN_SHUTDOWN, ERRCODE_INTERNAL_ERROR, ERRCODE_QUERY_CANCELED } from '../elog/errcodes.js';
import { ERROR, ErrorData, FATAL, PANIC, WARNING } from '../elog/error-data.js';
import { ereport, prepareLastWords, setLinePrefixHook } from '../elog/elog.js';
import { myBackendType, myBackendTypeName, procExitInprogress } from '../globals.js';
import { check, native } from '../native.js';

/** The default action of the kernel. @pg SIG_DFL */
export const SIG_DFL = 'SIG_DFL';
/** Ignored. @pg SIG_IGN */
export const SIG_IGN = 'SIG_IGN';

/** Called at a safe point, with the signal's number. */
export type SignalHandler = (signo: number) => void;

// native/core/signals.h has the same numbers.
const Disposition = { default: 0, ignore: 1, record: 2, die: 3, crashExit: 4 } as const;

const handlers = new Map<number, SignalHandler>();

function signalNumber(signal: number | NodeJS.Signals): number {
  const signo = typeof signal === 'number' ? signal : constants.signals[signal];
  if (!Number.isInteger(signo) || signo < 1 || signo > 31) throw new RangeError(`signal must be 1 to 31 or a signal's name, not ${String(signal)}`);
  return signo;
}

/**
 * Chooses what a signal does to this process. A safe point: handlers of what was delivered before have run when the choice changes.
 *
 * Of this and `process.on` for the same signal, the later decides: the first listener that is added to a signal takes it from the handler chosen here, and
 * the removal of the last one gives it back; a call of this function takes it from the listeners, which are called no more. Listeners run on turns of the
 * event loop only, and end no wait.
 *
 * @param signal a number (1 to 31) or a name such as 'SIGTERM'
 * @param handler a function, called at the next safe point after the signal was delivered, once for several deliveries; or SIG_IGN; or
 * SIG_DFL; or {@link die}, {@link bgworkerDie}
 * @throws RangeError for what is not a signal
 * @example pqsignal('SIGHUP', () => { reloadPending = true; setLatch(myLatch); });
 * @pg pqsignal
 */
export function pqsignal(signal: number | NodeJS.Signals, handler: SignalHandler | typeof SIG_DFL | typeof SIG_IGN): void {
  const signo = signalNumber(signal);
  if (typeof handler !== 'function' && handler !== SIG_IGN && handler !== SIG_DFL) {
    throw new TypeError(`handler must be a function, SIG_IGN or SIG_DFL, not ${String(handler)}`);
  }
  processSignals();
  handlers.delete(signo);
  if (handler === SIG_DFL) check(native.signal(signo, Disposition.default), 'sigaction');
  else if (handler === SIG_IGN) check(native.signal(signo, Disposition.ignore), 'sigaction');
  else if (handler === bgworkerDie) {
    handlers.set(signo, dieInOrder); // called only where exit callbacks are to run
    check(native.signal(signo, Disposition.die), 'sigaction');
  } else if (handler === signalHandlerForCrashExit) check(native.signal(signo, Disposition.crashExit), 'sigaction');
  else {
    handlers.set(signo, handler);
    check(native.signal(signo, Disposition.record), 'sigaction');
  }
}

/**
 * In a fresh child: the handlers of the parent are not ours. Nor are listeners that were added while preloading: Node takes them for installed, and they
 * would keep later ones from being so.
 */
export function forgetSignalHandlers(): void {
  handlers.clear();
  for (const name of process.eventNames()) if (name in constants.signals) process.removeAllListeners(name);
  cancelHoldoffCount = 0;
  interruptWaiters.clear();
  dyingByDefault = false;
  procDiePending = false;
  queryCancelPending = false;
}

/** How often a signal was delivered to this process since its birth. Deliveries that the kernel merged count once. */
export function signalCount(signal: number | NodeJS.Signals): number {
  return native.signalCount(signalNumber(signal));
}

/**
 * The default action of SIGTERM in a worker: PostgreSQL's FATAL line and status 1, whatever the worker is doing. Without exit callbacks in JavaScript
 * the process leaves at once, from inside the signal handler. With some (a database connection registers one) it leaves at the next safe point and
 * runs them; where none comes within a tenth of a second, it leaves without. What must be released in shared memory is in any case.
 *
 * A query that is waited for is cancelled first. Where the process leaves from inside the signal handler it is not: the database server's process for
 * it goes on, holding its locks, until the server finds the connection closed: within a second (its setting `client_connection_check_interval`), or
 * before release 14 when the query ends.
 * @pg bgworker_die
 */
export const bgworkerDie: SignalHandler = () => undefined;

/** The default action, and SIGTERM of a session, at a safe point. From here on a second SIGTERM changes nothing. */
export const dieInOrder: SignalHandler = () => {
  native.disarmDie();
  dyingByDefault = true;
  noteProcDie();
  leaveIfDying();
};

// Who waits for a server ends that first, and us with it.
export function leaveIfDying(): void {
  if (dyingByDefault && interruptWaiters.size === 0) processInterrupts();
}

/** The action of SIGQUIT: `_exit(2)` at once. @pg SignalHandlerForCrashExit */
export const signalHandlerForCrashExit: SignalHandler = () => undefined;

/**
 * What the ways out say on which no JavaScript runs, where it is logged at all: the default SIGTERM action, a session's SIGQUIT that the postmaster has not sent,
 * and a spinlock that somebody has written over.
 * Again after the worker's type changed; after the log's prefix changed it is called by itself.
 */
export function armLastWords(): void {
  setLinePrefixHook(armLastWords);
  prepareLastWords('terminated', ERRCODE_ADMIN_SHUTDOWN, terminationMessage());
  if (myBackendType === 'client backend') prepareLastWords('unexpectedQuit', ERRCODE_ADMIN_SHUTDOWN, UNEXPECTED_QUIT, WARNING);
  // C names the line that spins, too.
  prepareLastWords('stuckSpinlock', ERRCODE_INTERNAL_ERROR, 'stuck spinlock detected', PANIC);
}

/** What a session and the log are told where nobody knows who sent the SIGQUIT. */
export const UNEXPECTED_QUIT = 'terminating connection because of unexpected SIGQUIT signal';

function terminationMessage(): string {
  return myBackendType === 'background worker'
    ? `terminating background worker "${myBackendTypeName}" due to administrator command`
    : 'terminating connection due to administrator command';
}

/** Has {@link noteProcDie} noted a SIGTERM that nobody has acted on? C: ProcDiePending. */
export let procDiePending = false;
/** Has {@link noteQueryCancel} noted a SIGINT that nobody has acted on? C: QueryCancelPending. */
export let queryCancelPending = false;

/** Unlike {@link die}, the default action does not rely on a worker that checks: it may never do so. */
let dyingByDefault = false;

const interruptWaiters = new Set<() => void>();

/**
 * For who waits for something that neither a latch nor a signal ends, such as a server's answer: is called when an interrupt becomes pending, and when the
 * postmaster has died; perhaps more than once. It sees to it that the wait ends; whoever waited then calls {@link checkForInterrupts}.
 * @returns the function that takes it back
 */
export function onInterrupt(waiter: () => void): () => void {
  interruptWaiters.add(waiter);
  return () => {
    interruptWaiters.delete(waiter);
    leaveIfDying();
  };
}

export function wakeInterruptWaiters(): void {
  for (const waiter of interruptWaiters) waiter();
}

/** What the standard SIGINT handler notes; {@link checkForInterrupts} acts on it. */
export function noteQueryCancel(): void {
  queryCancelPending = true;
  wakeInterruptWaiters();
}

/**
 * A handler for SIGTERM that only notes the request; {@link checkForInterrupts} acts on it. The worker also wants its latch set, so that a
 * wait ends: see `die` as the latch module exports it.
 */
export function noteProcDie(): void {
  procDiePending = true;
  wakeInterruptWaiters();
}

/**
 * Runs the handlers of what was recorded. A safe point. The highest signal comes first: the kernel delivers pending signals from the lowest up, and
 * each delivery interrupts the handler of the one before, so that this is the order in which C's handlers run.
 */
export function processSignals(): void {
  // Most of the time there is nothing, and this is asked often: the question is no call into C.
  const failures = signalsRecorded() ? runHandlers(native.takeRecorded()) : null;
  leaveIfDying(); // where it was held when it was noted
  if (failures !== null && failures.length > 0) throw failures[0];
}

function runHandlers(recorded: number): unknown[] {
  const failures: unknown[] = [];
  for (let signo = 31; signo > 0; signo--) {
    if ((recorded & (1 << (signo - 1))) === 0) continue;
    try {
      handlers.get(signo)?.(signo);
    } catch (err) {
      failures.push(err); // the others were recorded, too, and are not recorded again
    }
  }
  return failures;
}

// What was noted is acted on, unless it is held. A SIGTERM makes a cancellation pointless. C: ProcessInterrupts.
function processInterrupts(): void {
  if (procExitInprogress || native.interruptHoldoffCount() > 0) return;
  if (procDiePending) {
    procDiePending = queryCancelPending = false;
    ereport(FATAL, { code: ERRCODE_ADMIN_SHUTDOWN, message: terminationMessage() });
  }
  if (queryCancelPending && cancelHoldoffCount === 0) {
    queryCancelPending = false;
    ereport(ERROR, { code: ERRCODE_QUERY_CANCELED, message: 'canceling statement due to user request' });
  }
}

/**
 * A safe point that a long computation offers: runs the handlers of pending signals, ends the process (FATAL 57P01) where {@link die}
 * noted a SIGTERM, and throws (57014) where `statementCancelHandler` noted a SIGINT. What is held stays noted: see {@link holdInterrupts}.
 * @throws ErrorData 57014
 * @example for (const row of rows) { checkForInterrupts(); work(row); }
 * @pg CHECK_FOR_INTERRUPTS
 */
export function checkForInterrupts(): void {
  processSignals();
  processInterrupts();
}

/**
 * From here to the matching {@link resumeInterrupts} nothing that was noted is acted on: handlers run at safe points as ever, but neither does the process end
 * by SIGTERM, nor is a statement cancelled. Calls nest. For a stretch that must not be left half done; keep it short, since the postmaster waits.
 *
 * DIFFERS FROM POSTGRES: the default SIGTERM action of a worker is held, too (C's `bgworker_die` ends it in the middle). And an error does not reset the
 * count, since it may be one that nobody reports: resume in `finally`.
 * @example
 * holdInterrupts();
 * try { moveBoth(); } finally { resumeInterrupts(); }
 * @pg HOLD_INTERRUPTS
 */
export function holdInterrupts(): void {
  native.holdInterrupts();
}

/**
 * Ends what {@link holdInterrupts} began. At the last one a SIGTERM under its default action that came meanwhile ends the process; what `die` or
 * `statementCancelHandler` noted waits for the next {@link checkForInterrupts}.
 * @throws ErrorData XX000 where interrupts are not held
 * @pg RESUME_INTERRUPTS
 */
export function resumeInterrupts(): void {
  const count = native.interruptHoldoffCount();
  if (count === 0) throw notHeld('interrupts');
  if (count === 1) processSignals(); // what they note is acted on below, in order, where C would leave from inside the handler
  native.resumeInterrupts();
  leaveIfDying();
}

let cancelHoldoffCount = 0;

/**
 * As {@link holdInterrupts}, for the cancellation of statements (SIGINT) alone: SIGTERM still ends the process.
 * @example
 * holdCancelInterrupts();
 * try { readWholeMessage(); } finally { resumeCancelInterrupts(); }
 * @pg HOLD_CANCEL_INTERRUPTS
 */
export function holdCancelInterrupts(): void {
  cancelHoldoffCount++;
}

/** Ends what {@link holdCancelInterrupts} began. @throws ErrorData XX000 where they are not held @pg RESUME_CANCEL_INTERRUPTS */
export function resumeCancelInterrupts(): void {
  if (cancelHoldoffCount === 0) throw notHeld('cancel interrupts');
  cancelHoldoffCount--;
}

function notHeld(what: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: `${what} are not held`, hint: 'Each resume needs a hold before it.' });
}

/**
 * Blocks all signals but those that report faults, SIGCONT and SIGQUIT. Signals that arrive stay pending. A plain assignment: calls do not nest.
 * Handlers of what was delivered before have run when it returns.
 * @pg BackgroundWorkerBlockSignals
 */
export function backgroundWorkerBlockSignals(): void {
  native.blockSignals();
  processSignals();
}

/**
 * Unblocks signals. A worker begins with signals blocked and must call this once its handlers are set; without it SIGTERM cannot stop it.
 * Handlers of signals that were pending have run when it returns.
 * @example pqsignal('SIGHUP', onReload); backgroundWorkerUnblockSignals();
 * @pg BackgroundWorkerUnblockSignals
 */
export function backgroundWorkerUnblockSignals(): void {
  native.unblockSignals();
  processSignals();
}
