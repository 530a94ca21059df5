// Becoming somebody else, for good. Tests: native/core/privileges.c. What needs root is left out where there is none.
#include "core/privileges.h"

#include <grp.h>
#include <pthread.h>

#include "support.h"

enum { kNobody = 65534 };

TEST(users_are_found_by_name_and_by_number) {
  BgwUser user;
  CHECK_EQ(BgwLookUpUser("root", &user), 1);
  CHECK_EQ(user.uid, 0);
  CHECK(strcmp(user.home, "/root") == 0);
  CHECK_EQ(BgwLookUpUser("0", &user), 1);
  CHECK(strcmp(user.name, "root") == 0);
  for (const char *const *name =
           (const char *const[]){"no such user", "", "-1", "0x0", "4294967295", "99999999999", NULL};
       *name; name++)
    CHECK_EQ(BgwLookUpUser(*name, &user), 0);
}

TEST(root_is_nobody_to_become) { CHECK_EQ(BgwBecomeUser("root", 0, 0), -EINVAL); }

TEST(who_is_not_root_becomes_nobody) {
  if (geteuid() == 0) CHECK_EQ(setresuid(kNobody, kNobody, kNobody), 0);
  CHECK(BgwBecomeUser("nobody", 1, 1) < 0);
}

static void *wait_for_ever(void *tid) {
  atomic_store((_Atomic pid_t *)tid, gettid());
  for (;;) pause();
  return NULL;
}

TEST(everything_of_root_goes_for_good_in_all_threads) {
  if (geteuid() != 0) return;
  pthread_t thread;
  _Atomic pid_t other = 0;
  CHECK_EQ(pthread_create(&thread, NULL, wait_for_ever, &other), 0);
  CHECK_WITHIN(10, atomic_load(&other) != 0);
  CHECK_EQ(setgroups(2, (gid_t[]){0, 4}), 0);
  CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR2), 0);
  CHECK_EQ(BgwBecomeUser("nobody", kNobody, kNobody), 0);
  CHECK(getuid() == kNobody && geteuid() == kNobody && getgid() == kNobody && getegid() == kNobody);
  gid_t groups[8];
  CHECK_EQ(getgroups(8, groups), 1);
  CHECK_EQ(groups[0], kNobody);
  for (const char *const *set = (const char *const[]){"CapInh", "CapPrm", "CapEff", "CapAmb", NULL}; *set; set++)
    CHECK_EQ(own_status(*set), 0);
  CHECK_EQ(status_line(getpid(), other, "CapEff"), 0);
  CHECK_EQ(status_line(getpid(), other, "Uid"), 0x65534);  // read as hexadecimal
  CHECK_EQ(own_status("NoNewPrivs"), 1);
  int signo = 0;
  CHECK_EQ(prctl(PR_GET_PDEATHSIG, &signo), 0);
  CHECK_EQ(signo, SIGUSR2);
  CHECK(setuid(0) < 0 && setgid(0) < 0 && setgroups(0, NULL) < 0);
}

// KEEP_CAPS is what would leave capabilities behind.
TEST(capabilities_go_even_where_somebody_wanted_to_keep_them) {
  if (geteuid() != 0) return;
  CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
  CHECK_EQ(BgwBecomeUser(NULL, kNobody, 12345), 0);
  CHECK_EQ(own_status("CapPrm"), 0);
  gid_t groups[8];
  CHECK_EQ(getgroups(8, groups), 1);
  CHECK_EQ(groups[0], 12345);
}

TEST(effective_ids_go_and_come_back) {
  CHECK(BgwIdsMatch());
  if (geteuid() != 0) return;
  CHECK_EQ(BgwSetEffective(kNobody, kNobody), 0);
  CHECK(geteuid() == kNobody && getegid() == kNobody && getuid() == 0 && !BgwIdsMatch());
  CHECK_EQ(BgwSetEffective(0, 0), 0);
  CHECK(geteuid() == 0 && getegid() == 0 && BgwIdsMatch());
}
