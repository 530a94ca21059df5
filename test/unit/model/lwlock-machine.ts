// LWLocks as a machine of atomic steps (native/core/lwlock_queue.c, lwlock.c), and the search through everything that it can do. For lwlock-model.test.ts. Pure.
//
// All words of the protocol are sequentially consistent, so the machine has no store buffers; the links of the list change under the list's lock only, and so a
// change of them is one step. So is a compare-and-exchange: one that fails begins again. A sleep looks at its word once more, as futex(2) does, and ends by
// a wake-up alone. The limit on those who pass (kMaxPassed) is 1 here.
type Mode = 'exclusive' | 'shared' | 'until free';
/** What a process does: takes the lock and releases it, in one mode; waits until it is free (`or wait`), or until the word changes (`var`). */
export interface Op {
  readonly kind: 'acquire' | 'steps' | 'or wait' | 'var' | 'update';
  readonly mode: 'exclusive' | 'shared';
}
interface Word {
  exclusive: boolean;
  shared: number;
  hasWaiters: boolean;
  waking: boolean;
  listLocked: boolean;
}
interface Process {
  pc: string;
  op: number;
  turn: 'first' | 'queued' | 'woken';
  snapshot: string;
  waiter: 'idle' | 'queued' | 'woken';
  wanted: Mode;
  kicked: boolean;
  acquired: boolean;
  taken: number[];
  first: Mode;
  after: string;
  left: boolean;
}
interface Machine {
  word: Word;
  passed: number;
  list: number[];
  value: number;
  processes: Process[];
}

/** What can be wrong: each must be found. */
export interface Variant {
  readonly noSecondTry?: boolean;
  readonly wakingLate?: boolean;
  readonly wakingStays?: boolean;
  readonly leavesQuietly?: boolean;
  readonly queuedTryRefused?: boolean;
  readonly untilFreeCounts?: boolean;
  readonly noSecondLook?: boolean;
  readonly tornSwap?: boolean;
}

const held = (word: Word): boolean => word.exclusive || word.shared > 0;
const LIMIT = 1;

/** One step of a process, on a copy. Returns where it goes on, or null where it has to wait. */
// oxlint-disable-next-line complexity -- a program of the machine: one label, one case
function step(m: Machine, n: number, ops: readonly Op[], v: Variant): string | null {
  const p = m.processes[n] as Process;
  const op = ops[p.op] as Op;
  const { word } = m;
  const lockList = (to: string): string | null => {
    if (word.listLocked) return null;
    word.listLocked = true;
    return to;
  };
  const unlockList = (clearWaking: boolean): void => {
    word.listLocked = false;
    if (m.list.length === 0) word.hasWaiters = false;
    if (clearWaking) word.waking = false;
  };
  const takeOff = (other: number): void => {
    m.list = m.list.filter((one) => one !== other);
    (m.processes[other] as Process).waiter = 'woken';
    p.taken.push(other);
  };
  const varDone = (): boolean => !word.exclusive || m.value !== 0;
  switch (p.pc) {
    case 'begin':
      p.turn = 'first';
      p.acquired = false;
      return op.kind === 'var' ? 'look' : 'try';
    // BgwLockTry
    case 'try':
    case 'swap': {
      if (p.pc === 'try' && v.tornSwap === true) {
        p.snapshot = JSON.stringify(word);
        return 'swap';
      }
      const seen = v.tornSwap === true ? (JSON.parse(p.snapshot) as Word) : { ...word };
      p.snapshot = '';
      const conflict = op.mode === 'exclusive' ? held(seen) : seen.exclusive;
      if (conflict) return 'failed';
      if (p.turn !== 'woken' && m.passed >= LIMIT) {
        if (p.turn === 'first' && (seen.hasWaiters || seen.waking)) return 'failed';
        if (p.turn === 'queued' && (v.queuedTryRefused === true || held(seen) || seen.waking)) return 'failed';
      }
      if (op.mode === 'exclusive') word.exclusive = true;
      else word.shared++;
      p.acquired = true;
      if (p.turn === 'woken') m.passed = 0;
      else if (seen.hasWaiters && m.passed < LIMIT) m.passed++;
      return p.turn === 'queued' ? 'dequeue' : 'inside';
    }
    case 'failed':
      return p.turn === 'queued' ? 'sleep' : 'enqueue';
    // BgwLockEnqueue
    case 'enqueue':
      return lockList('enqueue flags');
    case 'enqueue flags':
      p.wanted = op.kind === 'or wait' || op.kind === 'var' ? 'until free' : op.mode;
      if (p.wanted === 'until free') word.waking = false;
      word.hasWaiters = true;
      p.waiter = 'queued';
      if (p.wanted === 'until free' || p.turn === 'woken') m.list.unshift(n);
      else m.list.push(n);
      word.listLocked = false;
      if (op.kind === 'var') return v.noSecondLook === true ? 'sleep' : 'second look';
      if (v.noSecondTry === true) return 'sleep';
      p.turn = p.turn === 'woken' ? 'woken' : 'queued';
      return p.turn === 'woken' ? 'try queued again' : 'try';
    // One that was woken, failed and stands at the head again: as BgwLWLockAcquire's loop.
    case 'try queued again': {
      const conflict = op.mode === 'exclusive' ? held(word) : word.exclusive;
      if (conflict) return 'sleep';
      if (op.mode === 'exclusive') word.exclusive = true;
      else word.shared++;
      p.acquired = true;
      m.passed = 0;
      return 'dequeue';
    }
    // futex(2): sleeps where the word is still what it was; and in steps, SIGTERM may come instead.
    case 'sleep':
      return p.waiter === 'woken' ? 'woken' : 'asleep';
    case 'asleep':
      if (!p.kicked) return null;
      p.kicked = false;
      return 'sleep';
    case 'woken':
      p.waiter = 'idle';
      if (op.kind === 'or wait') return 'next';
      return op.kind === 'var' ? 'look' : 'take wakeup';
    case 'take wakeup':
      if (v.wakingStays !== true) word.waking = false;
      p.turn = 'woken';
      return 'try';
    // BgwLockDequeue
    case 'dequeue': {
      if (word.listLocked) return null;
      const woken = p.waiter === 'woken';
      m.list = m.list.filter((one) => one !== n);
      p.waiter = 'idle';
      const expected = woken && (p.wanted !== 'until free' || v.untilFreeCounts === true);
      unlockList(expected);
      p.after = 'next';
      if (expected && !p.acquired && v.leavesQuietly !== true) return 'pass on';
      return p.acquired ? 'inside' : 'next';
    }
    case 'pass on':
      return word.hasWaiters && !word.waking && !held(word) ? 'wake' : 'next';
    case 'inside':
      return op.kind === 'update' ? 'update' : 'release';
    case 'release':
      if (op.mode === 'exclusive') word.exclusive = false;
      else word.shared--;
      p.acquired = false;
      p.after = 'next';
      return word.hasWaiters && !word.waking && !held(word) ? 'wake' : 'next';
    case 'wake':
      if (lockList('') === null) return null;
      p.taken = [];
      p.first = 'until free';
      if (v.wakingLate !== true) word.waking = true;
      return 'mark';
    case 'mark': {
      const next = m.list.find((one) => {
        const { wanted } = m.processes[one] as Process;
        return wanted === 'until free' || p.first === 'until free' || (p.first === 'shared' && wanted === 'shared');
      });
      if (next === undefined) return 'marked';
      const { wanted } = m.processes[next] as Process;
      takeOff(next);
      if (wanted !== 'until free' || v.untilFreeCounts === true) p.first = wanted === 'until free' ? 'exclusive' : wanted;
      return 'mark';
    }
    case 'marked':
      if (v.wakingLate === true && p.first !== 'until free') word.waking = true;
      unlockList(p.first === 'until free');
      return 'kick';
    case 'kick':
      for (const other of p.taken) (m.processes[other] as Process).kicked = true;
      p.taken = [];
      p.first = 'until free';
      return p.after;
    // BgwLWLockWaitForVar
    case 'look':
      return varDone() ? 'next' : 'enqueue';
    case 'second look':
      return varDone() ? 'dequeue' : 'sleep';
    // BgwLockUpdateVar
    case 'update':
      p.taken = [];
      p.after = 'release';
      return lockList('store');
    case 'store':
      m.value = 1;
      return 'mark until free';
    case 'mark until free': {
      const next = m.list.find((one) => (m.processes[one] as Process).wanted === 'until free');
      if (next === undefined) {
        unlockList(false);
        return 'kick';
      }
      takeOff(next);
      return 'mark until free';
    }
    case 'next':
      p.kicked = false;
      p.turn = 'first';
      p.after = '';
      p.op++;
      return p.op === ops.length ? 'end' : 'begin';
    default:
      return null;
  }
}

