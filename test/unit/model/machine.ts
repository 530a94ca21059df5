// A machine to model the latch protocol on, and the search through everything that it can do. For latch-model.test.ts. Pure.
//
// The machine is x86's: total store order. A store goes into its processor's own buffer, which the processor reads first and which drains, oldest first, at
// any later moment; a fence or a system call waits until it is empty. Nothing else is reordered. That is enough to show the one thing that the protocol is
// about, a store and a later load that change places, and with it the lost wake-up where a fence is missing.
//
// SIGURG is sticky: one bit a process, set by kill, taken by its read of its signalfd; sleeping is possible only while it is clear.

const WORDS = ['is_set', 'maybe_sleeping', 'owner', 'work0', 'work1', 'is_set_2', 'maybe_sleeping_2'] as const;
export type Word = (typeof WORDS)[number];

/** What a processor can do in one step. `goto` takes the name of a label; registers are small integers with a name. */
export type Op =
  | { op: 'label'; name: string }
  | { op: 'store'; word: Word; value: number }
  | { op: 'load'; word: Word; reg: string }
  /** Atomics.exchange, a locked instruction: a load, a store and a fence in one. */
  | { op: 'exchange'; word: Word; value: number; reg: string }
  | { op: 'fence' }
  | { op: 'branch'; reg: string; equals: number; to: string }
  | { op: 'goto'; to: string }
  /** To the processor whose number, plus 1, is in the register; 0 is nobody. Without a register: to the first. */
  | { op: 'kill'; reg?: string }
  /** epoll_wait: takes the signal, or sleeps while there is none. */
  | { op: 'sleep' }
  /** epoll_wait with timeout 0 or one that is over: takes the signal if there is one. */
  | { op: 'drain' }
  | { op: 'end' };

export type Program = readonly Op[];

/** All of the machine in one string, so that a state that was seen is known again. */
interface Processor {
  readonly pc: number;
  readonly regs: Readonly<Record<string, number>>;
  readonly buffer: readonly (readonly [Word, number])[];
  /** SIGURG is pending. */
  readonly signal: boolean;
}
interface Machine {
  readonly memory: Readonly<Record<Word, number>>;
  readonly processors: readonly Processor[];
}

const newest = (buffer: Processor['buffer'], word: Word): number | undefined => buffer.findLast(([stored]) => stored === word)?.[1];

function target(program: Program, name: string): number {
  return program.findIndex((op) => op.op === 'label' && op.name === name);
}

/** The processor's next instruction, or null where it has to wait. */
function execute(machine: Machine, program: Program, at: number): Machine | null {
  const self = machine.processors[at] as Processor;
  const op = program[self.pc] as Op;
  const become = (change: Partial<Processor>): Machine => ({
    ...machine,
    processors: machine.processors.map((p, i) => (i === at ? { ...p, pc: p.pc + 1, ...change } : p)),
  });
  switch (op.op) {
    case 'end':
      return null;
    case 'label':
      return become({});
    case 'store':
      return become({ buffer: [...self.buffer, [op.word, op.value]] });
    case 'load':
      return become({ regs: { ...self.regs, [op.reg]: newest(self.buffer, op.word) ?? machine.memory[op.word] } });
    case 'exchange': {
      if (self.buffer.length > 0) return null;
      const done = become({ regs: { ...self.regs, [op.reg]: machine.memory[op.word] } });
      return { ...done, memory: { ...done.memory, [op.word]: op.value } };
    }
    case 'fence':
      return self.buffer.length === 0 ? become({}) : null;
    case 'branch':
      return become(self.regs[op.reg] === op.equals ? { pc: target(program, op.to) } : {});
    case 'goto':
      return become({ pc: target(program, op.to) });
    case 'kill': {
      const to = op.reg === undefined ? 0 : (self.regs[op.reg] as number) - 1;
      const killed = become({});
      return { ...killed, processors: killed.processors.map((p, i) => (i === to ? { ...p, signal: true } : p)) };
    }
    case 'sleep':
      return self.signal ? become({ signal: false }) : null;
    case 'drain':
      return become({ signal: false });
  }
}

/** The oldest store of a buffer reaches memory. */
function drainBuffer(machine: Machine, at: number): Machine | null {
  const [first, ...rest] = (machine.processors[at] as Processor).buffer;
  if (first === undefined) return null;
  return {
    ...machine,
    memory: { ...machine.memory, [first[0]]: first[1] },
    processors: machine.processors.map((p, i) => (i === at ? { ...p, buffer: rest } : p)),
  };
}

export interface Verdict {
  readonly states: number;
  /** Is there a state in which somebody has not reached its end, and nothing can happen any more? 1, else 0. */
  readonly stuck: number;
  /** How it came to the first of them. */
  readonly trace: readonly string[];
}

/** Depth first over all states. Every state from which nothing is possible must have all programs at their end. */
export function explore(programs: readonly Program[], memory: Partial<Record<Word, number>> = {}): Verdict {
  const start: Machine = {
    memory: { ...(Object.fromEntries(WORDS.map((word) => [word, 0])) as Record<Word, number>), ...memory },
    processors: programs.map(() => ({ pc: 0, regs: {}, buffer: [], signal: false })),
  };
  /** Each state that was seen, with the one before it and the step in between. */
  const seen = new Map<string, { readonly from: string; readonly step: string }>([[JSON.stringify(start), { from: '', step: '' }]]);
  const stack = [start];
  let stuck = 0;
  let first = '';
  for (let machine = stack.pop(); machine !== undefined; machine = stack.pop()) {
    const from = JSON.stringify(machine);
    let moves = 0;
    for (const [at, program] of programs.entries()) {
      for (const [what, after] of [
        ['', execute(machine, program, at)],
        ['drain ', drainBuffer(machine, at)],
      ] as const) {
        if (after === null) continue;
        moves++;
        const key = JSON.stringify(after);
        if (seen.has(key)) continue;
        const { pc, buffer } = machine.processors[at] as Processor;
        seen.set(key, { from, step: `${at}: ${what}${JSON.stringify(what === '' ? program[pc] : buffer[0])}` });
        stack.push(after);
      }
    }
    const ended = machine.processors.every((p, at) => programs[at]?.[p.pc]?.op === 'end');
    if (moves > 0 || ended) continue;
    stuck = 1;
    first = from;
    break; // one is enough
  }
  const trace: string[] = [];
  for (let at = seen.get(first); at !== undefined && at.step !== ''; at = seen.get(at.from)) trace.unshift(at.step);
  return { states: seen.size, stuck, trace };
}
