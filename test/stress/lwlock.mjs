// Locks, condition variables, barriers, channels and segments under stress: several sessions do the same thing at once, in the area or in a segment, blocking and
// asynchronous by turns; what they counted is compared. Part of run.mjs.
import { join } from 'node:path';
import { root } from '../../bench/lib.mjs';
import { openSession, pick, random, values, within } from './kit.mjs';

export const library = join(root, 'test/stress/lwlock-library.mjs');
/** One page of the named segment, which is pinned. */
export const pinnedKb = 4;

const PARTIES = 4;
/** What is done, and how often at most in a round. */
const ROUNDS = { locks: 3000, writes: 500, tokens: 1000, phases: 300, queue: 100, segments: 200 };
const KINDS = Object.keys(ROUNDS);
let played = 0;

/** One round, to its end. Returns how much it did, by kinds. */
export async function play(pm) {
  // Each kind once, whatever the seed and however short the run.
  const kind = played < KINDS.length ? KINDS[played] : pick(KINDS);
  played++;
  const where = pick(['area', 'segment']);
  const sessions = await Promise.all(Array.from({ length: PARTIES }, () => openSession(pm)));
  const rounds = 1 + random(ROUNDS[kind]);
  const before = await sessions[0].call(library, 'state', where);
  const what = `${kind}(${where}, ${rounds})`;
  const results = await within(Promise.all(sessions.map((one, i) => one.call(library, kind, where, rounds, (i + rounds) % 2 === 0))), what);
  const after = await sessions[0].call(library, 'state', where);
  const sum = results.reduce((a, b) => a + b);
  const right =
    after.free === true &&
    after.tokens === 0 &&
    after.counter === after.mirror &&
    (kind !== 'locks' || after.counter - before.counter === sum) &&
    (kind !== 'phases' || (sum >= rounds && sum <= rounds * PARTIES));
  if (!right) throw new Error(`${what} (seed ${values.seed}): ${JSON.stringify({ before, after, results })}`);
  for (const one of sessions) await one.close();
  return { [kind]: rounds * PARTIES };
}

/** Begins what somebody is to be killed in: sessions, what each is at, and how its call ends. Nothing may be held that a dead process held. */
export async function begin(pm) {
  const where = pick(['area', 'segment']);
  const sessions = await Promise.all([openSession(pm), openSession(pm), openSession(pm)]);
  const { free, tokens } = await within(sessions[0].call(library, 'state', where), 'a look after a kill');
  if (!free || tokens !== 0) throw new Error(`what a dead process held is held (seed ${values.seed})`);
  const kinds = [pick(KINDS), pick(KINDS)];
  return sessions.map((session, i) => {
    const doing = kinds[i % 2];
    return { session, doing, call: session.call(library, doing, where, 1e9, random(2) === 0) };
  });
}

/** That all works at the end. */
export async function works(pm) {
  const session = await openSession(pm);
  await within(session.call(library, 'locks', 'area', 300, true), 'locks at the end');
  await session.close();
}
