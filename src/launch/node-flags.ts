// The flags with which Node must have been started for a postmaster: all are V8's, and late ones crash or come too late. Command line and postmaster.

/**
 * - `--single-threaded`: V8 collects and compiles on the main thread. Helper threads do not exist in a forked child, which would wait for them.
 * - `--v8-pool-size=1`: one platform thread, since zero means "cores - 1". One dead waiter on its condition variable does no harm in a child; more do.
 * - `--no-memory-reducer`: no collections by timer. In an idle child they would turn shared pages into its own (8 MB instead of 1.7), and wake it.
 * - `--no-flush-bytecode`: what the postmaster has compiled stays compiled through the collections before it serves; else each child compiles it again.
 */
export const NODE_FLAGS: readonly string[] = ['--single-threaded', '--v8-pool-size=1', '--no-memory-reducer', '--no-flush-bytecode'];
