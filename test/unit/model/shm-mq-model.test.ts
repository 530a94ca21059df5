// The protocol of message queues (src/shm-mq/ring.ts, native/core/shm_mq.c), gone through in every interleaving: one sender and one receiver, a ring of two
// cells, a message a cell; each of them leaving on purpose, when it has had enough, or from inside a signal handler between any two of its steps.
//
// The machine is weaker than x86: a plain store (a message's bytes) goes into its processor's own buffer and drains from it in any order at any later moment. A
// store by Atomics waits until the buffer is empty and is seen at once, which is what sequential consistency gives on every processor. Loads are not
// reordered: a load by Atomics is an acquire, and the data are read after it.
//
// A latch is one word here: set, wait while it is clear, reset. That it is no weaker than this is what latch-model.test.ts shows.
import { expect, test } from 'vitest';

interface Machine {
  readonly memory: Readonly<Record<string, number>>;
  readonly processors: readonly Processor[];
}
interface Processor {
  readonly pc: number;
  readonly regs: Readonly<Record<string, number>>;
  readonly buffer: readonly (readonly [string, number])[];
  readonly received: readonly number[];
  readonly ended: string;
}

/** What one step may do; `null` from `run`: it cannot be taken now. */
type Step = (self: Processor, memory: Readonly<Record<string, number>>) => Partial<Processor & { stored: readonly [string, number] }> | null;
type Program = readonly { readonly label?: string; readonly step: Step }[];

const CELLS = 2;
const next = (count: number): number => (count + 1) % (2 * CELLS);
const distance = (from: number, to: number): number => (to - from + 2 * CELLS) % (2 * CELLS);

/** What can be wrong with the protocol: each must be found. */
interface Variant {
  /** Store the count before the data. */
  readonly countFirst?: boolean;
  /** Store the count like data. */
  readonly plainCount?: boolean;
  /** Say that we leave before we say what we wrote. */
  readonly flagFirst?: boolean;
  /** Believe the flag without another look at the count. */
  readonly noSecondLook?: boolean;
  /** Look, then reset the latch, then wait. */
  readonly resetBeforeWait?: boolean;
  /** Give the cell back before it is read. */
  readonly giveBackFirst?: boolean;
  /** Leave without waking anybody. */
  readonly noWake?: boolean;
  /** Sleep without publishing what was consumed. */
  readonly keepsConsumed?: boolean;
}