export interface Verdict {
  readonly states: number;
  readonly stuck: number;
  readonly met: number;
}

const process = (): Process => ({
  pc: 'begin',
  op: 0,
  turn: 'first',
  snapshot: '',
  waiter: 'idle',
  wanted: 'exclusive',
  kicked: false,
  acquired: false,
  taken: [],
  first: 'until free',
  after: '',
  left: false,
});

const copy = ({ word, passed, list, value, processes }: Machine): Machine => ({
  word: { ...word },
  passed,
  list: [...list],
  value,
  processes: processes.map((p) => ({ ...p, taken: [...p.taken] })),
});
const key = ({ word, passed, list, value, processes }: Machine): string =>
  `${Object.values(word).map(Number).join('')} ${passed} ${list.join('')} ${value}${processes.map((p) => Object.values(p).join()).join('|')}`;

/** All states, depth first. Nobody may meet whom he must not, and where nothing is possible any more all must be at their end. */
export function explore(programs: readonly (readonly Op[])[], v: Variant = {}): Verdict {
  const word: Word = { exclusive: false, shared: 0, hasWaiters: false, waking: false, listLocked: false };
  const begin: Machine = { word, passed: 0, list: [], value: 0, processes: programs.map(process) };
  const seen = new Set<string>([key(begin)]);
  const stack = [begin];
  const found = { stuck: 0, met: 0 };
  // The first fault of a wrong protocol is enough.
  for (let before = stack.pop(); before !== undefined && found.stuck + found.met === 0; before = stack.pop()) {
    const now = before;
    const inside = before.processes.flatMap((p, n) => (p.acquired ? [(programs[n] as readonly Op[])[p.op]?.mode] : []));
    if (inside.includes('exclusive') && inside.length > 1) found.met++;
    let moved = false;
    const add = (after: Machine): void => {
      moved = true;
      const name = key(after);
      if (seen.has(name)) return;
      seen.add(name);
      stack.push(after);
    };
    programs.forEach((ops, n) => {
      const after = copy(now);
      const to = step(after, n, ops, v);
      const p = after.processes[n] as Process;
      if (to !== null) {
        p.pc = to;
        add(after);
      }
      // A process that waits in steps is terminated: it leaves the queue, and ends.
      if (ops[p.op]?.kind === 'steps' && (now.processes[n] as Process).pc === 'asleep' && !p.left) {
        const leaving = copy(now);
        const leaver = leaving.processes[n] as Process;
        leaver.pc = 'dequeue';
        leaver.left = true;
        add(leaving);
      }
    });
    if (!moved && before.processes.some(({ pc }) => pc !== 'end')) found.stuck++;
  }
  return { states: seen.size, ...found };
}
