#!/usr/bin/env node
// The command `bgworker`, as the shell starts it. A short-lived process of its own; only `bgworker postmaster` becomes the server.
// PostgreSQL: src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.

import { processSurroundings } from './process-surroundings.js';
import { runCommandLine } from './program.js';

process.exitCode = await runCommandLine(process.argv.slice(2), processSurroundings());
