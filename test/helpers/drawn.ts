// What siblings drew at random, looked at: who has drawn what somebody else has drawn before. Runs in the process of a test.

export interface Drawn {
  /** How many values there are of each kind. */
  readonly values: ReadonlyMap<string, number>;
  /** How many of them were there before. */
  readonly repeated: ReadonlyMap<string, number>;
}

/** Lines as test/fixtures/random-workers.mjs writes them: an object of lists by kind, one object a worker. */
export function lookForRepetitions(text: string): Drawn {
  const seen = new Map<string, Set<unknown>>();
  const values = new Map<string, number>();
  const repeated = new Map<string, number>();
  for (const line of text.trimEnd().split('\n')) {
    for (const [kind, list] of Object.entries(JSON.parse(line) as Record<string, unknown[]>)) {
      const before = seen.get(kind) ?? new Set();
      seen.set(kind, before);
      for (const value of list) {
        values.set(kind, (values.get(kind) ?? 0) + 1);
        if (before.has(value)) repeated.set(kind, (repeated.get(kind) ?? 0) + 1);
        before.add(value);
      }
    }
  }
  return { values, repeated };
}
