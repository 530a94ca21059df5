// Our own functions in place of five that Node imports from the C library. The postmaster, before anything else; its children inherit them.
#pragma once

#include "result.h"

// Puts wrappers of pthread_create, madvise, mmap, dlopen and sigaction into the import tables of every loaded object but the C library and ourselves, and unmarks
// what was marked MADV_DONTFORK before. From here on threads are born with every signal blocked, no memory is kept from a fork, pages of V8's heap lie side by
// side, and what is loaded later is looked through as it is loaded; and a signal that somebody gives back to the kernel goes to what BgwSignal chose for it. Again
// does no harm. Result: how many slots hold our wrappers now, or -errno: -ENOENT where pthread_create or madvise has no slot, in a program that brings its C
// library with it.
BGW_MUST_CHECK int BgwPatchImports(void);
