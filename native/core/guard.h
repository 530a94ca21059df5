// Memory that is gone, and that JavaScript may still hold a view of. Any child.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "result.h"

// Takes the memory away and keeps its addresses: nothing else can be mapped there, and a touch ends the process with its last
// words and status 1, in order, instead of with a fault (which would be a crash of everybody). Whole pages.
// -EINVAL where it does not begin and end with pages.
BGW_MUST_CHECK int BgwGuard(void *address, size_t size);
// The last view is gone: gives the addresses back. What is no guard is left alone.
void BgwUnguard(void *address);
