// What a chaos run has to say at its end: counts, and where something did not hold all that helps to find out why. Pure but for the world that it reads.

import type { ChaosOptions } from './options.js';
import type { CollectedVitals } from './vitals.js';
import type { World } from './world.js';

export interface Report {
  readonly ok: boolean;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

function inOneLine(vitals: CollectedVitals | null): string {
  if (vitals === null) return 'it could not be asked';
  const { descriptors, mappings, anonymousKb, rssKb, heapKb } = vitals;
  return `${descriptors.length} descriptors, ${mappings} mappings, ${anonymousKb} KB of its own, ${rssKb} KB resident, ${heapKb} KB live on its heap`;
}

interface Run {
  /** null: it did not come to that. */
  readonly warm: CollectedVitals | null;
  readonly end: CollectedVitals | null;
  readonly seconds: number;
}

export function report(world: World, { seed, minutes, workers }: ChaosOptions, run: Run): Report {
  const { violations } = world;
  const ok = violations.length === 0 && world.fatal === null;
  const counts = { ...world.counts, ...world.audit.counts };
  const vitals = { warm: run.warm, end: run.end };
  const rows = Object.entries(counts)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([what, count]) => `  ${String(count).padStart(8)}  ${what}\n`);
  const head = `\n${ok ? 'All held' : 'NOT ALL HELD'}: seed ${seed}, ${run.seconds.toFixed(0)} s, ${workers} worker slots\n`;
  const memory = `  postmaster when warm: ${inOneLine(run.warm)}\n  postmaster at the end: ${inOneLine(run.end)}\n`;
  const evidence = ok ? '' : evidenceOf(world, `npm run chaos -- --seed ${seed} --minutes ${minutes} --workers ${workers}`);
  return {
    ok,
    text: head + rows.join('') + memory + evidence,
    json: { ok, seed, minutes, seconds: run.seconds, counts, vitals, violations, ...(ok ? {} : { evidence }) },
  };
}

function evidenceOf(world: World, again: string): string {
  const parts = [
    `--- what did not hold\n${[...world.violations, ...(world.violations.length === 0 && world.fatal !== null ? [world.fatal] : [])].join('\n')}`,
    world.evidence ?? '',
    `--- the same actions again: ${again}`,
  ];
  return `${parts.join('\n')}\n`;
}
