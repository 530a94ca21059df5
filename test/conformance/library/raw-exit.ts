// The one thing that scripts need and the API does not offer, on purpose: C's `_exit`, which leaves shared memory behind as it is. Runs in workers and in
// session backends.

import { native } from '../../../dist/native.js';

/** No callbacks, no detaching: to the postmaster this is a crash, whatever the status. */
export function leaveWithoutCleanup(status: number): never {
  return native.exitDirty(status);
}
