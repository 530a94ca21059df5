// Which Node this package runs on, and which can be a postmaster. Pure: facts in, a complaint or none out, so that what is not at hand here (another system,
// another libc, a build of another kind) can be checked by its facts. Any process; nothing of the addon in here, which may be what cannot be loaded.
// PostgreSQL: none; there configure and the linker say so.

/** What there is to know of a Node before anything of it is used. */
export interface NodeFacts {
  readonly platform: string;
  readonly arch: string;
  /** `process.versions`: others than Node give themselves away here. */
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** `process.config.variables`. */
  readonly build: Readonly<Record<string, unknown>>;
}

/** What the addon finds in a Node that is to be forked. */
export interface ForkFacts extends NodeFacts {
  /** gnu_get_libc_version(3); null where there is no such function. */
  readonly glibc: string | null;
  /** node::SetProcessExitHandler is there. */
  readonly exits: boolean;
  /** pthread_create and madvise are called by way of the dynamic linker. */
  readonly imports: boolean;
  /** What tells V8 the number of threads has been found. */
  readonly platformSlot: boolean;
}

export interface Complaint {
  readonly message: string;
  readonly detail: string;
  readonly hint: string;
}

const OLDEST = [20, 19] as const;
/** On these the tests run. */
const TESTED: ReadonlySet<number> = new Set([20, 22, 24, 26]);
const ARCHS: ReadonlySet<string> = new Set(['x64', 'arm64']);
const USE_NODE = 'Use Node 20.19 or later, 22, 24 or 26 as nodejs.org or your distribution builds it.';

export function nodeFacts(): NodeFacts {
  const { platform, arch, versions } = process;
  return { platform, arch, versions, build: process.config?.variables ?? {} };
}

function version({ versions }: NodeFacts): readonly [major: number, minor: number] {
  const [major = 0, minor = 0] = (versions['node'] ?? '').split('.').map(Number);
  return [major, minor];
}

/** Why nothing of this package runs here; null where it does. An application needs no more than this. */
export function unsupportedRuntime(facts: NodeFacts): Complaint | null {
  const { platform, arch, versions } = facts;
  const message = 'bgworker cannot run here';
  const other = ['bun', 'deno'].find((name) => versions[name] !== undefined);
  if (other !== undefined) {
    const name = `${other[0]?.toUpperCase()}${other.slice(1)}`;
    return { message, detail: `This is ${name} ${versions[other]}, and bgworker forks Node itself.`, hint: USE_NODE };
  }
  if (platform !== 'linux')
    return { message, detail: `It needs Linux; this is ${platform}.`, hint: 'Run it in a Linux container or virtual machine.' };
  if (!ARCHS.has(arch)) {
    return { message, detail: `It needs a 64-bit processor, x64 or arm64; this Node is built for ${arch}.`, hint: 'Use a 64-bit build of Node.' };
  }
  const [major, minor] = version(facts);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    return { message, detail: `It needs Node ${OLDEST.join('.')} or later; this is ${versions['node'] ?? 'none'}.`, hint: USE_NODE };
  }
  return null;
}

/** Why a postmaster cannot be forked from this Node; null where it can. */
export function unforkableNode(facts: ForkFacts): Complaint | null {
  const refuse = (detail: string): Complaint => ({ message: 'this build of Node cannot be forked', detail, hint: USE_NODE });
  if (facts.glibc === null)
    return refuse('It is linked against another C library than glibc (musl, as in Alpine), with which forking was not tried.');
  if (Number(facts.build['v8_enable_pointer_compression'] ?? 0) !== 0 || Number(facts.build['v8_enable_sandbox'] ?? 0) !== 0) {
    return refuse('Its V8 compresses pointers, or has a sandbox: all heaps lie in one cage, with which forking was not tried.');
  }
  if (!facts.exits) return refuse('It does not export node::SetProcessExitHandler, without which a forked child cannot leave in order.');
  if (!facts.imports) {
    return refuse('It does not call pthread_create and madvise by way of the dynamic linker, so that its memory cannot be kept for a child.');
  }
  if (!facts.platformSlot) {
    return refuse('It does not export what tells V8 how many threads there are, and what takes tasks for later, without which a child would hang.');
  }
  return null;
}

/**
 * What to say of a Node that nobody has tried, and that has all that the recipe needs; null where it is one of those that were. It is no reason to refuse:
 * what the recipe rests on is looked for in each Node at each start, and a line that lacks it is refused above.
 */
export function untriedNode(facts: NodeFacts): Complaint | null {
  const [major] = version(facts);
  if (TESTED.has(major)) return null;
  return {
    message: `forking was not tried with Node ${facts.versions['node']}`,
    detail: `bgworker is tested on Node ${[...TESTED].join(', ')}. This one has everything that forking needs, as far as can be seen from here.`,
    hint: 'Run your tests on it before you rely on it, or use one of these.',
  };
}
