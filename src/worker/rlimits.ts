// A worker's limits, set in its own process: after it has become what every child is, before any code of the user's. Worker.
// PostgreSQL: none.
//
// What a limit's end looks like is documented in docs/settings.md, "Limits of a worker's resources". RLIMIT_CPU is an orderly one: the kernel sends SIGXCPU
// at the soft limit, which ends the worker at its next safe point with status 1, and SIGKILL at the hard one.

import { readFileSync } from 'node:fs';

import type { Descriptor } from '../bgworker/background-worker.js';
import { RESOURCES, RLIM_INFINITY, type ResourceLimit, parseRlimits } from '../guc/rlimits.js';
import { ERRCODE_INSUFFICIENT_RESOURCES, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_OUT_OF_MEMORY } from '../elog/errcodes.js';
import { ErrorData, FATAL } from '../elog/error-data.js';
import { ereport, prepareLastWords } from '../elog/elog.js';
import { strerror } from '../elog/file-access.js';
import { getConfigOption } from '../guc/guc.js';
import { pqsignal } from '../ipc/signals.js';
import { native, systemError } from '../native.js';

const show = (value: number): string => (value === RLIM_INFINITY ? 'unlimited' : String(value));

function fail(name: string, { name: resource, soft, hard }: ResourceLimit, fields: { message?: string; detail: string; hint: string }): never {
  const message = `could not set ${resource} of background worker "${name}" to ${show(soft)}${soft === hard ? '' : `:${show(hard)}`}`;
  throw new ErrorData({ severity: 'FATAL', code: ERRCODE_INVALID_PARAMETER_VALUE, ...fields, message: `${message}${fields.message ?? ''}` });
}

/** What this process has of it by now, in bytes: more than the limit, and V8 would die at its next page. /proc has lines such as `VmData:  1234 kB`. */
function inUse(resource: string): number | null {
  const field = { RLIMIT_AS: 'VmSize', RLIMIT_DATA: 'VmData' }[resource];
  if (field === undefined) return null;
  return Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;
}

function setLimit(name: string, limit: ResourceLimit): void {
  const { name: resource, soft, hard } = limit;
  const used = inUse(resource);
  if (used !== null && soft !== RLIM_INFINITY && soft <= used) {
    fail(name, limit, {
      detail: `The worker has ${used} bytes of it before it begins, most of it reserved by V8.`,
      hint: 'Set a higher limit, or limit the heap by "max_old_space_size".',
    });
  }
  const result = native.setLimit((RESOURCES[resource] as { number: number }).number, soft, hard);
  if (result >= 0) return;
  const before = native.getLimit((RESOURCES[resource] as { number: number }).number);
  const hardest = typeof before === 'number' ? 'not known' : show(before[1]);
  fail(name, limit, {
    message: `: ${strerror(systemError(result, 'setrlimit'))}`,
    detail: `The hard limit of the postmaster is ${hardest}, and only root can exceed it.`,
    hint: 'Set a lower limit, or raise that of the postmaster.',
  });
}

function setHeapLimit(name: string, limit: ResourceLimit): void {
  if (native.setHeapLimit(limit.soft) < 0) {
    fail(name, limit, {
      detail: 'This build of Node does not export what sets it.',
      hint: 'Start the postmaster with --max-old-space-size in NODE_OPTIONS.',
    });
  }
  prepareLastWords(
    'outOfHeap',
    ERRCODE_OUT_OF_MEMORY,
    `background worker "${name}" has reached the limit of its heap, ${limit.soft} bytes (max_old_space_size)`,
  );
}

/**
 * Sets the limits of the setting `worker_rlimits`, and over them those of the descriptor.
 * @throws ErrorData FATAL 22023 where one cannot be
 */
export function applyRlimits({ name, rlimits }: Descriptor): void {
  const all = new Map<string, ResourceLimit>();
  for (const text of [getConfigOption('worker_rlimits'), rlimits]) {
    const parsed = parseRlimits(text);
    if (typeof parsed === 'string')
      throw new ErrorData({ severity: 'FATAL', code: ERRCODE_INVALID_PARAMETER_VALUE, message: `invalid resource limits: ${parsed}` });
    for (const limit of parsed) all.set(limit.name, limit);
  }
  const cpu = all.get('RLIMIT_CPU');
  if (cpu !== undefined && cpu.soft !== RLIM_INFINITY) {
    pqsignal('SIGXCPU', () => {
      ereport(FATAL, {
        code: ERRCODE_INSUFFICIENT_RESOURCES,
        message: `terminating background worker "${name}" because it has used up its processor time`,
        detail: `Its limit RLIMIT_CPU is ${show(cpu.soft)} s, or ${show(cpu.hard)} s until it is killed.`,
      });
    });
  }
  for (const limit of all.values()) {
    if (RESOURCES[limit.name]?.number === null) setHeapLimit(name, limit);
    else setLimit(name, limit);
  }
}
