// The command lines of the two programs. Pure.

import { parseArgs } from 'node:util';

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly workers: number;
  readonly json: boolean;
  readonly help: boolean;
}

export const CHAOS_USAGE = `Does at random whatever can be done to a postmaster and its workers, and looks whether everything is as it should be.

usage: npm run chaos -- [--minutes N] [--seed S] [--workers N] [--json]

  --minutes N  for so long (default 1; fractions are fine)
  --seed S     the same seed gives the same sequence of actions (default: drawn, and shown)
  --workers N  max_worker_processes (default 32)
  --json       the summary as JSON, and nothing else

Exit status: 0 where all held, 1 where something did not, 2 for a wrong command line.
`;

function count(name: string, text: string, low: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < low) throw new Error(`--${name} must be a number of at least ${low}, not "${text}"`);
  return value;
}

/** @throws Error for an option that does not exist, or a value that is none */
export function parseChaosOptions(argv: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string' },
      workers: { type: 'string', default: '32' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes must be more than 0, not "${values.minutes}"`);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : count('seed', values.seed, 0);
  return { minutes, seed, workers: count('workers', values.workers, 6), json: values.json, help: values.help };
}

export interface OrphanOptions {
  readonly rounds: number;
  readonly newborn: boolean;
  readonly seed: number;
  readonly workers: number;
  readonly json: boolean;
  readonly help: boolean;
}

export const ORPHANS_USAGE = `Kills postmasters with SIGKILL, at random moments, and looks who stays.

usage: npm run chaos:orphans -- [--rounds N] [--seed S] [--workers N] [--json]

  --rounds N   so many postmasters (default 100)
  --seed S     which workers, and when (default: drawn, and shown)
  --workers N  at most so many workers in a round (default 100)
  --newborn    stop children that may just have been forked, too: who is stopped before its first instruction stays until it is continued
  --json       the summary as JSON, and nothing else

Exit status: 0 where nobody stayed and everybody was told, 1 otherwise, 2 for a wrong command line.
`;

/** @throws Error for an option that does not exist, or a value that is none */
export function parseOrphanOptions(argv: readonly string[]): OrphanOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: 'string', default: '100' },
      seed: { type: 'string' },
      workers: { type: 'string', default: '100' },
      newborn: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : count('seed', values.seed, 0);
  const { newborn, json, help } = values;
  return { rounds: count('rounds', values.rounds, 1), seed, workers: count('workers', values.workers, 1), newborn, json, help };
}