class Builder {
  readonly program: { label?: string; step: Step }[] = [];
  #label: string | undefined;
  label(name: string): this {
    this.#label = name;
    return this;
  }
  step(step: Step): this {
    this.program.push(this.#label === undefined ? { step } : { label: this.#label, step });
    this.#label = undefined;
    return this;
  }
  /** By Atomics. */
  store(word: string, value: (regs: Processor['regs']) => number): this {
    return this.step(({ buffer, regs }) => (buffer.length > 0 ? null : { stored: [word, value(regs)] }));
  }
  plain(word: (regs: Processor['regs']) => string, value: (regs: Processor['regs']) => number): this {
    return this.step(({ buffer, regs }) => ({ buffer: [...buffer, [word(regs), value(regs)]] }));
  }
  load(word: string | ((regs: Processor['regs']) => string), reg: string): this {
    return this.step(({ regs, buffer }, memory) => {
      const name = typeof word === 'string' ? word : word(regs);
      const own = buffer.findLast(([stored]) => stored === name)?.[1];
      return { regs: { ...regs, [reg]: own ?? (memory[name] as number) } };
    });
  }
  set(regs: (regs: Processor['regs']) => Processor['regs']): this {
    return this.step((self) => ({ regs: regs(self.regs) }));
  }
  when(condition: (regs: Processor['regs']) => boolean, to: string): this {
    return this.step((self) => (condition(self.regs) ? { pc: this.at(to) } : {}));
  }
  goto(to: string): this {
    return this.when(() => true, to);
  }
  waitLatch(word: string, resetFirst: boolean | undefined): this {
    const wait = (): this => this.step((_, memory) => (memory[word] === 1 ? {} : null));
    const reset = (): this => this.store(word, () => 0);
    return resetFirst === true ? (reset(), wait()) : (wait(), reset());
  }
  end(why: string): this {
    return this.step(() => ({ ended: why }));
  }
  at(name: string): number {
    return this.program.findIndex(({ label }) => label === name);
  }
}

const r = (name: string) => (regs: Processor['regs']) => regs[name] as number;

/**
 * Sends `count` messages, 1 and up, and leaves. `flush`: publishes each; else when the ring is full, and when it leaves. `looks`: it sees at once, between two messages,
 * that the other has left; else not before it has to wait. The look between messages is a plain load, which may see anything in between.
 */
function sender(count: number, flush: boolean, v: Variant, looks = true): Program {
  const b = new Builder();
  const publish = (): void => {
    if (v.plainCount === true) b.plain(() => 'written', r('w'));
    else b.store('written', r('w'));
    b.store('latchR', () => 1);
    b.set((regs) => ({ ...regs, told: regs['w'] as number }));
  };
  b.set(() => ({ w: 0, n: 1, told: 0 }));
  b.label('try').load('read', 'r');
  b.when((regs) => distance(r('r')(regs), r('w')(regs)) === CELLS, 'full');
  const data = (): Builder =>
    b.plain(
      (regs) => `cell${r('n')(regs) % 2}`,
      (regs) => r('n')(regs),
    );
  if (v.countFirst !== true) data();
  b.set((regs) => ({ ...regs, w: next(r('w')(regs)) }));
  if (flush) publish();
  if (v.countFirst === true) data();
  if (looks) b.load('detached', 'd').when((regs) => regs['d'] === 1, 'gone');
  b.set((regs) => ({ ...regs, n: r('n')(regs) + 1 })).when((regs) => r('n')(regs) <= count, 'try');
  if (v.flagFirst === true) b.store('detached', () => 1);
  b.when((regs) => regs['w'] === regs['told'], 'leave');
  publish();
  b.label('leave').store('detached', () => 1);
  if (v.noWake !== true) b.store('latchR', () => 1);
  b.end('sent');
  b.label('full').when((regs) => regs['w'] === regs['told'], 'told');
  publish();
  b.label('told')
    .load('detached', 'd')
    .when((regs) => regs['d'] === 1, 'gone');
  b.waitLatch('latchS', v.resetBeforeWait).goto('try');
  b.label('gone').end('gone');
  return b.program;
}

/** Receives until the sender has left, or `enough` messages, and then leaves. `eager`: gives each cell back at once; else before it sleeps. */
function receiver(enough: number, eager: boolean, v: Variant): Program {
  const b = new Builder();
  const giveBack = (): void => {
    b.store('read', r('r'));
    b.store('latchS', () => 1);
    b.set((regs) => ({ ...regs, told: regs['r'] as number }));
  };
  b.set(() => ({ r: 0, n: 0, told: 0 }));
  b.label('try').load('written', 'w');
  b.when((regs) => regs['w'] !== regs['r'], 'there');
  b.load('detached', 'd').when((regs) => regs['d'] === 0, 'nothing');
  if (v.noSecondLook !== true) b.load('written', 'w').when((regs) => regs['w'] !== regs['r'], 'there');
  b.end('gone');
  b.label('nothing').when((regs) => regs['r'] === regs['told'], 'wait');
  if (v.keepsConsumed !== true) giveBack();
  b.label('wait').waitLatch('latchR', v.resetBeforeWait).goto('try');
  b.label('there').set((regs) => ({ ...regs, r: next(r('r')(regs)), n: r('n')(regs) + 1 }));
  if (v.giveBackFirst === true) giveBack();
  b.load((regs) => `cell${r('n')(regs) % 2}`, 'm');
  b.step(({ received, regs }) => ({ received: [...received, regs['m'] as number] }));
  if (eager) giveBack();
  b.when((regs) => r('n')(regs) < enough, 'try');
  b.store('detached', () => 1).store('latchS', () => 1);
  b.end('enough');
  return b.program;
}

/** The way out from inside a handler: what is in the buffer drains by itself. */
function leave(wakes: string): Program {
  return new Builder()
    .store('detached', () => 1)
    .store(wakes, () => 1)
    .end('ended').program;
}

interface Verdict {
  readonly states: number;
  readonly stuck: number;
  readonly endings: ReadonlySet<string>;
}

/** Depth first over all states. `handlers`: what a processor may turn to at any step, once. */
function explore(programs: readonly Program[], handlers: readonly (Program | null)[] = [null, null]): Verdict {
  const blank: Processor = { pc: 0, regs: {}, buffer: [], received: [], ended: '' };
  const start: Machine = {
    memory: { written: 0, read: 0, detached: 0, latchR: 0, latchS: 0, cell0: 0, cell1: 0 },
    processors: programs.map(() => blank),
  };
  const all = programs.map((program, i) => [...program, ...(handlers[i] ?? [])]);
  const seen = new Set<string>([JSON.stringify(start)]);
  const stack = [start];
  const endings = new Set<string>();
  let stuck = 0;
  for (let machine = stack.pop(); machine !== undefined; machine = stack.pop()) {
    const { memory, processors } = machine;
    const after: Machine[] = [];
    const become = (at: number, change: Partial<Processor>, changed: Readonly<Record<string, number>> = memory): void =>
      void after.push({ memory: changed, processors: processors.map((p, i) => (i === at ? { ...p, ...change } : p)) });
    processors.forEach((self, at) => {
      self.buffer.forEach(([word, value], i) => {
        // Of several stores to one word the oldest drains first.
        if (self.buffer.findIndex(([other]) => other === word) === i)
          become(at, { buffer: self.buffer.toSpliced(i, 1) }, { ...memory, [word]: value });
      });
      if (self.ended !== '') return;
      const length = programs[at]?.length ?? 0;
      if (handlers[at] !== null && self.pc < length) become(at, { pc: length });
      const result = (all[at] as Program)[self.pc]?.step(self, memory) ?? null;
      if (result === null) return;
      const { stored, ...change } = result;
      become(at, { pc: self.pc + 1, ...change }, stored === undefined ? memory : { ...memory, [stored[0]]: stored[1] });
    });
    if (after.length === 0) {
      if (processors.every(({ ended }) => ended !== ''))
        endings.add(processors.map(({ ended, received }) => [ended, ...received].join(' ')).join(' | '));
      else stuck++;
    }
    for (const state of after) {
      const key = JSON.stringify(state);
      if (seen.has(key)) continue;
      seen.add(key);
      stack.push(state);
    }
  }
  return { states: seen.size, stuck, endings };
}

const FOREVER = 99;
const BOTH = [true, false];
const ways = BOTH.flatMap((flush) => BOTH.flatMap((eager) => BOTH.map((looks) => [flush, eager, looks] as const)));

test.each(ways)('M-23: flushing %s, giving back at once %s, looking %s: every message arrives, in order, and both end', (flush, eager, looks) => {
  const { states, stuck, endings } = explore([sender(4, flush, {}, looks), receiver(FOREVER, eager, {})]);
  expect(stuck).toBe(0);
  expect([...endings]).toEqual(['sent | gone 1 2 3 4']);
  expect(states).toBeGreaterThan(100);
});

test.each(ways)('flushing %s, giving back at once %s, looking %s: a receiver that has had enough is missed', (flush, eager, looks) => {
  const { stuck, endings } = explore([sender(4, flush, {}, looks), receiver(1, eager, {})]);
  expect(stuck).toBe(0);
  for (const ending of endings) expect(ending).toMatch(/^(sent|gone) \| (enough 1|gone)$/);
  expect([...endings].some((ending) => ending.startsWith('gone'))).toBe(true);
});

test.each(ways)(
  'flushing %s, giving back at once %s, looking %s: whoever leaves from inside a handler, at any step, is missed',
  (flush, eager, looks) => {
    const senderLeaves = explore([sender(3, flush, {}, looks), receiver(FOREVER, eager, {})], [leave('latchR'), null]);
    expect(senderLeaves.stuck).toBe(0);
    for (const ending of senderLeaves.endings) expect(ending).toMatch(/^(sent|ended) \| gone( 1( 2( 3)?)?)?$/);
    const receiverLeaves = explore([sender(3, flush, {}, looks), receiver(FOREVER, eager, {})], [null, leave('latchS')]);
    expect(receiverLeaves.stuck).toBe(0);
    for (const ending of receiverLeaves.endings) expect(ending).toMatch(/^(sent|gone) \| (ended|gone)( 1( 2( 3)?)?)?$/);
  },
);

// That the model finds each of these shows that it would find them in the protocol as it is.
const wrong = ({ stuck, endings }: Verdict): boolean => stuck > 0 || [...endings].some((ending) => ending !== 'sent | gone 1 2 3');
test.each<[string, Variant]>([
  ['publishes before it writes', { countFirst: true }],
  ['publishes by a plain store', { plainCount: true }],
  ['says that it leaves before it publishes', { flagFirst: true }],
  ['believes the flag without another look', { noSecondLook: true }],
  ['resets its latch between the look and the wait', { resetBeforeWait: true }],
  ['gives a cell back before it has read it', { giveBackFirst: true }],
  ['leaves without waking anybody', { noWake: true }],
  ['sleeps on what it has consumed', { keepsConsumed: true }],
])('a protocol that %s is found wrong', (_, variant) => {
  expect(ways.some(([flush, eager]) => wrong(explore([sender(3, flush, variant), receiver(FOREVER, eager, variant)])))).toBe(true);
});
