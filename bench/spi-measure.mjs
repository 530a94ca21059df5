// What bench/spi.mjs measures, the same in a worker and in plain Node: only how each thing is done differs.

export const rowQuery = (rows) => `SELECT i AS n, md5(i::text) AS t FROM generate_series(1, ${rows}) AS i`;

/** As many as V8 needs to have compiled for good what a transaction runs; fewer measure its compiler. */
const WARM_UP = 1500;

/** Microseconds of each transaction, and for the reading of rows microseconds of each whole result, when both have been run often enough to be at their best. */
export async function measure({ transactions, rows }, ways) {
  const times = {};
  for (const name of ['select', 'prepared', 'update']) {
    times[name] = [];
    for (let i = -WARM_UP; i < transactions; i++) {
      const begin = process.hrtime.bigint();
      await ways[name]();
      if (i >= 0) times[name].push(Number(process.hrtime.bigint() - begin) / 1000);
    }
  }
  for (const name of ['rows', 'cursor', 'copy']) {
    if (ways[name] === undefined) continue;
    times[name] = [];
    for (let i = -2; i < 3; i++) {
      const begin = process.hrtime.bigint();
      const count = await ways[name](rowQuery(rows));
      if (count !== rows) throw new Error(`${name}: ${count} rows instead of ${rows}`);
      if (i >= 0) times[name].push(Number(process.hrtime.bigint() - begin) / 1000);
    }
  }
  return times;
}
