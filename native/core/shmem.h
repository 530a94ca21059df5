// The shared mapping. Made by the postmaster, inherited by its children over the fork.
#pragma once

#include <stddef.h>

#include "result.h"

// A memfd of `size` bytes, zeroed and mapped shared. On success *address is the mapping and the result the descriptor.
BGW_MUST_CHECK int BgwShmemCreate(size_t size, void **address);
BGW_MUST_CHECK int BgwShmemUnmap(void *address, size_t size);
// All of it zero again, and its pages given back, as if it had just been made. Nobody else may be attached.
BGW_MUST_CHECK int BgwShmemReset(int fd, void *address, size_t size);
