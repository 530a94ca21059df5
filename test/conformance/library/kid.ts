// A child of a worker, in the worker's process group (script command Z): says that it is there, and which signals reach it. A process of its own.
//
//   node kid.js MILLISECONDS TAG PID-OF-THE-WORKER

import { readFileSync } from 'node:fs';
import { appendEvent, ORACLE_VARIABLE, type OracleSettings } from '../event-file.js';

const [, , ms, tag, worker] = process.argv;
const { events } = JSON.parse(process.env[ORACLE_VARIABLE] ?? '') as OracleSettings;
const tell = (text: string): void => appendEvent(events, tag ?? '', text);

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 } as const;
for (const [name, signo] of Object.entries(SIGNALS)) process.on(name, () => tell(`signal ${signo} handled`));
setTimeout(() => process.exit(0), Number(ms));

const stat = readFileSync('/proc/self/stat', 'latin1');
const group = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2];
tell(`kid ready pgid==worker:${group === worker ? 1 : 0}`);
