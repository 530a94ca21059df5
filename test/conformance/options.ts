// The judge's command line. Pure.

import { parseArgs } from 'node:util';

export interface Options {
  readonly files: readonly string[];
  readonly only: RegExp | null;
  readonly groups: readonly string[];
  readonly jobs: number;
  readonly json: boolean;
  readonly keep: boolean;
  readonly tries: number;
  /** So many runs, whose verdicts are compared. */
  readonly repeat: number;
  /** Keeps each processor busy meanwhile. */
  readonly busy: boolean;
  readonly writeDocs: boolean;
  readonly help: boolean;
}

export const USAGE = `Judges our background workers by what PostgreSQL did.

usage: npm run conformance -- [FILE…] [option…]

  FILE…         scenario files; default: test/conformance/scenarios.json
  --only REGEX  only the scenarios whose id it matches
  --group G     only this group; may be given again
  --jobs N      so many scenarios side by side (default 4)
  --json        the results as JSON
  --tries N     so often a scenario is tried, where it failed and the judge was late, or a process had no processor (default 3; 1: whatever happens counts)
  --repeat N    N runs; fails where a verdict is not the same in all of them
  --busy        keeps every processor busy meanwhile
  --write-docs  writes docs/conformance.md
  --keep        leave the files of each scenario where they are, and say where
`;

const DEFAULT_JOBS = 4;
const DEFAULT_TRIES = 3;

function count(name: string, text: string | undefined, otherwise: number): number {
  const value = Number(text ?? otherwise);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a number of at least 1, not "${text}"`);
  return value;
}

/** @throws Error for an option that does not exist, or a value that is none */
export function parseOptions(argv: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      group: { type: 'string', multiple: true },
      jobs: { type: 'string' },
      json: { type: 'boolean' },
      keep: { type: 'boolean' },
      tries: { type: 'string' },
      repeat: { type: 'string' },
      busy: { type: 'boolean' },
      'write-docs': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  return {
    files: positionals,
    only: values.only === undefined ? null : new RegExp(values.only),
    groups: values.group ?? [],
    jobs: count('jobs', values.jobs, DEFAULT_JOBS),
    tries: count('tries', values.tries, DEFAULT_TRIES),
    repeat: count('repeat', values.repeat, 1),
    busy: values.busy ?? false,
    writeDocs: values['write-docs'] ?? false,
    json: values.json ?? false,
    keep: values.keep ?? false,
    help: values.help ?? false,
  };
}
