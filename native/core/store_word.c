// Changing a word in a table of functions of another object. The postmaster, before anything else, and whoever loads an addon.
#include "store_word.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

int BgwStoreWord(uintptr_t *word, uintptr_t value, bool read_only) {
  size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
  void *page = (void *)((uintptr_t)word & ~((uintptr_t)page_size - 1));
  if (read_only && mprotect(page, page_size, PROT_READ | PROT_WRITE) < 0) return bgw_errno();
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
  if (read_only && mprotect(page, page_size, PROT_READ) < 0) return bgw_errno();
  return 0;
}
