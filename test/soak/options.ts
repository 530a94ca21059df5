// The command line of the soak. Pure.

import { parseArgs } from 'node:util';

export interface SoakOptions {
  /** Workers forked one after the other. */
  readonly forks: number;
  /** Workers alive at once, in each of two risings. */
  readonly alive: number;
  /** Sequences of forks side by side. */
  readonly lanes: number;
  /** The Node to run it all with; null: this one. */
  readonly node: string | null;
  readonly json: boolean;
  readonly help: boolean;
}

export const SOAK_USAGE = `Forks workers for a long time, from a postmaster that allocates between the forks. The workers collect garbage and compile; nothing may hang, crash,
be left or grow.

usage: npm run soak -- [--forks N] [--alive N] [--lanes N] [--node PATH] [--json]

  --forks N    workers one after the other (default 10000)
  --alive N    workers alive at once, twice (default 1000; 0: none)
  --lanes N    sequences side by side (default 2)
  --node PATH  another Node to run it with
  --json       the result as JSON, and no progress

Exit status: 0 where all held, 1 where something did not, 2 for a wrong command line.
`;

function count(name: string, text: string, low: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < low) throw new Error(`--${name} must be a number of at least ${low}, not "${text}"`);
  return value;
}

/** @throws Error for an option that does not exist, or a value that is none */
export function parseSoakOptions(argv: readonly string[]): SoakOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      forks: { type: 'string', default: '10000' },
      alive: { type: 'string', default: '1000' },
      lanes: { type: 'string', default: '2' },
      node: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { node = null, json, help } = values;
  return {
    forks: count('forks', values.forks, 100),
    alive: count('alive', values.alive, 0),
    lanes: count('lanes', values.lanes, 1),
    node,
    json,
    help,
  };
}
