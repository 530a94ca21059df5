// The worker that bench/spi.mjs measures: connects, runs transactions and reads rows, and writes what it took to descriptor 3 as one line of JSON.
import { writeSync } from 'node:fs';
import {
  abortCurrentTransaction,
  backgroundWorkerInitializeConnection,
  backgroundWorkerUnblockSignals,
  commitTransactionCommand,
  myBgworkerEntry,
  spiConnect,
  spiCopyTo,
  spiCursorOpenWithArgs,
  spiExecute,
  spiExecutePlan,
  spiFinish,
  spiKeepplan,
  spiPrepare,
  startTransactionCommand,
} from 'bgworker';
import { measure } from './spi-measure.mjs';

async function transaction(body) {
  await startTransactionCommand();
  spiConnect();
  const result = await body();
  spiFinish();
  await commitTransactionCommand();
  return result;
}

export async function measureSpi() {
  backgroundWorkerUnblockSignals();
  const [transactions, rows] = new Uint32Array(myBgworkerEntry.extra.slice(0, 8).buffer);
  const begin = process.hrtime.bigint();
  await backgroundWorkerInitializeConnection('postgres', null);
  const connect = Number(process.hrtime.bigint() - begin) / 1000;
  const plan = await transaction(async () => {
    const prepared = await spiPrepare('SELECT 1');
    spiKeepplan(prepared);
    return prepared;
  });
  const times = await measure(
    { transactions, rows },
    {
      select: () => transaction(() => spiExecute('SELECT 1')),
      prepared: () => transaction(() => spiExecutePlan(plan)),
      update: () => transaction(() => spiExecute('UPDATE bench_spi SET n = n + 1')),
      rows: (query) => transaction(async () => (await spiExecute(query)).rows.length),
      cursor: (query) =>
        transaction(async () => {
          let count = 0;
          for await (const row of await spiCursorOpenWithArgs(null, query)) count += row === undefined ? 0 : 1;
          return count;
        }),
      copy: (query) =>
        transaction(async () => {
          let count = 0;
          for await (const bytes of await spiCopyTo(`COPY (${query}) TO STDOUT`)) for (const byte of bytes) if (byte === 10) count++;
          return count;
        }),
    },
  );
  await abortCurrentTransaction();
  writeSync(3, `${JSON.stringify({ connect: [connect], ...times })}\n`);
}
