// A class's table of virtual functions, with two functions in it changed.
#include "core/platform.h"

#include "support.h"

typedef struct Object {
  int (**table)(void *);
} Object;

static int taken;

static int first(void *object) { return object == NULL ? -1 : 1; }
static int threads(void *object) { return object == NULL ? -1 : 4; }
static int last(void *object) { return object == NULL ? -1 : 3; }
static int at_once(void *object) { return object == NULL ? -1 : taken++; }
static int later(void *object) { return object == NULL ? -1 : taken++; }
static int elsewhere(void *object) { return object == NULL ? -1 : 5; }

enum { kPage = 4096, kTable = 24 };

// As long as a real one, so that looking for what is not there ends in it.
#define TABLE \
  { first, threads, last, later, last, at_once, last, last, last, last, last, last, last, last, last, last, last }
static int (*const read_only_table[kTable])(void *) = TABLE;
static int (*writable_table[kTable])(void *) = TABLE;
static int writable_neighbour = 7;

static int call(Object *object, int slot) { return ((int (*volatile *)(void *))object->table)[slot](object); }

static BgwPlatformFunctions functions(int (*number)(void *), int (*post)(void *), int (*post_delayed)(void *)) {
  return (BgwPlatformFunctions){(uintptr_t)number, (uintptr_t)post, (uintptr_t)post_delayed};
}

TEST(the_function_says_none_from_then_on_and_its_neighbours_are_as_they_were) {
  Object object = {.table = (int (**)(void *))read_only_table};
  CHECK_EQ(call(&object, 1), 4);
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, later)), 0);
  CHECK_EQ(call(&object, 0), 1);
  CHECK_EQ(call(&object, 1), 0);
  CHECK_EQ(call(&object, 2), 3);
}

TEST(again_does_no_harm) {
  Object object = {.table = (int (**)(void *))read_only_table};
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, later)), 0);
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, later)), 0);
  CHECK_EQ(call(&object, 1), 0);
}

TEST(where_the_function_is_not_in_the_table_the_caller_is_told) {
  Object object = {.table = (int (**)(void *))read_only_table};
  CHECK_EQ(BgwEmptyPlatform(&object, functions(elsewhere, at_once, later)), -ENOENT);
  CHECK_EQ(call(&object, 1), 4);
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, elsewhere, later)), -ENOENT);
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, elsewhere)), -ENOENT);
}

TEST(a_task_is_not_taken_from_then_on) {
  Object object = {.table = (int (**)(void *))read_only_table};
  (void)call(&object, 5);
  CHECK_EQ(taken, 1);
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, later)), 0);
  ((void (*volatile *)(void *, void **))(void *)object.table)[5](&object, (void *[]){&object});
  CHECK_EQ(taken, 1);
}

TEST(a_task_for_later_is_not_taken_from_then_on) {
  Object object = {.table = (int (**)(void *))read_only_table};
  (void)call(&object, 3);
  CHECK_EQ(taken, 1);
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, later)), 0);
  // What it takes is its owner's, by reference, as Node's is.
  ((void (*volatile *)(void *, void **, double))(void *)object.table)[3](&object, (void *[]){&object}, 5.0);
  CHECK_EQ(taken, 1);
  CHECK_EQ(call(&object, 2), 3);
}

static bool child_may_write(Object *object) {
  pid_t child = fork();
  if (child == 0) {
    *(void *volatile *)&object->table[1] = NULL;
    _exit(0);
  }
  // A sanitizer ends its process by itself.
  return check_wait(child) == 0;
}

TEST(a_table_that_was_read_only_is_so_again) {
  Object object = {.table = (int (**)(void *))read_only_table};
  CHECK(!child_may_write(&object));
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, later)), 0);
  CHECK(!child_may_write(&object));
}

TEST(a_table_that_was_writable_stays_so) {
  Object object = {.table = writable_table};
  CHECK_EQ(BgwEmptyPlatform(&object, functions(threads, at_once, later)), 0);
  CHECK_EQ(call(&object, 1), 0);
  *(volatile int *)&writable_neighbour = 8;
  writable_table[2] = first;
  CHECK_EQ(call(&object, 2), 1);
}
