// Workers that are measured against each other: the main function `plays` of a library (bench/player.mjs), once for each player. Nothing here is measured.
import { lines, startPostmaster } from './lib.mjs';

/**
 * Starts a postmaster and its players, and gives `body` a function that returns the next thing that one of them tells. `extras`: what each is told, besides its
 * number as `role`.
 */
export async function withPlayers(library, extras, body) {
  const pm = await startPostmaster({ settings: { shared_preload_libraries: library } });
  const reader = lines(pm.pipe);
  const session = await pm.connect();
  try {
    for (const [role, extra] of extras.entries()) {
      const worker = { name: `player ${role}`, flags: 1, startTime: 2, restartTime: -1, libraryName: library, functionName: 'plays' };
      const handle = await session.registerDynamicBackgroundWorker({ ...worker, extra: JSON.stringify({ role, ...extra }) });
      if (handle === null) throw new Error('no slot for a player');
    }
    return await body(async () => JSON.parse(await reader.next()));
  } finally {
    await session.close();
    await pm.stop();
  }
}
