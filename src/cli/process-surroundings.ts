// What a command has around it where it runs for real: this process. The command line.

import { fileURLToPath } from 'node:url';
import { becomeServerUser } from './privileges.js';
import type { Surroundings } from './surroundings.js';

export function processSurroundings(): Surroundings {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    env: process.env,
    isTerminal: process.stdout.isTTY,
    postmaster: fileURLToPath(new URL('../postmaster/main.js', import.meta.url)),
    cwd: process.cwd(),
    becomeServerUser,
  };
}
