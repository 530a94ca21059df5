// Platform threads do not exist in a forked child, and a task that V8 posts to them there stays in their queue for ever. In spite of --single-threaded,
// V8 posts some when a heap is collected (to clear references in Node 20, to scavenge in 26), as help that it can do without; but at the end of an
// event loop, the child's own or that of a thread of worker_threads, Node 20 and 26 wait until that queue is worked off: the hazard V4 of
// docs/fork-safety.md. V8 posts no more of them than the platform says it has threads. So ours says none, and V8 does all the work itself, in every isolate.
// Jobs on Node 20 are told the number past the table, when they are created (WebAssembly's, which compiles anew what is called often, is): what they post, ours
// does not take, and the code stays as it is.
//
// What V8 posts to be run later it posts without asking: Node 20 measures 5, 20, 60 and 120 s after it has instantiated WebAssembly, which loading a CommonJS
// module by import does. A thread of the platform keeps the time and hands the task to a worker thread, and so wakes one of them between the look and the fork:
//
//   main thread                         timer's thread                  worker thread
//   sees all three asleep
//   (loses the processor)               5 s are over: counts the
//                                       task, puts it into the queue,
//                                       wakes the worker thread         (ready, has no processor)
//   fork(): the child has a queue                                       runs the task, counts it off
//   with a task that nobody will run
//
// and waits for it, at the end of its event loop, for ever: V6. Ours takes no such task, and the caller deletes it. What else V8 posts so: giving back pooled
// pages (newer ones, which cope with its never being done), and the end of what a debugger has evaluated with a time limit, which a child never came to.
//
// What it rests on: virtual functions are called by way of their class's table, to which an object's first word points (the Itanium C++ ABI). The slot is
// found by the address of the function in it, which Node exports, so no order of slots is assumed.
#include "platform.h"

#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "store_word.h"

// More than v8::Platform and what Node derives from it have before the function that is looked for, less than what follows the table could fault by.
enum { kSlots = 24 };

static int NoWorkerThreads(void *platform) {
  (void)platform;
  return 0;
}

// Whatever its parameters are, by Node's version: a task is passed by reference to its owner, which the caller has, and which deletes it. Two functions, so that
// each slot tells whose it was.
static int TakeNoTask(void) { return 0; }
static int TakeNoTaskForLater(void) { return 1; }

typedef struct Place {
  uintptr_t address;
  bool found, read_only;
} Place;

// Is the page of an address in a segment that was never writable, or that the dynamic linker has protected?
static int LookAt(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  Place *place = arg;
  uintptr_t page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    uintptr_t start = info->dlpi_addr + header->p_vaddr, end = start + header->p_memsz;
    if (header->p_type == PT_LOAD && place->address >= start && place->address < end) {
      place->found = true;
      if (!(header->p_flags & PF_W)) place->read_only = true;
    }
    if (header->p_type == PT_GNU_RELRO && place->address >= (start & page_mask) && place->address < (end & page_mask)) {
      place->read_only = true;
    }
  }
  return place->found;
}

static int Replace(uintptr_t *table, uintptr_t function, uintptr_t by) {
  for (int i = 0; i < kSlots; i++) {
    if (table[i] == by) return 0;
    if (table[i] != function) continue;
    Place place = {.address = (uintptr_t)&table[i]};
    dl_iterate_phdr(LookAt, &place);
    if (!place.found) return -ENOENT;
    return BgwStoreWord(&table[i], by, place.read_only);
  }
  return -ENOENT;
}

int BgwEmptyPlatform(void *platform, BgwPlatformFunctions functions) {
  uintptr_t *table = *(uintptr_t **)platform;
  int result = Replace(table, functions.number_of_worker_threads, (uintptr_t)NoWorkerThreads);
  if (result == 0) result = Replace(table, functions.post_task, (uintptr_t)TakeNoTask);
  return result < 0 ? result : Replace(table, functions.post_delayed_task, (uintptr_t)TakeNoTaskForLater);
}
