// Dynamic shared memory. Any child of the postmaster creates, attaches and detaches; the postmaster maps, and resets in a crash cycle.
// PostgreSQL: src/backend/storage/ipc/dsm.c, dsm_impl.c. There each segment is a file of its own in /dev/shm.
#include "dsm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "process.h"
#include "shmem.h"
#include "signals.h"

// First fit leaves gaps. With a range that is so many times as long as all segments together may be, there is a gap for every size that the limit allows
// (Robson: log2 of the largest size is enough), so that a create never fails for want of addresses. Addresses cost nothing.
enum { kRoom = 32 };
static const uint64_t kSmallestRange = 1ULL << 20;

static uint8_t *base;
static uint64_t range;
static int fd = -1;
// How many there may be, as the postmaster said: not believed of the control structure, which a worker may have written over.
static uint32_t max_items;

// What this process is attached to, by index. Main thread only. Also read on the way out, in a handler, which finds it whole: interrupts are held where
// it changes.
static BgwDsmControl *attached_to;
static bool *attached;
static uint32_t attached_count;

// --- the mapping ----------------------------------------------------------------------------------------------------------------------

static uint64_t RoundUp(uint64_t size) { return (size + kBgwDsmPage - 1) / kBgwDsmPage * kBgwDsmPage; }

int BgwDsmMap(uint64_t limit) {
  uint64_t size = kSmallestRange;
  while (size < limit * kRoom && size < 1ULL << 45) size *= 2;
  // `ulimit -f` counts holes, too, and comes with a signal.
  struct rlimit file;
  if (getrlimit(RLIMIT_FSIZE, &file) == 0 && file.rlim_cur != RLIM_INFINITY) {
    while (size > file.rlim_cur && size > kSmallestRange) size /= 2;
  }
  for (;; size /= 2) {
    void *address = NULL;
    int result = BgwShmemCreate(size, &address);
    if (result >= 0) {
      base = address;
      range = size;
      fd = result;
      // A core file would have to walk all of it.
      (void)madvise(base, range, MADV_DONTDUMP);
      return 0;
    }
    // `ulimit -v`, or fewer bits of address than we thought.
    if (result != -ENOMEM || size <= kSmallestRange) return result;
  }
}

int BgwDsmUnmap(void) {
  if (base == NULL) return 0;
  int result = BgwShmemUnmap(base, range);
  close(fd);
  base = NULL;
  range = 0;
  fd = -1;
  return result;
}

