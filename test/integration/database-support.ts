// A database server for all tests of a file: made and started before them, removed after them. Runs in the process of the test.
import { afterAll, beforeAll } from 'vitest';
import { DatabaseServer } from '../helpers/database-server.js';
import { standIn } from '../helpers/stand-in.js';

/** @param prepare what is done to its files before it starts */
export function sharedDatabaseServer(prepare: (server: DatabaseServer) => void = () => {}): DatabaseServer {
  let server: DatabaseServer | undefined;
  beforeAll(async () => {
    server = new DatabaseServer();
    prepare(server);
    await server.start();
  }, 60_000);
  afterAll(() => server?.remove());
  return standIn(() => server as DatabaseServer);
}
