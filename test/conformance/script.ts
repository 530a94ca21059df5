// The worker scripts of the scenarios: what `bgw_extra` carries after its tag. Read by the worker library, which carries them out, and by the judge, which
// refuses a scenario whose script it does not understand. Pure: no process but the one that asks.
//
//   script      = run *( "|" run )        one run for the first, second, … process of the worker; the last one repeats
//   run         = command *( ";" command )
//   command     = a letter, and what belongs to it: a number, letters, or text up to the end

/** What a letter takes. */
type Argument = 'none' | 'number' | 'text' | 'names' | 'disposition' | 'loop';

const COMMANDS = {
  U: 'none', // unblock signals
  B: 'none', // block signals
  s: 'number', // sleep so many ms, going on after signals
  i: 'number', // one sleep that a signal ends
  p: 'number', // ms in steps of 10, with CHECK_FOR_INTERRUPTS
  x: 'number', // proc_exit
  e: 'number', // C's exit
  _: 'number', // _exit
  r: 'none', // return from main
  E: 'none', // ereport(ERROR)
  F: 'none', // ereport(FATAL)
  P: 'none', // ereport(PANIC)
  A: 'none', // abort()
  V: 'none', // a segmentation fault
  k: 'number', // kill oneself with this signal
  L: 'loop', // the latch loop
  M: 'none', // signal masks
  G: 'none', // process ids
  f: 'none', // open descriptors
  t: 'none', // title
  n: 'none', // the registry entry
  C: 'names', // connect to a database as a user
  O: 'names', // the same by OID
  Q: 'text', // one query in one transaction
  T: 'disposition', // of SIGTERM
  H: 'number', // a counting handler for a signal
  c: 'none', // exit callbacks
  Z: 'number', // a child of one's own that lives so many ms
  D: 'text', // register the worker that a file describes, and wait for it
  W: 'text', // wait for a file
  l: 'text', // log a line
} as const satisfies Readonly<Record<string, Argument>>;

export type Letter = keyof typeof COMMANDS;
export const LETTERS: readonly string[] = Object.keys(COMMANDS);

export interface Command {
  readonly letter: Letter;
  /** The number of ms, the status, the signal: whatever the letter takes. */
  readonly number: number;
  /** Text, the flags of a loop, or the letter of a disposition. */
  readonly text: string;
  /** `Cdatabase,user`: null where the script says `-`. */
  readonly names: readonly (string | null)[];
}

/** A script that does not follow the language. The scenario that has it is an error, never skipped. */
export class ScriptError extends Error {}

/** The runs of a script, each a list of commands. */
export function parseScript(script: string): Command[][] {
  return script.split('|').map((run) =>
    run
      .split(';')
      .filter((command) => command !== '')
      .map(parseCommand),
  );
}

/** The commands of the k-th process of a worker, counted from 1. */
export function commandsOfRun(script: string, k: number): Command[] {
  const runs = parseScript(script);
  return runs[Math.min(k, runs.length) - 1] ?? [];
}

function parseCommand(source: string): Command {
  const letter = source[0] as Letter;
  const rest = source.slice(1);
  const plain = { letter, number: 0, text: '', names: [] };
  if (!Object.hasOwn(COMMANDS, letter)) throw new ScriptError(`unrecognized script command "${source}"`);
  switch (COMMANDS[letter]) {
    case 'none':
      if (rest !== '') throw new ScriptError(`script command "${source}" takes nothing`);
      return plain;
    case 'number':
      return { ...plain, number: parseNumber(source, rest) };
    case 'text':
      return { ...plain, text: rest };
    case 'disposition':
      if (!/^[dfiD]$/.test(rest)) throw new ScriptError(`unrecognized script command "${source}"`);
      return { ...plain, text: rest };
    case 'names':
      return { ...plain, names: parseNames(source, rest) };
    case 'loop':
      return { ...plain, ...parseLoop(source, rest) };
  }
}

function parseNumber(source: string, text: string): number {
  if (!/^-?\d+$/.test(text)) throw new ScriptError(`script command "${source}" takes a number`);
  return Number(text);
}

function parseNames(source: string, text: string): (string | null)[] {
  const names = text.split(',');
  if (names.length !== 2) throw new ScriptError(`script command "${source}" takes two names`);
  return names.map((name) => (name === '-' ? null : name));
}

/** `1` is a flag only where more than digits follow: `L1500` waits 1500 ms, `L1x500` one round. */
function parseLoop(source: string, text: string): { text: string; number: number } {
  const [, flags, number] = /^((?:[dxcqn]|1(?=[dxcqn-]))*)(-?\d+)$/.exec(text) ?? [];
  if (flags === undefined || number === undefined) throw new ScriptError(`unrecognized script command "${source}"`);
  return { text: flags, number: Number(number) };
}
