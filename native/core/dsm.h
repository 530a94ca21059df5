// Dynamic shared memory: segments that are made while the system runs. PostgreSQL: src/include/storage/dsm.h, src/backend/storage/ipc/dsm.c.
//
// One sparse memfd, mapped by the postmaster before the first fork, so large that ranges of it never run out before memory does. A segment is a range
// of its pages. Every child has the whole of it mapped, at the same address: attaching is counting, and nothing can fault afterwards. What a range
// holds is given back to the kernel by punching a hole.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lwlock.h"
#include "result.h"

enum { kBgwDsmPage = 4096 };

// One segment. All fields: written under the lock, by whoever creates, attaches, detaches or pins; read under the lock, or by who is attached.
//   refcnt      0: free. 1: being made or being destroyed, by one process. 2 and more: one for each attached process and one for a pin, plus 1.
//   first, pages, size: set while refcnt goes 0 -> 1, then constant until it is 0 again.
typedef struct BgwDsmItem {
  uint32_t handle;
  uint32_t refcnt;
  uint32_t first;
  uint32_t pages;
  uint64_t size;
  uint32_t pinned;
  uint32_t reserved;
} BgwDsmItem;

// What all processes share about segments. src/shmem/layout.ts has the sizes. Constant but for `used` (under the lock): the pages of all segments.
typedef struct BgwDsmControl {
  BgwLWLock lock;
  uint8_t room_for_lock[64 - sizeof(BgwLWLock)];
  uint32_t max_items;
  uint32_t limit;
  uint32_t used;
  uint32_t reserved[13];
  BgwDsmItem items[];
} BgwDsmControl;

#ifndef __cplusplus
_Static_assert(sizeof(BgwDsmItem) == 32 && offsetof(BgwDsmControl, items) == 128,
               "src/shmem/layout.ts counts these bytes");
#endif

// Postmaster, once: maps a range for segments of `limit` bytes in all, less where a resource limit says so. 0 or -errno.
BGW_MUST_CHECK int BgwDsmMap(uint64_t limit);
// Postmaster, before the first fork and again in a crash cycle, when nobody is attached: no segments, nothing in memory.
BGW_MUST_CHECK int BgwDsmReset(BgwDsmControl *control, uint32_t items, uint64_t limit);
// A process without shared memory.
BGW_MUST_CHECK int BgwDsmUnmap(void);
// A fresh child: the parent's attachments are not ours.
void BgwDsmForget(void);

// Makes a segment of zeroes, attached here. The result is its index, or -EMFILE: no item is free; -ENOSPC: it would go beyond the limit, or no range is
// so long; -ENOMEM and others: from fallocate. May allocate memory of the process's own: not for signal handlers.
BGW_MUST_CHECK int BgwDsmCreate(BgwDsmControl *control, uint64_t size);
// The result is the index, or -ENOENT: there is no such segment, or it is about to go; -EEXIST: attached already; -EBADMSG: garbage.
BGW_MUST_CHECK int BgwDsmAttach(BgwDsmControl *control, uint32_t handle);
// Destroys the segment with its last reference. -EINVAL where it is not attached here.
BGW_MUST_CHECK int BgwDsmDetach(BgwDsmControl *control, uint32_t index);
// -EALREADY: pinned already.
BGW_MUST_CHECK int BgwDsmPin(BgwDsmControl *control, uint32_t index);
// By handle, since nobody may be attached. -ENOENT: there is none; -EINVAL: not pinned.
BGW_MUST_CHECK int BgwDsmUnpin(BgwDsmControl *control, uint32_t handle);
// On the way out of the process, also from a signal handler.
void BgwDsmDetachAll(void);

// Where a segment is.
void *BgwDsmAddress(const BgwDsmControl *control, uint32_t index);
// Does the range of bytes belong to the mapping?
int BgwDsmContains(const void *address, size_t size);
