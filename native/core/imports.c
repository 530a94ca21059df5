// Interposing five imports of the running program, without LD_PRELOAD and without private layouts: what is read here is the ELF gABI (PT_DYNAMIC,
// DT_JMPREL, DT_RELA, DT_SYMTAB, DT_STRTAB, PT_GNU_RELRO), by way of dl_iterate_phdr(3). The hazards, by number as in docs/fork-safety.md:
//
//  F1  madvise: V8 marks its heap MADV_DONTFORK. Ours leaves the mark out, so one walk over the maps, after the slots are ours, is enough:
//      what is marked in between is found by the walk.
//  T1  pthread_create: a thread inherits its creator's mask. One that is born while SIGTERM is open takes signals meant for the main thread, and one
//      that is born before SIGURG was blocked swallows the wake-up of a latch. Ours blocks everything around the call.
//  T3  dlopen: an addon that is loaded later has slots of its own, and may start threads while it is loaded. Ours blocks everything around the call,
//      and looks for new slots at its end.
//  M1  mmap: V8 wants each page of its heap, 256 KB, at an address that it draws by chance, and so 8 KB of page tables to itself, in each process, and a mapping
//      to itself, which each fork copies. Ours leaves the wish out: the kernel then puts it beside the last one, and both are one mapping.
//
// And, no hazard of forking: sigaction, since libuv gives a signal back to the kernel when the last of its listeners goes. A worker's SIGTERM would then be
// deadly to all (a crash, since the kernel's default action detaches from nothing). Ours gives it back to what BgwSignal chose last, at once.
//
// What it rests on: the objects call through slots (their code is position-independent, or goes through a PLT), which holds for whatever the dynamic
// linker has linked against a C library in another object. A program that brings its C library with it could not have loaded us.
#include "imports.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fork.h"
#include "postmaster_death.h"
#include "signals.h"
#include "store_word.h"

#if defined(__x86_64__)
enum { kJumpSlot = R_X86_64_JUMP_SLOT, kGlobDat = R_X86_64_GLOB_DAT, kAbsolute = R_X86_64_64 };
#elif defined(__aarch64__)
enum { kJumpSlot = R_AARCH64_JUMP_SLOT, kGlobDat = R_AARCH64_GLOB_DAT, kAbsolute = R_AARCH64_ABS64 };
#else
#error "the relocation types of this processor are not known here"
#endif

// --- the wrappers ---------------------------------------------------------------------------------------------------------------

static void BlockAll(sigset_t *before) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, before);
}

static int BlockedPthreadCreate(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
  sigset_t before;
  BlockAll(&before);
  int result = pthread_create(thread, attr, run, arg);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}

static int ForkableMadvise(void *address, size_t length, int advice) {
  return advice == MADV_DONTFORK ? 0 : madvise(address, length, advice);
}

// A wish, which mmap(2) may not fulfil anyway: nobody can rest on it. Left alone: what must lie where it is wanted (MAP_FIXED, MAP_32BIT); what is smaller than a
// page of V8's (tables of jumps, which want to be near to the code that they jump to); what has whole page tables to itself in any case, and code's reservation.
static bool IsPageOfHeap(const void *wish, size_t length, int flags) {
  const int kWanted = MAP_PRIVATE | MAP_ANONYMOUS;
  const size_t kPage = 256 * 1024, kTable = 2 * 1024 * 1024;
  return wish != NULL && (flags & ~MAP_NORESERVE) == kWanted && length >= kPage && length < kTable;
}

static void *NeighbouringMmap(void *wish, size_t length, int protection, int flags, int fd, off_t offset) {
  if (!IsPageOfHeap(wish, length, flags)) return mmap(wish, length, protection, flags, fd, offset);
  void *pages = mmap(NULL, length, protection, flags, fd, offset);
  // Side by side they could become huge pages, where the machine makes them unasked; a child that writes one word would get 2 MB. An old kernel has neither.
  if (pages != MAP_FAILED) (void)madvise(pages, length, MADV_NOHUGEPAGE);
  return pages;
}

static int RestoringSigaction(int signo, const struct sigaction *action, struct sigaction *before) {
  struct sigaction chosen;
  if (signo == SIGPWR && action != NULL) BgwPostmasterMayBeDead();  // a listener of Node's takes it from us
  bool gives_back = action != NULL && (action->sa_flags & SA_SIGINFO) == 0 && action->sa_handler == SIG_DFL;
  return sigaction(signo, gives_back && BgwChosenAction(signo, &chosen) ? &chosen : action, before);
}

static int PatchAll(bool first);

static void *WatchedDlopen(const char *file, int mode) {
  sigset_t before;
  BlockAll(&before);
  void *handle = dlopen(file, mode);
  // A slot that cannot be written (no memory to split a mapping) leaves an addon whose threads are born as their creator is: what the handler in
  // signals.c sends on is then sent on. Nobody could be told here.
  if (handle != NULL) (void)PatchAll(false);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return handle;
}

typedef struct Import {
  const char *name;
  uintptr_t wrapper;
  // dlopen looks at who calls it: a bare name is searched for along its caller's own path. Node's calls name a path, or do not have one of their
  // own; those of an addon are left alone. And a compiler in an addon may want its memory near to something.
  bool first_only;
} Import;

