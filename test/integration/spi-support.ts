// What the tests of SPI have in common: its modules as one object, and transactions around a body, a server. Runs in the process of the test.
import { afterEach, beforeEach, expect } from 'vitest';
import type { DatabaseConnection } from '../../src/database/database-connection.js';
import * as types from '../../src/database/pg-type.js';
import * as core from '../../src/database/spi.js';
import * as codes from '../../src/database/spi-codes.js';
import * as connect from '../../src/database/spi-connect.js';
import * as copy from '../../src/database/spi-copy.js';
import * as cursor from '../../src/database/spi-cursor.js';
import * as plan from '../../src/database/spi-plan.js';
import * as xact from '../../src/database/xact.js';
import type { ErrorData } from '../../src/elog/error-data.js';
import { type DatabaseServer, TestOwner } from '../helpers/database-server.js';
import { sharedDatabaseServer } from './database-support.js';

export const spi = { ...codes, ...types, ...xact, ...connect, ...core, ...plan, ...cursor, ...copy };

/** One transaction around a function, as a worker has it. */
export async function transaction<T>(body: () => Promise<T>): Promise<T> {
  await spi.startTransactionCommand();
  spi.spiConnect();
  const result = await body();
  spi.spiFinish();
  await spi.commitTransactionCommand();
  return result;
}

/** What a promise rejects with. */
export async function errorOf(promise: Promise<unknown>): Promise<ErrorData> {
  const error = await promise.then(
    () => null,
    (err: unknown) => err as ErrorData,
  );
  expect(error).not.toBeNull();
  return error!;
}

/** An error inside a transaction, which is then aborted. */
export async function failing(body: () => Promise<unknown>): Promise<ErrorData> {
  await spi.startTransactionCommand();
  spi.spiConnect();
  const error = await errorOf(body());
  expect(spi.isAbortedTransactionBlockState()).toBe(true);
  await spi.abortCurrentTransaction();
  return error;
}

/** A database server for all tests of a file, and a connection for each. */
export function sharedServer(): { readonly server: DatabaseServer; readonly owner: TestOwner; readonly connection: DatabaseConnection } {
  const shared = { server: sharedDatabaseServer() } as { server: DatabaseServer; owner: TestOwner; connection: DatabaseConnection };
  beforeEach(async () => {
    shared.owner = new TestOwner();
    shared.connection = await shared.owner.open(shared.server.cluster.conninfo);
    spi.setDatabaseConnection(shared.connection);
  });
  afterEach(async () => {
    spi.setDatabaseConnection(null);
    await shared.connection.close();
  });
  return shared;
}

/** Rows of one statement in the current transaction. */
export async function rows(command: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
  return (await spi.spiExecute(command, { values })).rows;
}
