// Wait events: numbers for what a process waits for, as others see it in a listing. Every process; native/core/wait_event.c stores them.
// PostgreSQL: src/include/utils/wait_event.h, release 15: a class in the upper byte, an event below. Of its events these are the ones that something here waits for.

/** Waits for a lightweight lock; the event is the lock's tranche. @pg PG_WAIT_LWLOCK */
export const PG_WAIT_LWLOCK = 0x01000000;
/** Waits at a connection: a session's backend for its client, a worker for the database server. @pg PG_WAIT_CLIENT */
export const PG_WAIT_CLIENT = 0x06000000;
/** Waits for whatever a module waits for: what a wait shows that says nothing else. @pg PG_WAIT_EXTENSION */
export const PG_WAIT_EXTENSION = 0x07000000;
/** Waits for another process. @pg PG_WAIT_IPC */
export const PG_WAIT_IPC = 0x08000000;

/** @pg WAIT_EVENT_CLIENT_READ */
export const WAIT_EVENT_CLIENT_READ: number = PG_WAIT_CLIENT;
/** @pg WAIT_EVENT_LIBPQWALRECEIVER_CONNECT */
export const WAIT_EVENT_LIBPQWALRECEIVER_CONNECT: number = PG_WAIT_CLIENT + 3;
/** @pg WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE */
export const WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE: number = PG_WAIT_CLIENT + 4;
/** @pg WAIT_EVENT_BGWORKER_SHUTDOWN */
export const WAIT_EVENT_BGWORKER_SHUTDOWN: number = PG_WAIT_IPC + 5;
/** @pg WAIT_EVENT_BGWORKER_STARTUP */
export const WAIT_EVENT_BGWORKER_STARTUP: number = PG_WAIT_IPC + 6;
/** @pg WAIT_EVENT_MQ_INTERNAL */
export const WAIT_EVENT_MQ_INTERNAL: number = PG_WAIT_IPC + 29;
/** @pg WAIT_EVENT_MQ_RECEIVE */
export const WAIT_EVENT_MQ_RECEIVE: number = PG_WAIT_IPC + 31;
/** @pg WAIT_EVENT_MQ_SEND */
export const WAIT_EVENT_MQ_SEND: number = PG_WAIT_IPC + 32;

const CLASS_MASK = 0xff000000;

/** As pg_stat_activity spells them. */
const CLASSES = new Map([
  [PG_WAIT_LWLOCK, 'LWLock'],
  [PG_WAIT_CLIENT, 'Client'],
  [PG_WAIT_EXTENSION, 'Extension'],
  [PG_WAIT_IPC, 'IPC'],
]);

const EVENTS = new Map([
  [WAIT_EVENT_CLIENT_READ, 'ClientRead'],
  [WAIT_EVENT_LIBPQWALRECEIVER_CONNECT, 'LibPQWalReceiverConnect'],
  [WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE, 'LibPQWalReceiverReceive'],
  [PG_WAIT_EXTENSION, 'Extension'],
  [WAIT_EVENT_BGWORKER_SHUTDOWN, 'BgWorkerShutdown'],
  [WAIT_EVENT_BGWORKER_STARTUP, 'BgWorkerStartup'],
  [WAIT_EVENT_MQ_INTERNAL, 'MessageQueueInternal'],
  [WAIT_EVENT_MQ_RECEIVE, 'MessageQueueReceive'],
  [WAIT_EVENT_MQ_SEND, 'MessageQueueSend'],
]);

export const waitEventClass = (info: number): number => info & CLASS_MASK;

/** What a wait has for its event; anything else is refused: a number that nobody can name would be shown as no wait at all. */
export function checkWaitEventInfo(info: number | undefined): number {
  if (info === undefined) return PG_WAIT_EXTENSION;
  if (!Number.isInteger(info)) throw new TypeError(`waitEventInfo must be PG_WAIT_… or WAIT_EVENT_…, not ${typeof info}`);
  if (info !== 0 && !CLASSES.has(info & CLASS_MASK)) throw new RangeError(`waitEventInfo must be PG_WAIT_… or WAIT_EVENT_…, not ${info}`);
  return info;
}

/** The class of an event, as a listing shows it; null for 0, where nobody waits. @pg pgstat_get_wait_event_type */
export function pgstatGetWaitEventType(waitEventInfo: number): string | null {
  return CLASSES.get(waitEventInfo & CLASS_MASK) ?? null;
}

/** The name of one of the events above. */
export const builtinWaitEvent = (info: number): string | null => EVENTS.get(info) ?? null;
