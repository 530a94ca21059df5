// Other processes: waiting, signalling, starting programs. Tests: native/core/process.c.
#include "core/process.h"

#include <fcntl.h>

#include "support.h"

extern char **environ;

// --- waiting and signalling -----------------------------------------------------------------------------------------------------------

TEST(waitpid_takes_the_one_that_was_asked_for) {
  int status = 0;
  int gate[2];
  CHECK_EQ(pipe(gate), 0);
  pid_t other = fork();
  if (other == 0) _exit(9);
  pid_t child = fork();
  if (child == 0) {
    char byte;
    _exit(read(gate[0], &byte, 1) == 1 ? 4 : 5);
  }
  CHECK_EQ(BgwWaitPid(child, &status), 0);
  CHECK_EQ(write(gate[1], "x", 1), 1);
  CHECK_WITHIN(10, BgwWaitPid(child, &status) == child);
  CHECK_EQ(WEXITSTATUS(status), 4);
  CHECK_EQ(BgwWaitPid(child, &status), -ECHILD);
  CHECK_EQ(check_wait(other), 9);
}

TEST(kill_reports_and_never_means_everybody) {
  pid_t gone = fork();
  if (gone == 0) _exit(0);
  CHECK_EQ(check_wait(gone), 0);
  CHECK_EQ(BgwKill(gone, 0), -ESRCH);
  CHECK_EQ(BgwKill(0, SIGTERM), -EINVAL);
  CHECK_EQ(BgwKill(-1, SIGTERM), -EINVAL);
  CHECK_EQ(BgwKill(getpid(), 0), 0);
}

TEST(a_lock_is_exclusive_and_inherited_with_the_descriptor) {
  char path[] = "/tmp/bgw-lock-XXXXXX";
  int first = mkostemp(path, O_CLOEXEC);
  int second = open(path, O_RDWR | O_CLOEXEC);
  unlink(path);
  CHECK(first >= 0 && second >= 0);
  CHECK_EQ(BgwFlock(first), 0);
  CHECK_EQ(BgwFlock(second), -EWOULDBLOCK);
  pid_t child = fork();
  if (child == 0) {
    close(second);
    for (;;) pause();
  }
  close(first);
  CHECK_EQ(BgwFlock(second), -EWOULDBLOCK);
  CHECK_EQ(kill(child, SIGKILL), 0);
  CHECK_EQ(check_wait(child), 128 + SIGKILL);
  CHECK_EQ(BgwFlock(second), 0);
}

TEST(random_numbers_differ) {
  unsigned a = 0, b = 0;
  CHECK_EQ(BgwRandom32(&a), 0);
  CHECK_EQ(BgwRandom32(&b), 0);
  CHECK(a != b);
}

// --- programs -------------------------------------------------------------------------------------------------------------------------

static BgwSpawnOptions shell(const char *script) {
  static char *argv[4];
  argv[0] = (char *)"sh";
  argv[1] = (char *)"-c";
  argv[2] = (char *)script;
  argv[3] = NULL;
  return (BgwSpawnOptions){.file = "/bin/sh", .argv = argv, .envp = environ, .stdio = {0, 1, 2}};
}

static char output[65536];

// Runs a program with stdout in `output`; result: its status.
static int run(BgwSpawnOptions options) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  options.stdio[1] = fds[1];
  pid_t pid = BgwSpawn(&options);
  CHECK(pid > 0);
  close(fds[1]);
  size_t length = 0;
  for (ssize_t n; (n = read(fds[0], output + length, sizeof(output) - 1 - length)) > 0;) length += (size_t)n;
  output[length] = '\0';
  close(fds[0]);
  return check_wait(pid);
}

TEST(a_program_runs_in_a_session_of_its_own_in_its_directory) {
  BgwSpawnOptions options =
      shell("pwd; ps -o sid= -p $$ >/dev/null 2>&1; cut -d' ' -f6 /proc/$$/stat; echo $$; exit 3");
  options.cwd = "/usr";
  CHECK_EQ(run(options), 3);
  char dir[64];
  int session, pid;
  CHECK_EQ(sscanf(output, "%63s %d %d", dir, &session, &pid), 3);
  CHECK(strcmp(dir, "/usr") == 0);
  CHECK_EQ(session, pid);
}

TEST(a_program_begins_with_no_signal_blocked_ignored_or_handled) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, SIG_IGN);
  CHECK_EQ(run((BgwSpawnOptions){.file = "/bin/cat",
                                 .argv = (char *[]){(char *)"cat", (char *)"/proc/self/status", NULL},
                                 .envp = environ,
                                 .stdio = {0, 1, 2}}),
           0);
  CHECK(strstr(output, "SigBlk:\t0000000000000000") != NULL);
  CHECK(strstr(output, "SigIgn:\t0000000000000000") != NULL);
  CHECK_EQ(own_status("SigBlk"), 0xfffffffe7ffbfeffULL);
}

static int open_fds(void) {
  int count = 0;
  for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static void check_failure(BgwSpawnOptions options, int error) {
  int fds = open_fds();
  unsigned long long mask = own_status("SigBlk");
  CHECK_EQ(BgwSpawn(&options), -error);
  CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);  // no child is left
  CHECK_EQ(errno, ECHILD);
  CHECK_EQ(open_fds(), fds);
  CHECK_EQ(own_status("SigBlk"), mask);
}

