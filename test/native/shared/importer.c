// A shared object that imports what imports.c looks for, as Node and its addons do. For test/native/imports.c.
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

int importer_start(pthread_t *thread, void *(*run)(void *), void *arg);
int importer_start(pthread_t *thread, void *(*run)(void *), void *arg) {
  return pthread_create(thread, NULL, run, arg);
}

int importer_keep_from_fork(void *address, size_t length);
int importer_keep_from_fork(void *address, size_t length) { return madvise(address, length, MADV_DONTFORK); }

int importer_advise(void *address, size_t length, int advice);
int importer_advise(void *address, size_t length, int advice) { return madvise(address, length, advice); }

void *importer_map(void *wish, size_t length, int flags);
void *importer_map(void *wish, size_t length, int flags) {
  return mmap(wish, length, PROT_READ | PROT_WRITE, flags, -1, 0);
}

// In the same page as the object's ordinary data, perhaps, which must stay writable.
int importer_counter = 1;
