// The word types of structures that live in shared memory, readable from C and from C++ (where <stdatomic.h> is another thing before C++23).
#pragma once

#include <stdint.h>

#ifdef __cplusplus
typedef int32_t BgwAtomicInt;
typedef uint32_t BgwAtomicUint;
typedef uint16_t BgwAtomicShort;
typedef uint64_t BgwAtomicUlong;
#else
#include <stdatomic.h>
typedef _Atomic int32_t BgwAtomicInt;
typedef _Atomic uint32_t BgwAtomicUint;
typedef _Atomic uint16_t BgwAtomicShort;
typedef _Atomic uint64_t BgwAtomicUlong;
_Static_assert(sizeof(BgwAtomicInt) == 4 && sizeof(BgwAtomicUint) == 4, "src/shmem/layout.ts counts four bytes a word");
#endif
