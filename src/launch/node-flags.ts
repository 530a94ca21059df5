// The flags with which Node must have been started for a postmaster, and the options of Node with which none can be. Pure. Command line and postmaster.
// All flags are V8's, or for it; late ones crash or come too late. docs/fork-safety.md, "Options and environment of Node".

/**
 * - `--single-threaded`: V8 collects and compiles on the main thread. Helper threads do not exist in a forked child, which would wait for them.
 * - `--v8-pool-size=1`: one platform thread, since zero means "cores - 1". One dead waiter on its condition variable does no harm in a child; more do.
 * - `--no-memory-reducer`: no collections by timer. In an idle child they would turn shared pages into its own (8 MB instead of 1.7), and wake it.
 * - `--no-flush-bytecode`: what the postmaster has compiled stays compiled through the collections before it serves; else each child compiles it again.
 *
 * Not `--no-lazy`, with which V8 compiles everything while it is loaded. A worker's first line came 0.8 ms sooner, of 5.2 (docs/performance.md); but a postmaster
 * that preloads the TypeScript compiler had 163 MB instead of 103 (`npm run bench:flags`), and each fork is dearer by the pages.
 * For the functions of bgworker alone nothing was gained that could be told from the noise of a loaded machine.
 */
export const NODE_FLAGS: readonly string[] = ['--single-threaded', '--v8-pool-size=1', '--no-memory-reducer', '--no-flush-bytecode'];

/** The name of an option, however it is spelt: V8 takes `_` for `-`, and `--no-x` and `--nox` for the opposite. */
function nameOf(option: string): string {
  return option.replace(/=.*$/s, '').replaceAll('_', '-');
}

const OURS: ReadonlySet<string> = new Set(
  NODE_FLAGS.flatMap((flag) => {
    const name = nameOf(flag).replace(/^--(no-)?/, '');
    return [`--${name}`, `--no-${name}`, `--no${name}`];
  }),
);

/**
 * Options for a postmaster: those given, without any other spelling or value of ours, and ours. The last of a name counts, so a copy of ours is not enough.
 * Where nothing is to be changed, the list is the same as before.
 */
export function postmasterFlags(execArgv: readonly string[]): string[] {
  const kept = execArgv.filter((option, at) => {
    const valueOfPoolSize = nameOf(execArgv[at - 1] ?? '') === '--v8-pool-size' && !(execArgv[at - 1] as string).includes('=');
    return !OURS.has(nameOf(option)) && !valueOfPoolSize;
  });
  const unchanged = execArgv.length === kept.length + NODE_FLAGS.length && NODE_FLAGS.every((flag) => execArgv.includes(flag));
  return unchanged ? [...execArgv] : [...kept, ...NODE_FLAGS];
}

interface Refusal {
  readonly options: RegExp;
  readonly detail: string;
  readonly hint: string;
}

const REFUSED: readonly Refusal[] = [
  {
    options: /^--inspect(-brk|-wait)?$/,
    detail: 'The inspector has a thread and a listening socket, which do not survive a fork.',
    hint: 'Open the inspector in the worker: require("node:inspector").open(0, "127.0.0.1").',
  },
  {
    options: /^--(cpu-prof|heap-prof)(-.*)?$|^--prof$/,
    detail: 'The profiler begins in the postmaster, with a thread or a file that children cannot share, and its result would never be written.',
    hint: 'Profile in the worker: the "Profiler" and "HeapProfiler" of a session of node:inspector.',
  },
  {
    options: /^--trace-event(s-enabled|-categories|-file-pattern)$/,
    detail: 'Trace events are written by a thread, which does not survive a fork.',
    hint: 'Trace in the worker: require("node:trace_events").createTracing(…).enable().',
  },
  {
    options: /^--(experimental-)?loader$/,
    detail: 'Such hooks run in a thread, which does not survive a fork: imports in a child would wait for it for ever.',
    hint: 'Use hooks of the same thread (module.registerHooks), or compile what they translate.',
  },
  {
    options: /^--(report-on-signal|heapsnapshot-signal)$/,
    detail: 'Signals are taken by the postmaster and its workers themselves.',
    hint: 'Call process.report.writeReport() or v8.writeHeapSnapshot() in a handler of the worker.',
  },
  {
    options: /^--watch(-path)?$/,
    detail: 'What is loaded is reported through a channel that nobody serves: the event loop of the postmaster does not turn.',
    hint: 'Restart the server by "bgworker restart" when files have changed.',
  },
  {
    options: /^--frozen-intrinsics$/,
    detail: 'Math.random could not be replaced, and would be the same in all children.',
    hint: 'Freeze what you like in the worker.',
  },
];

/** NODE_OPTIONS, taken apart as Node does: by blanks, with double quotes around what has some. */
function splitNodeOptions(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"]|"(?:[^"\\]|\\.)*")+/g)].map(([token]) => token.replace(/"((?:[^"\\]|\\.)*)"/g, '$1'));
}

/** The first option that no postmaster can have, as it was written, and why; null where there is none. */
export function refusedOption(
  execArgv: readonly string[],
  nodeOptions: string,
): { readonly option: string; readonly where: string; readonly detail: string; readonly hint: string } | null {
  for (const [where, options] of [
    ['on the command line', execArgv],
    ['in NODE_OPTIONS', splitNodeOptions(nodeOptions)],
  ] as const) {
    for (const option of options) {
      const refusal = REFUSED.find((one) => one.options.test(nameOf(option)));
      if (refusal !== undefined) return { option: option.replace(/=.*$/s, ''), where, detail: refusal.detail, hint: refusal.hint };
    }
  }
  return null;
}
