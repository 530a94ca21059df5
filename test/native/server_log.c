// The log's writer: a pipe that is full and does not block is waited for, asleep, and not for ever.
#include "core/server_log.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "support.h"

typedef struct Pipe {
  int read_end, write_end;
} Pipe;

static Pipe open_pipe(void) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
  return (Pipe){fds[0], fds[1]};
}

static Pipe full_pipe(void) {
  static char page[4096];
  Pipe made = open_pipe();
  while (write(made.write_end, page, sizeof(page)) > 0) continue;
  CHECK_EQ(errno, EAGAIN);
  return made;
}

// Of this thread: the thread sanitizer has one of its own, which sleeps as it pleases.
static long sleeps(void) {
  struct rusage usage;
  CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
  return usage.ru_nvcsw;
}

// Reads for as long as there is something, and says how much it was.
static size_t drain(int fd) {
  char bytes[8192];
  size_t all = 0;
  for (ssize_t n; (n = read(fd, bytes, sizeof(bytes))) > 0;) all += (size_t)n;
  return all;
}

TEST(a_record_is_written_as_it_is) {
  Pipe log = open_pipe();
  char bytes[16];
  CHECK_EQ(BgwWriteLog(log.write_end, "a record\n", 9, 0), 9);
  CHECK_EQ(read(log.read_end, bytes, sizeof(bytes)), 9);
  CHECK(memcmp(bytes, "a record\n", 9) == 0);
  CHECK_EQ(BgwWriteLog(log.write_end, "", 0, 0), 0);
}

TEST(a_reader_that_is_behind_is_waited_for) {
  static char record[300 * 1000];
  Pipe log = full_pipe();
  int in_pipe = fcntl(log.write_end, F_GETPIPE_SZ);
  pid_t writer = fork();
  if (writer == 0) _exit(BgwWriteLog(log.write_end, record, sizeof(record), 25 * 1000) == sizeof(record) ? 0 : 1);
  close(log.write_end);
  size_t all = 0;
  for (int status = -1; status == -1;) {
    all += drain(log.read_end);
    if (waitpid(writer, &status, WNOHANG) != writer) status = -1;
    CHECK(status <= 0);
  }
  CHECK_EQ(all + drain(log.read_end), (size_t)in_pipe + sizeof(record));
}

TEST(a_reader_that_has_stopped_is_waited_for_asleep_and_not_for_ever) {
  Pipe log = full_pipe();
  long before = sleeps();
  CHECK_EQ(BgwWriteLog(log.write_end, "lost", 4, 50), 0);
  CHECK(sleeps() > before);
}

TEST(without_patience_there_is_one_attempt) {
  Pipe log = full_pipe();
  long before = sleeps();
  CHECK_EQ(BgwWriteLog(log.write_end, "lost", 4, 0), 0);
  CHECK_EQ(sleeps(), before);
}

TEST(what_fits_is_written_and_counted) {
  static char record[300 * 1000];
  Pipe log = open_pipe();
  CHECK_EQ(BgwWriteLog(log.write_end, record, sizeof(record), 0), fcntl(log.write_end, F_GETPIPE_SZ));
}

static void ignore(int signo) { (void)signo; }

TEST(a_signal_does_not_end_the_wait) {
  struct sigaction action = {.sa_handler = ignore};
  sigaction(SIGUSR1, &action, NULL);
  Pipe log = full_pipe();
  pid_t writer = fork();
  if (writer == 0) _exit(BgwWriteLog(log.write_end, "late", 4, 25 * 1000) == 4 ? 0 : 1);
  for (int n = 0; n < 100; n++) {
    CHECK_EQ(kill(writer, SIGUSR1), 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
  CHECK_EQ(waitpid(writer, NULL, WNOHANG), 0);
  drain(log.read_end);
  CHECK_EQ(check_wait(writer), 0);
}

TEST(where_nobody_will_read_any_more_it_says_so) {
  signal(SIGPIPE, SIG_IGN);
  Pipe log = full_pipe();
  close(log.read_end);
  CHECK_EQ(BgwWriteLog(log.write_end, "lost", 4, 25 * 1000), -EPIPE);
  close(log.write_end);
  CHECK_EQ(BgwWriteLog(log.write_end, "lost", 4, 25 * 1000), -EBADF);
}
