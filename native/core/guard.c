// What a process without shared memory meets where shared memory was. PostgreSQL has no counterpart: a C worker that touches memory it detached
// from takes a SIGSEGV.
//
// A SharedArrayBuffer cannot be detached, so whoever kept one from before (a preloaded module's variable) has a window onto these addresses for
// ever. What can lie behind it?
//   nothing (munmap)        a fault now, and somebody else's memory after the next mmap
//   zeros (private memory)  a worker that reads zeros where its peers' data was, and writes what nobody sees: the worst of all
//   PROT_NONE, and this     one line in the log that says what was done wrong, and status 1, which is no crash
#include "guard.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "last_words.h"
#include "signals.h"

// Changed by the main thread only, outside of handlers; read by the handler, which a touch from JavaScript calls in that same thread.
typedef struct Guarded {
  uintptr_t address;
  size_t size;
  struct Guarded *next;
} Guarded;
static Guarded *guarded;

static bool installed;
static struct sigaction previous;

static bool IsGuarded(uintptr_t address) {
  for (const Guarded *at = guarded; at != NULL; at = at->next) {
    if (address - at->address < at->size) return true;
  }
  return false;
}

static void OnFault(int signo, siginfo_t *info, void *context) {
  if (info->si_code > 0 && IsGuarded((uintptr_t)info->si_addr)) {
    BgwBlockSignals();
    BgwWriteLastWords(kBgwTouchedGone);
    BgwExitNow(1);
  }
  // Not ours: V8 has a handler for WebAssembly's, or it is the end.
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signo, info, context);
    return;
  }
  sigaction(signo, &previous, NULL);  // the instruction is executed again, and ends us as it would have
}

static int Install(void) {
  if (installed) return 0;
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_sigaction = OnFault;
  sigfillset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (sigaction(SIGSEGV, &action, &previous) < 0) return bgw_errno();
  installed = true;
  return 0;
}

int BgwGuard(void *address, size_t size) {
  Guarded *entry = malloc(sizeof(*entry));
  if (entry == NULL) return -ENOMEM;
  int result = Install();
  // In one step: between an munmap and an mmap another thread's memory could come to lie here, and be taken away.
  if (result == 0 &&
      mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
    result = bgw_errno();
  if (result < 0) {
    free(entry);
    return result;
  }
  *entry = (Guarded){.address = (uintptr_t)address, .size = size, .next = guarded};
  guarded = entry;
  return 0;
}

void BgwUnguard(void *address) {
  for (Guarded **at = &guarded; *at != NULL; at = &(*at)->next) {
    Guarded *entry = *at;
    if (entry->address != (uintptr_t)address) continue;
    *at = entry->next;
    munmap(address, entry->size);
    free(entry);
    return;
  }
}
