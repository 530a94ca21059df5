// A world for the postmaster's state machine: shared slots, children and a clock, all of them plain numbers.
//
// It performs what the machine asks for, answers its forks, and checks at every action what must hold always, so every test checks that too.
// What happened comes back as lines of text ("fork w", "slot 0 pid 101"), which read like a trace.

import { expect } from 'vitest';
import { levelName } from '../../../src/elog/error-data.js';
import {
  deadline,
  initialState,
  newWorkerId,
  step,
  type Action,
  type ExitStatus,
  type ForkTarget,
  type PostmasterEvent,
  type PostmasterSettings,
  type PostmasterState,
  type RegisteredBgWorker,
  type ShutdownMode,
  type SlotView,
  type WorkerDescriptor,
  type WorkerEntry,
} from '../../../src/postmaster/state.js';
import { expectForkAllowed } from './gates.js';

type WithoutNow<E> = E extends unknown ? Omit<E, 'now'> : never;
export type Told = WithoutNow<PostmasterEvent>;

export const EXIT = (exitCode: number): ExitStatus => ({ exitCode, signal: null });
export const SIGNAL = (signal: number): ExitStatus => ({ exitCode: null, signal });

function moreSevere(asked: ShutdownMode | null, told: Told): ShutdownMode | null {
  const order = [null, 'smart', 'fast', 'immediate'] as const;
  const now = told.type === 'shutdown' ? told.mode : told.type === 'lock file invalid' ? 'immediate' : null;
  return order.indexOf(now) > order.indexOf(asked) ? now : asked;
}

/** By default: shared memory, RecoveryFinished, never restarted. */
export function descriptor(name: string, fields: Partial<WorkerDescriptor> = {}): WorkerDescriptor {
  return { name, type: name, flags: 1, startTime: 2, restartTime: -1, notifyPid: 0, ...fields };
}

interface Slot {
  inUse: boolean;
  terminate: boolean;
  generation: bigint;
  notifyPid: number;
  pid: number;
  descriptor: WorkerDescriptor | null;
}

const emptySlot = (): Slot => ({ inUse: false, terminate: false, generation: 0n, notifyPid: 0, pid: 0, descriptor: null });

export interface WorldOptions extends Partial<PostmasterSettings> {
  /** Head of the list first. */
  readonly workers?: readonly WorkerDescriptor[];
}

export class World {
  state: PostmasterState;
  now = 1000;
  slots: Slot[];
  /** How the next forks end: an errno text, 'no slot', or null for success, which is also the default. */
  forkOutcomes: (string | null)[] = [];
  readonly alive = new Map<number, ForkTarget>();
  readonly published = new Set<number>();
  readonly openConnections = new Set<number>();
  /** The most severe shutdown that was asked for. */
  asked: ShutdownMode | null = null;
  private nextPid = 101;
  private nextConn = 1;
  private trace: string[] = [];

  constructor({ workers = [], ...settings }: WorldOptions = {}) {
    const list: RegisteredBgWorker[] = [];
    for (const each of workers) {
      const slot = list.length;
      list.push({ id: newWorkerId(list), slot, descriptor: each, notifyPid: 0, pid: 0, crashedAt: null, terminate: false });
    }
    const defaults = { maxWorkerProcesses: 8, maxConnections: 100, restartAfterCrash: true, hasDatabase: false, ownedDatabase: false };
    this.state = initialState({ ...defaults, ...settings }, list);
    this.slots = Array.from({ length: this.state.settings.maxWorkerProcesses }, emptySlot);
    this.fillSlots(this.state.workers);
  }

  /** Up to PM_RUN, with everything forked that may. */
  static running(options: WorldOptions = {}): World {
    const world = new World(options);
    world.tell({ type: 'initialised' });
    if (options.hasDatabase === true) world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    expect(world.state.pmState).toBe('PM_RUN');
    return world;
  }

