// A word in a table of functions that the dynamic linker has made read-only, or not. For imports.c and platform.c.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "result.h"

// One aligned word: another thread that calls through it meanwhile finds the one function or the other. Its page is read-only again afterwards where it
// was. One caller at a time. Result: 0 or -errno.
BGW_MUST_CHECK int BgwStoreWord(uintptr_t *word, uintptr_t value, bool read_only);
