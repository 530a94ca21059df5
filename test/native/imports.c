// Imports of other objects, made ours. What is patched is a shared object that stands for Node; a program that holds the core itself is left alone.
#include "core/imports.h"

#include <dlfcn.h>
#include <pthread.h>

#include "core/fork.h"
#include "support.h"

typedef struct Importer {
  int (*start)(pthread_t *thread, void *(*run)(void *), void *arg);
  int (*keep_from_fork)(void *address, size_t length);
  int (*advise)(void *address, size_t length, int advice);
  void *(*map)(void *wish, size_t length, int flags);
  int *counter;
} Importer;

static Importer load(int mode) {
  void *handle = dlopen(IMPORTER, mode);
  CHECK(handle != NULL);
  Importer importer;
  *(void **)&importer.start = dlsym(handle, "importer_start");
  *(void **)&importer.keep_from_fork = dlsym(handle, "importer_keep_from_fork");
  *(void **)&importer.advise = dlsym(handle, "importer_advise");
  *(void **)&importer.map = dlsym(handle, "importer_map");
  *(void **)&importer.counter = dlsym(handle, "importer_counter");
  CHECK(importer.start != NULL && importer.keep_from_fork != NULL && importer.advise != NULL && importer.map != NULL &&
        importer.counter != NULL);
  return importer;
}

static char *private_page(void) {
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  strcpy(page, "warm");
  return page;
}

static bool child_has(const char *page) {
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  pid_t child = fork();
  if (child == 0) _exit(write(fds[1], page, 4) == 4 ? 0 : 1);
  int status = check_wait(child);
  close(fds[0]);
  close(fds[1]);
  return status == 0;
}

static void *own_mask(void *mask) {
  pthread_sigmask(SIG_SETMASK, NULL, mask);
  return NULL;
}

static sigset_t mask_of_new_thread(const Importer *importer) {
  pthread_t thread;
  sigset_t mask;
  CHECK_EQ(importer->start(&thread, own_mask, &mask), 0);
  pthread_join(thread, NULL);
  return mask;
}

TEST(without_an_object_that_imports_them_there_is_nothing_to_patch) {
  if (kUnderTSan || kUnderASan) return;  // whose libraries import both
  CHECK_EQ(BgwPatchImports(), -ENOENT);
}

TEST(threads_are_born_with_everything_blocked_and_their_creator_stays_as_it_was) {
  if (kUnderTSan) return;  // which starts a thread of its own for each
  Importer importer = load(RTLD_NOW);
  sigset_t mask = mask_of_new_thread(&importer);
  CHECK_EQ(sigismember(&mask, SIGTERM), 0);
  CHECK(BgwPatchImports() >= 2);
  unsigned long long before = own_status("SigBlk");
  mask = mask_of_new_thread(&importer);
  for (int signo = 1; signo < SIGRTMAX; signo++) {
    if (signo == SIGKILL || signo == SIGSTOP || signo == 32 || signo == 33) continue;
    CHECK_EQ(sigismember(&mask, signo), 1);
  }
  CHECK_EQ(own_status("SigBlk"), before);
}

TEST(what_was_marked_is_unmarked_and_nothing_is_marked_any_more) {
  if (kUnderTSan) return;  // which may map memory of its own where the region was
  Importer importer = load(RTLD_NOW);
  char *marked = private_page(), *later = private_page();
  CHECK_EQ(importer.keep_from_fork(marked, 4096), 0);
  CHECK(!child_has(marked));
  CHECK(BgwPatchImports() >= 2);
  CHECK(child_has(marked));
  CHECK_EQ(importer.keep_from_fork(later, 4096), 0);
  CHECK(child_has(later));
}

TEST(other_advice_is_passed_on) {
  Importer importer = load(RTLD_NOW);
  CHECK(BgwPatchImports() >= 2);
  char *page = private_page();
  CHECK_EQ(importer.advise(page, 4096, MADV_DONTNEED), 0);
  CHECK_EQ(page[0], 0);
  CHECK_EQ(importer.advise(page + 1, 4096, MADV_DONTNEED), -1);
  CHECK_EQ(errno, EINVAL);
}

static const size_t kHeapPage = 256 * 1024;
// Far from everything, from the address sanitizer's shadow too, and apart from each other.
static char *const kWishes[] = {(char *)0x200000000000, (char *)0x300000000000};

TEST(pages_of_a_heap_lie_side_by_side_wherever_they_were_wanted) {
  if (kUnderTSan) return;  // which has addresses of its own for everything
  const int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  Importer importer = load(RTLD_NOW);
  for (int i = 0; i < 2; i++) CHECK(importer.map(kWishes[i], kHeapPage, kFlags) == kWishes[i]);
  CHECK(BgwPatchImports() >= 2);
  char *one = importer.map(kWishes[0] + kHeapPage, kHeapPage, kFlags);
  char *other = importer.map(kWishes[1] + kHeapPage, kHeapPage, kFlags | MAP_NORESERVE);
  CHECK(one != MAP_FAILED && other != MAP_FAILED);
  CHECK(one != kWishes[0] + kHeapPage && other != kWishes[1] + kHeapPage);
  // The kernel may have had a hole for the one; of many most are neighbours.
  int neighbours = 0;
  for (int i = 0; i < 64; i++, one = other) {
    other = importer.map(kWishes[i % 2] + (size_t)(i + 2) * kHeapPage, kHeapPage, kFlags);
    neighbours += other + kHeapPage == one || one + kHeapPage == other;
  }
  CHECK(neighbours > 48);
}

TEST(what_is_no_page_of_a_heap_lies_where_it_is_wanted) {
  if (kUnderTSan) return;
  const int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  Importer importer = load(RTLD_NOW);
  CHECK(BgwPatchImports() >= 2);
  char *small = kWishes[0], *table = small + kHeapPage, *fixed = table + 4 * 1024 * 1024, *shared = fixed + kHeapPage;
  CHECK(importer.map(small, 4096, kFlags) == small);
  CHECK(importer.map(table, 2 * 1024 * 1024, kFlags) == table);
  CHECK(importer.map(fixed, kHeapPage, kFlags | MAP_FIXED) == fixed);
  CHECK(importer.map(shared, kHeapPage, MAP_SHARED | MAP_ANONYMOUS) == shared);
  CHECK(importer.map(NULL, kHeapPage, kFlags) != MAP_FAILED);
  CHECK(importer.map(NULL, 0, kFlags) == MAP_FAILED && errno == EINVAL);
}

TEST(data_beside_the_slots_stays_writable) {
  Importer importer = load(RTLD_NOW);
  CHECK(BgwPatchImports() >= 2);
  (*importer.counter)++;
  CHECK_EQ(*importer.counter, 2);
}

TEST(slots_that_are_bound_late_are_found_too_and_again_does_no_harm) {
  if (kUnderTSan) return;
  Importer importer = load(RTLD_LAZY);
  int count = BgwPatchImports();
  CHECK(count >= 2);
  CHECK_EQ(BgwPatchImports(), count);
  sigset_t mask = mask_of_new_thread(&importer);
  CHECK_EQ(sigismember(&mask, SIGTERM), 1);
  mask = mask_of_new_thread(&importer);
  CHECK_EQ(sigismember(&mask, SIGTERM), 1);
  CHECK(child_has(private_page()));
}