  /** Tell the machine, perform what it asks for, answer its forks until it asks for no more. Returns the trace. */
  tell(told: Told): string[] {
    this.trace = [];
    this.asked = moreSevere(this.asked, told);
    let event: PostmasterEvent | null = { ...told, now: this.now };
    while (event !== null) {
      const before: PostmasterState = this.state;
      const { state, actions } = step(before, event);
      this.state = state;
      event = this.performAll(actions);
      expect(state.forking !== null, 'a fork is outstanding exactly when its answer is due').toBe(
        event?.type === 'forked' || event?.type === 'fork failed',
      );
    }
    this.checkState();
    return this.trace;
  }

  exit(pid: number, status: ExitStatus = EXIT(0), detached = status.signal === null): string[] {
    this.alive.delete(pid);
    return this.tell({ type: 'exited', pid, status, detached });
  }

  /** Several of them dead when the loop looks: one turn, which ends as each does. Those that come first have `more` after them. */
  exitTogether(deaths: readonly { readonly pid: number; readonly status?: ExitStatus }[]): string[] {
    const traces = deaths.map(({ pid, status = EXIT(0) }) => {
      if (this.state.exitStatus !== null) return []; // the end of the postmaster: nobody looks any more
      this.alive.delete(pid);
      return this.tell({ type: 'exited', pid, status, detached: status.signal === null, more: true });
    });
    return [...traces.flat(), ...this.tell({ type: 'timeout' })];
  }

  connect(): string[] {
    this.openConnections.add(this.nextConn);
    return this.tell({ type: 'connection', conn: this.nextConn++ });
  }

  /** A session's backend; its pid. */
  session(): number {
    this.connect();
    const backend = this.state.children.find((child) => child.kind === 'backend');
    if (backend === undefined) throw new Error('no backend was forked');
    return backend.pid;
  }

  timeout(at: number): string[] {
    this.now = at;
    return this.tell({ type: 'timeout' });
  }

  /** P-10, and the signal that follows. */
  register(each: WorkerDescriptor): string[] {
    this.fillSlot(each);
    return this.change();
  }

  fillSlot(each: WorkerDescriptor): number {
    const index = this.slots.findIndex((slot) => !slot.inUse);
    if (index < 0) return -1;
    const generation = this.slots[index]!.generation + 1n;
    this.slots[index] = { inUse: true, terminate: false, generation, notifyPid: each.notifyPid, pid: -1, descriptor: each };
    return index;
  }

  terminate(slot: number): string[] {
    this.slots[slot]!.terminate = true;
    return this.change();
  }

  change(): string[] {
    return this.tell({ type: 'slots', totalSlots: this.slots.length, slots: this.views() });
  }

  views(): SlotView[] {
    const known = new Set(this.state.workers.map(({ slot }) => slot)); // as in slot-views.ts
    const read = this.slots.map((each, slot) => ({ ...each, slot, descriptor: known.has(slot) ? null : each.descriptor }));
    return read.map((each) => ({ ...each, parallel: ((each.descriptor?.flags ?? 0) & 0x10) !== 0 }));
  }

  get deadline(): number | null {
    return deadline(this.state);
  }

  worker(name: string): WorkerEntry {
    const entry = this.state.workers.find((worker) => worker.descriptor.name === name);
    if (entry === undefined) throw new Error(`no worker ${name}`);
    return entry;
  }

  names(): string[] {
    return this.state.workers.map((worker) => worker.descriptor.name);
  }

  private fillSlots(workers: readonly RegisteredBgWorker[]): void {
    this.slots = this.slots.map(emptySlot);
    for (const { slot, descriptor: each } of workers) {
      this.slots[slot] = { inUse: true, terminate: false, generation: 0n, notifyPid: 0, pid: -1, descriptor: each };
    }
  }

  private performAll(actions: readonly Action[]): PostmasterEvent | null {
    let answer: PostmasterEvent | null = null;
    for (const [index, action] of actions.entries()) {
      this.trace.push(this.describe(action));
      if (['fork', 'reinitialise', 'exit'].includes(action.type)) expect(index, `${action.type} stands last`).toBe(actions.length - 1);
      answer = this.perform(action) ?? answer;
    }
    return answer;
  }