TEST(what_fails_in_the_child_is_reported) {
  BgwSpawnOptions options = shell("exit 0");
  options.file = "/nonexistent";
  check_failure(options, ENOENT);
  options.file = "/etc/passwd";
  check_failure(options, EACCES);
  options = shell("exit 0");
  options.cwd = "/nonexistent";
  check_failure(options, ENOENT);
  options = shell("exit 0");
  options.stdio[1] = 200;
  check_failure(options, EBADF);
  options = shell("exit 0");
  options.parent_death_signo = 99;
  check_failure(options, EINVAL);
}

TEST(standard_descriptors_may_be_each_others_sources) {
  int input[2], out[2], err[2];
  CHECK_EQ(pipe(input), 0);
  CHECK_EQ(pipe(out), 0);
  CHECK_EQ(pipe(err), 0);
  // 0 is to become 2, 1 is to become 0, 2 is to become 1.
  CHECK_EQ(dup2(err[1], 0), 0);
  CHECK_EQ(dup2(input[0], 1), 1);
  int said = dup(2);
  CHECK_EQ(dup2(out[1], 2), 2);
  BgwSpawnOptions options = shell("read line; echo \"out $line\"; echo \"err $line\" >&2");
  options.stdio[0] = 1;
  options.stdio[1] = 2;
  options.stdio[2] = 0;
  pid_t pid = BgwSpawn(&options);
  dup2(said, 2);
  CHECK(pid > 0);
  CHECK_EQ(write(input[1], "hello\n", 6), 6);
  CHECK_EQ(check_wait(pid), 0);
  char text[64] = "";
  CHECK(read(out[0], text, sizeof(text) - 1) > 0);
  CHECK(strcmp(text, "out hello\n") == 0);
  memset(text, 0, sizeof(text));
  CHECK(read(err[0], text, sizeof(text) - 1) > 0);
  CHECK(strcmp(text, "err hello\n") == 0);
}

TEST(failures_are_reported_where_the_standard_descriptors_were_closed) {
  int null = open("/dev/null", O_RDWR);
  int high = fcntl(null, F_DUPFD, 50);
  BgwSpawnOptions options = shell("exit 0");
  for (int i = 0; i < 3; i++) options.stdio[i] = high;
  options.file = "/nonexistent";
  int err = fcntl(2, F_DUPFD, 60);
  close(null);
  close(0);
  close(1);
  close(2);
  pid_t result = BgwSpawn(&options);
  dup2(err, 2);
  CHECK_EQ(result, -ENOENT);
}

TEST(the_user_changes_for_good) {
  if (geteuid() != 0) return;
  BgwSpawnOptions options = shell("cat /proc/self/status");
  options.change_user = 1;
  options.uid = 65534;
  options.gid = 65533;
  CHECK_EQ(run(options), 0);
  CHECK(strstr(output, "Uid:\t65534\t65534\t65534\t65534") != NULL);
  CHECK(strstr(output, "Gid:\t65533\t65533\t65533\t65533") != NULL);
  CHECK(strstr(output, "Groups:\t\n") != NULL || strstr(output, "Groups:\t \n") != NULL);
  CHECK(strstr(output, "CapEff:\t0000000000000000") != NULL);
}

TEST(an_ordinary_user_cannot_change_it) {
  if (geteuid() == 0) {
    CHECK_EQ(setresgid(65533, 65533, 65533), 0);
    CHECK_EQ(setresuid(65534, 65534, 65534), 0);
  }
  BgwSpawnOptions options = shell("exit 0");
  options.change_user = 1;
  options.uid = 1;
  options.gid = 1;
  check_failure(options, EPERM);
}

// The parent-death signal, as the postmaster asks it for the database server: also with another user, whose change would clear it.
static void check_parent_death(int change_user) {
  adopt_orphans();
  _Atomic pid_t *program = shared_memory(sizeof(*program));
  pid_t postmaster = fork();
  if (postmaster == 0) {
    BgwSpawnOptions options = shell("exec sleep 1000");
    options.parent_death_signo = SIGINT;
    options.change_user = change_user;
    options.uid = 65534;
    options.gid = 65534;
    atomic_store(program, BgwSpawn(&options));
    for (;;) pause();
  }
  CHECK_WITHIN(10, atomic_load(program) != 0);
  CHECK(*program > 0);
  CHECK_EQ(kill(postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(postmaster), 128 + SIGKILL);
  CHECK_EQ(check_wait(*program), 128 + SIGINT);
}

TEST(the_parent_death_signal_reaches_a_program) { check_parent_death(0); }
TEST(the_parent_death_signal_survives_the_change_of_user) {
  if (geteuid() == 0) check_parent_death(1);
}

TEST(exec_replaces_the_program_and_reports_what_it_cannot) {
  char *argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 6", NULL};
  CHECK_EQ(BgwExec("/nonexistent", argv, environ), -ENOENT);
  pid_t child = fork();
  if (child == 0) {
    fcntl(2, F_SETFD, FD_CLOEXEC);
    char *probe[] = {(char *)"sh", (char *)"-c", (char *)": >&2 && exit 6", NULL};
    (void)!BgwExec("/bin/sh", probe, environ);
    _exit(99);
  }
  CHECK_EQ(check_wait(child), 6);
}