enum { kPthreadCreate, kMadvise, kSigaction, kDlopen, kMmap, kMmap64, kImports };
static const Import imports[kImports] = {
    [kPthreadCreate] = {"pthread_create", (uintptr_t)BlockedPthreadCreate, false},
    [kMadvise] = {"madvise", (uintptr_t)ForkableMadvise, false},
    [kSigaction] = {"sigaction", (uintptr_t)RestoringSigaction, false},
    [kDlopen] = {"dlopen", (uintptr_t)WatchedDlopen, true},
    [kMmap] = {"mmap", (uintptr_t)NeighbouringMmap, true},
    [kMmap64] = {"mmap64", (uintptr_t)NeighbouringMmap, true},  // the same function, where off_t has 64 bits
};

// --- one object -----------------------------------------------------------------------------------------------------------------

typedef struct Scan {
  bool first;
  int slots[kImports];  // that hold a wrapper
  int error;            // 0 or -errno
} Scan;

typedef struct Table {
  const ElfW(Rela) * entries;
  size_t size;  // in bytes
} Table;

typedef struct Object {
  uintptr_t base;
  const ElfW(Sym) * symbols;
  const char *strings;
  Table calls, data;
  uintptr_t read_only, read_only_end;  // whole pages, as the dynamic linker protected them
} Object;

static uintptr_t PageOf(uintptr_t address) { return address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1); }

static int Store(const Object *object, uintptr_t *slot, uintptr_t value) {
  uintptr_t page = PageOf((uintptr_t)slot);
  return BgwStoreWord(slot, value, page >= object->read_only && page < object->read_only_end);
}

static void PatchTable(const Object *object, Table table, Scan *scan) {
  for (size_t i = 0; i < table.size / sizeof(*table.entries) && scan->error == 0; i++) {
    const ElfW(Rela) *entry = &table.entries[i];
    unsigned long type = ELF64_R_TYPE(entry->r_info);
    if (type != kJumpSlot && type != kGlobDat && type != kAbsolute) continue;
    const char *name = object->strings + object->symbols[ELF64_R_SYM(entry->r_info)].st_name;
    for (int k = 0; k < kImports; k++) {
      if (strcmp(name, imports[k].name) != 0) continue;
      uintptr_t *slot = (uintptr_t *)(object->base + entry->r_offset);
      if (*slot != imports[k].wrapper) {
        if (imports[k].first_only && !scan->first) continue;
        scan->error = Store(object, slot, imports[k].wrapper);
      }
      scan->slots[k]++;
    }
  }
}

static void ReadDynamic(Object *object, const ElfW(Dyn) * dynamic) {
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    // glibc has relocated these pointers in place, musl has not.
    uintptr_t at = dynamic->d_un.d_ptr < object->base ? dynamic->d_un.d_ptr + object->base : dynamic->d_un.d_ptr;
    switch (dynamic->d_tag) {
      case DT_SYMTAB:
        object->symbols = (const ElfW(Sym) *)at;
        break;
      case DT_STRTAB:
        object->strings = (const char *)at;
        break;
      case DT_JMPREL:
        object->calls.entries = (const ElfW(Rela) *)at;
        break;
      case DT_PLTRELSZ:
        object->calls.size = dynamic->d_un.d_val;
        break;
      case DT_RELA:
        object->data.entries = (const ElfW(Rela) *)at;
        break;
      case DT_RELASZ:
        object->data.size = dynamic->d_un.d_val;
        break;
      default:
        break;
    }
  }
}

static bool Contains(const struct dl_phdr_info *info, uintptr_t address) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    uintptr_t start = info->dlpi_addr + header->p_vaddr;
    if (header->p_type == PT_LOAD && address >= start && address < start + header->p_memsz) return true;
  }
  return false;
}

static int PatchObject(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  Scan *scan = arg;
  // Not ourselves, whose calls are to reach the C library; not the C library, whose threads are its own matter and born with everything blocked; not
  // the kernel's object and the dynamic linker, which import none of this.
  if (Contains(info, (uintptr_t)PatchObject) || Contains(info, (uintptr_t)pthread_create)) return 0;
  if (strstr(info->dlpi_name, "vdso") != NULL || strstr(info->dlpi_name, "/ld-") != NULL) return 0;
  Object object = {.base = info->dlpi_addr};
  const ElfW(Dyn) *dynamic = NULL;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    uintptr_t start = info->dlpi_addr + header->p_vaddr;
    if (header->p_type == PT_DYNAMIC) dynamic = (const ElfW(Dyn) *)start;
    if (header->p_type == PT_GNU_RELRO) {
      // Rounded down at both ends, as the dynamic linker does: what is behind the last whole page is ordinary data.
      object.read_only = PageOf(start);
      object.read_only_end = PageOf(start + header->p_memsz);
    }
  }
  if (dynamic == NULL) return 0;
  ReadDynamic(&object, dynamic);
  if (object.symbols == NULL || object.strings == NULL) return 0;
  PatchTable(&object, object.calls, scan);
  PatchTable(&object, object.data, scan);
  return scan->error;
}

// --- all of them ----------------------------------------------------------------------------------------------------------------

static int PatchAll(bool first) {
  // Two threads of worker_threads that load something at once would protect each other's page from the store. (glibc has a lock of its own there.)
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  Scan scan = {.first = first};
  pthread_mutex_lock(&mutex);
  dl_iterate_phdr(PatchObject, &scan);
  pthread_mutex_unlock(&mutex);
  if (scan.error < 0) return scan.error;
  if (scan.slots[kPthreadCreate] == 0 || scan.slots[kMadvise] == 0) return -ENOENT;
  int count = 0;
  for (int k = 0; k < kImports; k++) count += scan.slots[k];
  return count;
}

int BgwPatchImports(void) {
  static bool patched;
  int count = PatchAll(!patched);
  if (count < 0) return count;
  patched = true;
  int result = BgwUndoDontFork();
  return result < 0 ? result : count;
}