static int Punch(uint64_t offset, uint64_t size) {
  int result;
  do {
    result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? bgw_errno() : 0;
}

// Memory now, or an error now: a page that could not be had later would be SIGBUS.
static int Allocate(uint64_t offset, uint64_t size) {
  // Signals would interrupt a long one again and again, and it begins anew each time. SIGQUIT waits with the rest: it is not for ever.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  int result = fallocate(fd, 0, (off_t)offset, (off_t)size) < 0 ? bgw_errno() : 0;
  sigprocmask(SIG_SETMASK, &before, NULL);
  return result;
}

int BgwDsmReset(BgwDsmControl *control, uint32_t items, uint64_t limit) {
  int result = Punch(0, range);
  control->max_items = max_items = items;
  uint64_t pages = limit / kBgwDsmPage;
  control->limit = pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages;
  return result;
}

void *BgwDsmAddress(const BgwDsmControl *control, uint32_t index) {
  return base + (uint64_t)control->items[index].first * kBgwDsmPage;
}

// Does it say of itself what can be? Else somebody has written over it.
static bool IsWhole(const BgwDsmItem *item) {
  uint64_t pages = range / kBgwDsmPage;
  return item->size > 0 && item->pages <= pages && item->first <= pages - item->pages &&
         item->size <= (uint64_t)item->pages * kBgwDsmPage;
}

int BgwDsmContains(const void *address, size_t size) {
  const uint8_t *at = address;
  return base != NULL && at >= base && size <= range && (uint64_t)(at - base) <= range - size;
}

// --- segments -------------------------------------------------------------------------------------------------------------------------
//
// A segment is made and destroyed outside of the lock, since the kernel may take its time over a large one. Meanwhile refcnt is 1: the range is taken, nobody
// finds the segment, and interrupts are held, so that the process that is at it cannot leave in between (killed, it is a crash).

static int Lock(BgwDsmControl *control) {
  int result = BgwLWLockAcquire(&control->lock, kBgwExclusive);
  return result < 0 ? result : 0;
}
static void Unlock(BgwDsmControl *control) { (void)!BgwLWLockRelease(&control->lock); }

static int PrepareToAttach(BgwDsmControl *control) {
  if (attached == NULL) attached = calloc(max_items, sizeof(bool));
  return attached == NULL ? -ENOMEM : 0;
}

static void NoteAttached(BgwDsmControl *control, uint32_t index) {
  attached_to = control;
  attached[index] = true;
  attached_count++;
}

static int ByFirst(const void *a, const void *b) {
  const BgwDsmItem *const *left = a, *const *right = b;
  return (*left)->first < (*right)->first ? -1 : 1;
}

// Under the lock: where so many pages are free. -ENOSPC where nowhere.
static int64_t FindGap(const BgwDsmControl *control, uint32_t pages, const BgwDsmItem **sorted) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < max_items; i++) {
    if (control->items[i].refcnt > 0) sorted[count++] = &control->items[i];
  }
  qsort(sorted, count, sizeof(*sorted), ByFirst);
  uint64_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (sorted[i]->first - at >= pages) break;
    at = (uint64_t)sorted[i]->first + sorted[i]->pages;
  }
  uint64_t all = range / kBgwDsmPage;
  return at + pages <= all && at <= UINT32_MAX - pages ? (int64_t)at : -ENOSPC;
}

static bool HandleIsTaken(const BgwDsmControl *control, uint32_t handle) {
  for (uint32_t i = 0; i < max_items; i++) {
    if (control->items[i].refcnt > 0 && control->items[i].handle == handle) return true;
  }
  return false;
}

// A handle that names nobody yet. At random, so that a stale one is unlikely to name another segment.
static int NewHandle(const BgwDsmControl *control, uint32_t *handle) {
  do {
    unsigned value = 0;
    int result = BgwRandom32(&value);
    if (result < 0) return result;
    *handle = value;
  } while (*handle == 0 || HandleIsTaken(control, *handle));
  return 0;
}

// Under the lock.
static int TakeItem(BgwDsmControl *control, uint64_t size, const BgwDsmItem **sorted) {
  uint64_t pages = RoundUp(size) / kBgwDsmPage;
  uint32_t index = 0;
  while (index < max_items && control->items[index].refcnt > 0) index++;
  if (index == max_items) return -EMFILE;
  if (pages > control->limit - control->used) return -ENOSPC;
  int64_t first = FindGap(control, (uint32_t)pages, sorted);
  if (first < 0) return (int)first;
  uint32_t handle = 0;
  int result = NewHandle(control, &handle);
  if (result < 0) return result;
  control->items[index] =
      (BgwDsmItem){.handle = handle, .refcnt = 1, .first = (uint32_t)first, .pages = (uint32_t)pages, .size = size};
  control->used += (uint32_t)pages;
  return (int)index;
}

// Of an item with refcnt 1 that is ours: the memory, then the range. Interrupts are held.
static void Destroy(BgwDsmControl *control, uint32_t index) {
  BgwDsmItem *item = &control->items[index];
  (void)!Punch((uint64_t)item->first * kBgwDsmPage, (uint64_t)item->pages * kBgwDsmPage);
  if (Lock(control) < 0) return;
  control->used -= item->pages;
  item->refcnt = 0;
  Unlock(control);
}

