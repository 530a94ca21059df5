// Limits of a worker's resources as text, for a setting and for a field of the descriptor: `RLIMIT_NOFILE=256, RLIMIT_CPU=60s:70s, max_old_space_size=64MB`.
// The words are POSIX's and Linux's (getrlimit(2)), and one of V8's. Pure. Any process.
// PostgreSQL: none; there it is the service manager's business, for all of a cluster.

interface Resource {
  /** <sys/resource.h> on x86-64 and arm64, which agree; null: the heap, V8's business. */
  readonly number: number | null;
  readonly unit: 'bytes' | 'seconds' | 'count';
}

export const RESOURCES: Readonly<Record<string, Resource>> = {
  RLIMIT_CPU: { number: 0, unit: 'seconds' },
  RLIMIT_FSIZE: { number: 1, unit: 'bytes' },
  RLIMIT_DATA: { number: 2, unit: 'bytes' },
  RLIMIT_CORE: { number: 4, unit: 'bytes' },
  RLIMIT_NPROC: { number: 6, unit: 'count' },
  RLIMIT_NOFILE: { number: 7, unit: 'count' },
  RLIMIT_MEMLOCK: { number: 8, unit: 'bytes' },
  RLIMIT_AS: { number: 9, unit: 'bytes' },
  max_old_space_size: { number: null, unit: 'bytes' },
};

/** No limit. */
export const RLIM_INFINITY = -1;

/** Seconds from the soft limit of RLIMIT_CPU to the hard one, where only one is given: the time in which the worker can leave in order. */
export const CPU_GRACE = 5;

export interface ResourceLimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

const UNITS = {
  bytes: { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 },
  seconds: { s: 1, min: 60, h: 3600, d: 86_400 },
  count: {},
} as const;

/** A number with a unit of its kind, or "unlimited". null: neither. */
function parseAmount(text: string, unit: Resource['unit']): number | null {
  if (text === 'unlimited') return RLIM_INFINITY;
  const [, digits, suffix] = /^(\d+)\s*([a-zA-Z]*)$/.exec(text) ?? [];
  if (digits === undefined) return null;
  const factor = suffix === '' ? 1 : (UNITS[unit] as Readonly<Record<string, number>>)[suffix as string];
  const amount = factor === undefined ? NaN : Number(digits) * factor;
  return Number.isSafeInteger(amount) ? amount : null;
}

const above = (value: number, other: number): boolean => other !== RLIM_INFINITY && (value === RLIM_INFINITY || value > other);

function parseLimit(item: string): ResourceLimit | string {
  const [, name = '', softText = '', hardText] = /^([^=]*?)\s*=\s*([^:]*?)\s*(?::\s*(.*))?$/s.exec(item) ?? [];
  if (name === '') return `"${item}" has not the form NAME=SOFT or NAME=SOFT:HARD`;
  const resource = Object.hasOwn(RESOURCES, name) ? RESOURCES[name] : undefined;
  if (resource === undefined) return `unrecognized resource "${name}"; there are ${Object.keys(RESOURCES).join(', ')}`;
  const soft = parseAmount(softText, resource.unit);
  const hard = hardText === undefined ? soft : parseAmount(hardText, resource.unit);
  if (soft === null || hard === null) {
    const units = Object.keys(UNITS[resource.unit]).join(', ');
    const wanted = units === '' ? 'a whole number' : `a whole number, with a unit (${units}) or without`;
    return `"${item}": the value of ${name} is ${wanted}, or "unlimited"`;
  }
  if (above(soft, hard)) return `"${item}": the soft limit is above the hard one`;
  if (name === 'max_old_space_size') {
    return hardText !== undefined || soft <= 0 ? `"${item}": max_old_space_size is one number of bytes above 0` : { name, soft, hard };
  }
  if (name === 'RLIMIT_CPU' && hardText === undefined && soft !== RLIM_INFINITY) return { name, soft, hard: soft + CPU_GRACE };
  return { name, soft, hard };
}

/** The limits of a text; or, as a string, what is wrong with it. Of two for one resource the later counts. */
export function parseRlimits(text: string): readonly ResourceLimit[] | string {
  const limits = new Map<string, ResourceLimit>();
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '' && text.trim() === '') continue;
    const limit = parseLimit(item);
    if (typeof limit === 'string') return limit;
    limits.set(limit.name, limit);
  }
  return [...limits.values()];
}

/** What the check hook of the setting says of a text. */
export function checkRlimits(text: string | null): true | { readonly detail: string } {
  const parsed = parseRlimits(text ?? '');
  return typeof parsed === 'string' ? { detail: `${parsed[0]?.toUpperCase()}${parsed.slice(1)}.` } : true;
}
