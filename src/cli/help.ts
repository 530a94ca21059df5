// The words of --help: what each command does, with examples to copy. The command line.

interface Help {
  readonly summary: string;
  /** After the list of options. */
  readonly more: string;
}

const PROGRAM: Help = {
  summary: `bgworker starts, stops and shows a server that runs background workers as PostgreSQL does:
JavaScript functions, each in a forked process of its own, watched and restarted by its rules.`,
  more: `
A server lives on a data directory, which "start" makes. Settings are in its bgworker.conf, or follow -c.

Examples:
  bgworker start -D ./data                     a server with a PostgreSQL database of its own
  bgworker start -D ./data -c database=none    ... or without a database
  bgworker start -D ./data -c shared_preload_libraries=./my-worker.js
                                               ... that loads a module, whose _PG_init registers workers
  bgworker ps -D ./data                        what is running
  bgworker stop -D ./data

  export BGWORKER_DATA=$PWD/data               and none of them needs -D any more

"bgworker COMMAND --help" has more on each.

Exit status: 0 success, 1 failure; "status" has two more.
`,
};

const MODES = `
Shutdown modes are:
  smart       quit after all sessions have ended; workers run on until then
  fast        quit directly, with proper shutdown (default)
  immediate   quit without complete shutdown; workers get no chance to clean up
`;

const START: Help = {
  summary: 'start a server in the background, and wait until it is ready',
  more: `
A data directory that does not exist, or is empty, is made into one, with a commented bgworker.conf to look at.
The log is the file "log" in it, unless -l names another. Libraries are looked for in the directory where the
server is started. Where a start fails, what the log says of it is shown.

Examples:
  bgworker start -D ./data -l server.log
  bgworker start -D ./data -c max_worker_processes=16 -c log_min_messages=debug1
  bgworker start -D ./data -c database="postgres://app:secret@db.example.org/app"
                          the password will not be visible in the list of processes
  bgworker start -D /var/lib/app -c user=app       as root: the server becomes that user, for good
  bgworker start -D ./data -c allow_root=on        in a container, where there is only root
`,
};

const STOP: Help = {
  summary: 'stop a server, and wait until its process is gone',
  more: `${MODES}
Examples:
  bgworker stop -D ./data
  bgworker stop -D ./data -m smart -t 300
`,
};

const RESTART: Help = {
  summary: 'stop a server and start it again with the settings that it had',
  more: `${MODES}
It starts in the same directory as before, with the same -c settings and those that are given now.

Examples:
  bgworker restart -D ./data
  bgworker restart -D ./data -c max_worker_processes=32
`,
};

const RELOAD: Help = {
  summary: 'have a server read bgworker.conf again (by SIGHUP)',
  more: `
The log says what has changed, and which settings need a restart.

Example:
  bgworker reload -D ./data
`,
};

const STATUS: Help = {
  summary: 'say whether a server is running',
  more: `
Exit status: 0 running, 3 not running, 4 no usable data directory, 1 any other failure.

Examples:
  bgworker status -D ./data
  bgworker status -D ./data --json
`,
};

const PS: Help = {
  summary: 'list the processes of a server, and the workers that wait for their restart',
  more: `
Examples:
  bgworker ps -D ./data
  bgworker ps -D ./data --json
`,
};

const POSTMASTER: Help = {
  summary: 'run a server in the foreground, logging to standard error',
  more: `
For containers and service managers. SIGTERM shuts down smart, SIGINT (Ctrl-C) fast, SIGQUIT immediately; SIGHUP reloads.

Examples:
  bgworker postmaster -D ./data
  bgworker run -D ./data -c database=none
`,
};

/** By the command's name. */
export const HELP: Readonly<Record<'program' | 'start' | 'stop' | 'restart' | 'reload' | 'status' | 'ps' | 'postmaster', Help>> = {
  program: PROGRAM,
  start: START,
  stop: STOP,
  restart: RESTART,
  reload: RELOAD,
  status: STATUS,
  ps: PS,
  postmaster: POSTMASTER,
};
