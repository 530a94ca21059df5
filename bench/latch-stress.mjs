// No wake-up is lost: two workers take turns by their latches, in blocking and asynchronous waits in turns, on one core, on two, and wherever the kernel puts
// them. A lost wake-up leaves both asleep, and shows as a round that does not end. The C core alone: test/native/latch_stress.c; every interleaving:
// test/unit/model/latch-model.test.ts.
//
//   node bench/latch-stress.mjs [--rounds 1000000] [--repeat 1] [--patience 60]
//
// `patience`: seconds that 10,000 rounds may take. Ends with status 1 where it is over.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { heading, options, root } from './lib.mjs';
import { withPlayers } from './players.mjs';

const { rounds, repeat, patience } = options({ rounds: 1_000_000, repeat: 1, patience: 60 });
const LIBRARY = join(root, 'bench/latch/library.mjs');
const last = availableParallelism() - 1;

const play = (cores) =>
  withPlayers(
    LIBRARY,
    cores.map((core) => ({ form: 'mixed', core, rounds })),
    async (next) => {
      let timer;
      const over = new Promise((_, reject) => {
        timer = setTimeout(
          () => reject(new Error('a wake-up was lost, or this machine is too busy')),
          Math.max(1, rounds / 10_000) * patience * 1000,
        );
      });
      try {
        await Promise.race([next(), over]);
      } finally {
        clearTimeout(timer);
      }
    },
  );

heading(`Latches under stress: ${repeat} times ${rounds} rounds each`);
const places = { 'one core': [0, 0], 'two cores': [0, last], 'any core': [`0-${last}`, `0-${last}`] };
for (let turn = 1; turn <= repeat; turn++) {
  for (const [place, cores] of Object.entries(places)) {
    const begin = performance.now();
    await play(cores);
    const seconds = (performance.now() - begin) / 1000;
    process.stdout.write(`${turn}: ${place}: ${rounds} rounds in ${seconds.toFixed(1)} s\n`);
  }
}
process.stdout.write('nothing was lost\n');