  private perform(action: Action): PostmasterEvent | undefined {
    switch (action.type) {
      case 'fork':
        return this.answerFork(action.target);
      case 'set slot pid': {
        const slot = this.slots[action.slot]!;
        expect(slot.inUse, 'only a slot in use is written to').toBe(true);
        if (action.pid !== 0) {
          expect(this.published.has(action.pid), `pid ${action.pid} is published once`).toBe(false);
          this.published.add(action.pid);
        }
        slot.pid = action.pid;
        return undefined;
      }
      case 'set slot terminate':
        this.slots[action.slot]!.terminate = true;
        return undefined;
      case 'free slot':
        expect(this.slots[action.slot]!.inUse, `slot ${action.slot} is freed once`).toBe(true);
        this.slots[action.slot]!.inUse = false;
        return undefined;
      case 'close connection':
      case 'refuse connection':
        expect(this.openConnections.delete(action.conn), 'a connection is answered once').toBe(true);
        return undefined;
      case 'reinitialise':
        expect(this.alive.size, 'nobody is left when shared memory is made anew').toBe(0);
        this.fillSlots(action.workers);
        return { type: 'reinitialised', now: this.now };
      default:
        return undefined;
    }
  }

  private answerFork(target: ForkTarget): PostmasterEvent {
    expectForkAllowed(target, this);
    const outcome = this.forkOutcomes.shift() ?? null;
    if (outcome === 'no slot') return { type: 'fork failed', target, reason: '', noSlot: true, now: this.now };
    if (outcome !== null) return { type: 'fork failed', target, reason: outcome, now: this.now };
    const pid = this.nextPid++;
    this.alive.set(pid, target);
    return { type: 'forked', target, pid, now: this.now };
  }

  private describe(action: Action): string {
    const name = (id: number): string => this.state.workers.find((worker) => worker.id === id)?.descriptor.name ?? `#${id}`;
    switch (action.type) {
      case 'log':
        return `${levelName(action.level)} ${action.code === undefined ? '' : `${action.code} `}${action.message}`;
      case 'fork':
        return `fork ${action.target.kind === 'bgworker' ? name(action.target.id) : action.target.kind}`;
      case 'set slot pid':
        return `slot ${action.slot} pid ${action.pid}`;
      case 'set slot terminate':
        return `slot ${action.slot} terminate`;
      case 'free slot':
        return `free slot ${action.slot}`;
      case 'kill':
        return `${action.signal} ${action.pid}${action.group ? ' and group' : ''}`;
      case 'refuse connection':
        return `refuse ${action.code} ${action.message}`;
      case 'reinitialise':
        return `reinitialise ${action.workers.map((worker) => worker.descriptor.name).join(' ')}`.trim();
      case 'state':
        return action.state;
      case 'stop database':
        return `stop database ${action.mode}`;
      case 'exit':
        return `exit ${action.status}`;
      default:
        return action.type;
    }
  }

  /** What must hold whenever the machine rests. */
  private checkState(): void {
    const { state } = this;
    const slots = state.workers.map((worker) => worker.slot);
    expect(new Set(slots).size, 'no slot belongs to two workers').toBe(slots.length);
    expect(new Set(state.workers.map((worker) => worker.id)).size, 'no id is given twice').toBe(slots.length);
    for (const worker of state.workers) {
      const slot = this.slots[worker.slot]!;
      expect(slot.inUse, 'a registered worker has its slot').toBe(true);
      expect(worker.slotPid, 'the private copy is what the slot says').toBe(slot.pid);
      if (worker.pid !== 0) expect(state.children.some((child) => child.pid === worker.pid && child.workerId === worker.id)).toBe(true);
    }
    expect(
      state.children.map((child) => child.pid).toSorted((a, b) => a - b),
      'children are those that live',
    ).toEqual([...this.alive.keys()].toSorted((a, b) => a - b));
    if (state.pmState === 'PM_NO_CHILDREN') expect(state.exitStatus).not.toBeNull();
    expect(state.pass, 'a pass rests only while a fork is outstanding').toBeNull();
  }
}
