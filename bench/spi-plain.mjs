// The plain client that bench/spi.mjs measures ours beside: a process of Node that does what the worker does, and writes what it took to standard output.
import pg from 'pg';
import { measure } from './spi-measure.mjs';

const { host, transactions, rows } = JSON.parse(process.argv[2]);

async function connect() {
  const begin = process.hrtime.bigint();
  const client = new pg.Client({ host, port: 5432, user: 'postgres', database: 'postgres' });
  await client.connect();
  return { client, us: Number(process.hrtime.bigint() - begin) / 1000 };
}

const first = await connect();
await first.client.end();
const { client, us } = await connect();
const transaction = async (query) => {
  await client.query('BEGIN');
  const result = await client.query(query);
  await client.query('COMMIT');
  return result;
};
const times = await measure(
  { transactions, rows },
  {
    select: () => transaction('SELECT 1'),
    prepared: () => transaction({ name: 'one', text: 'SELECT 1' }),
    update: () => transaction('UPDATE bench_spi SET n = n + 1'),
    rows: async (query) => (await transaction(query)).rows.length,
  },
);
await client.end();
process.stdout.write(JSON.stringify({ connect: [first.us], again: [us], ...times }));