int BgwDsmCreate(BgwDsmControl *control, uint64_t size) {
  if (base == NULL) return -ENODEV;
  if (size == 0 || size > range) return size == 0 ? -EINVAL : -ENOSPC;
  int result = PrepareToAttach(control);
  if (result < 0) return result;
  const BgwDsmItem **sorted = malloc(max_items * sizeof(*sorted));
  if (sorted == NULL) return -ENOMEM;
  BgwHoldInterrupts();
  result = Lock(control);
  if (result == 0) {
    result = TakeItem(control, size, sorted);
    Unlock(control);
  }
  free(sorted);
  if (result >= 0) {
    uint32_t index = (uint32_t)result;
    BgwDsmItem *item = &control->items[index];
    uint64_t offset = (uint64_t)item->first * kBgwDsmPage, length = (uint64_t)item->pages * kBgwDsmPage;
    // A stray write after a detach may have filled the hole again; what fallocate finds it leaves as it is.
    int made = Punch(offset, length);
    if (made == 0) made = Allocate(offset, length);
    if (made == 0) made = Lock(control);
    if (made == 0) {
      item->refcnt = 2;
      NoteAttached(control, index);
      Unlock(control);
    } else {
      Destroy(control, index);
      result = made;
    }
  }
  BgwResumeInterrupts();
  return result;
}

int BgwDsmAttach(BgwDsmControl *control, uint32_t handle) {
  if (base == NULL) return -ENODEV;
  int result = PrepareToAttach(control);
  if (result == 0) result = Lock(control);
  if (result < 0) return result;
  result = -ENOENT;
  for (uint32_t i = 0; i < max_items; i++) {
    BgwDsmItem *item = &control->items[i];
    if (item->refcnt < 2 || item->handle != handle) continue;
    result = attached[i] ? -EEXIST : IsWhole(item) ? (int)i : -EBADMSG;
    if (result >= 0) {
      item->refcnt++;
      NoteAttached(control, i);
    }
    break;
  }
  Unlock(control);
  return result;
}

// Under the lock, interrupts held: one reference less. True where the caller is to destroy it.
static bool DropReference(BgwDsmItem *item) { return --item->refcnt == 1; }

int BgwDsmDetach(BgwDsmControl *control, uint32_t index) {
  if (attached == NULL || index >= max_items || !attached[index]) return -EINVAL;
  BgwHoldInterrupts();
  int result = Lock(control);
  if (result == 0) {
    attached[index] = false;
    attached_count--;
    bool last = DropReference(&control->items[index]);
    Unlock(control);
    if (last) Destroy(control, index);
  }
  BgwResumeInterrupts();
  return result;
}

int BgwDsmPin(BgwDsmControl *control, uint32_t index) {
  if (attached == NULL || index >= max_items || !attached[index]) return -EINVAL;
  int result = Lock(control);
  if (result < 0) return result;
  BgwDsmItem *item = &control->items[index];
  if (item->pinned) {
    result = -EALREADY;
  } else {
    item->pinned = 1;
    item->refcnt++;
  }
  Unlock(control);
  return result;
}

int BgwDsmUnpin(BgwDsmControl *control, uint32_t handle) {
  BgwHoldInterrupts();
  int result = Lock(control);
  if (result == 0) {
    result = -ENOENT;
    bool last = false;
    uint32_t i = 0;
    while (i < max_items && (control->items[i].refcnt < 2 || control->items[i].handle != handle)) i++;
    if (i < max_items) result = control->items[i].pinned ? 0 : -EINVAL;
    if (result == 0) {
      control->items[i].pinned = 0;
      last = DropReference(&control->items[i]);
    }
    Unlock(control);
    if (last) Destroy(control, i);
  }
  BgwResumeInterrupts();
  return result;
}

void BgwDsmDetachAll(void) {
  if (attached_count == 0) return;
  BgwHoldInterrupts();  // for good: each release in here would end the process a second time
  for (uint32_t i = 0; i < max_items && attached_count > 0; i++) {
    if (attached[i] && BgwDsmDetach(attached_to, i) < 0) return;
  }
}

void BgwDsmForget(void) {
  free(attached);
  attached = NULL;
  attached_to = NULL;
  attached_count = 0;
}
