// The judge's command line. Pure.

import { parseArgs } from 'node:util';

export interface Options {
  readonly files: readonly string[];
  readonly only: RegExp | null;
  readonly groups: readonly string[];
  readonly jobs: number;
  readonly json: boolean;
  readonly keep: boolean;
  readonly help: boolean;
}

export const USAGE = `Judges our background workers by what PostgreSQL did.

usage: npm run conformance -- [FILE…] [option…]

  FILE…         scenario files; default: test/conformance/scenarios.json
  --only REGEX  only the scenarios whose id it matches
  --group G     only this group; may be given again
  --jobs N      so many scenarios side by side (default 4)
  --json        the results as JSON
  --keep        leave the files of each scenario where they are, and say where
`;

const DEFAULT_JOBS = 4;

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
      help: { type: 'boolean', short: 'h' },
    },
  });
  const jobs = Number(values.jobs ?? DEFAULT_JOBS);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs must be a number of at least 1, not "${values.jobs}"`);
  return {
    files: positionals,
    only: values.only === undefined ? null : new RegExp(values.only),
    groups: values.group ?? [],
    jobs,
    json: values.json ?? false,
    keep: values.keep ?? false,
    help: values.help ?? false,
  };
}
