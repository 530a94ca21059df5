// The control socket. Tests: native/core/socket.c.
#include "core/socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "support.h"

static char dir[] = "/tmp/bgw-socket-XXXXXX";
static char path[64];

static int listen_somewhere(void) {
  CHECK(mkdtemp(dir) != NULL);
  CHECK_EQ(chmod(dir, 0755), 0);
  snprintf(path, sizeof(path), "%s/s", dir);
  int fd = BgwListen(path);
  CHECK(fd >= 0);
  return fd;
}

static void remove_it(void) {
  CHECK_EQ(unlink(path), 0);
  CHECK_EQ(rmdir(dir), 0);
}

static int connect_to_it(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : fd;
}

TEST(the_socket_is_private_whatever_the_umask) {
  umask(0);
  int fd = listen_somewhere();
  struct stat about;
  CHECK_EQ(stat(path, &about), 0);
  CHECK_EQ(about.st_mode & 07777, 0600);
  CHECK_EQ(umask(0), 0);  // as it was
  CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  pid_t a, b;
  (void)b;
  CHECK_EQ(BgwAccept(fd, &a, (uid_t *)&b), -EAGAIN);
  if (geteuid() == 0) {
    pid_t stranger = fork();
    if (stranger == 0) {
      CHECK_EQ(setuid(65534), 0);
      _exit(connect_to_it() == -EACCES ? 0 : 1);
    }
    CHECK_EQ(check_wait(stranger), 0);
  }
  remove_it();
}

TEST(the_peer_is_known) {
  int fd = listen_somewhere();
  pid_t client = fork();
  if (client == 0) {
    int connection = connect_to_it();
    CHECK(connection >= 0);
    char text[16] = "";
    CHECK_EQ(recv(connection, text, 5, MSG_WAITALL), 5);
    CHECK_EQ(recv(connection, text + 5, 1, 0), 0);
    _exit(strcmp(text, "hello") == 0 ? 0 : 1);
  }
  pid_t pid = 0;
  uid_t uid = 12345;
  int connection = -EAGAIN;
  CHECK_WITHIN(10, (connection = BgwAccept(fd, &pid, &uid)) != -EAGAIN);
  CHECK(connection >= 0);
  CHECK_EQ(pid, client);
  CHECK_EQ(uid, geteuid());
  CHECK_EQ(fcntl(connection, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  CHECK_EQ(fcntl(connection, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  BgwSendOnce(connection, "hello", 5);
  close(connection);
  CHECK_EQ(check_wait(client), 0);
  remove_it();
}

TEST(sending_to_who_is_gone_or_does_not_read_neither_kills_nor_blocks) {
  int fd = listen_somewhere();
  int client = connect_to_it();
  pid_t pid;
  uid_t uid;
  int connection = BgwAccept(fd, &pid, &uid);
  CHECK(client >= 0 && connection >= 0);
  static char much[1 << 20];
  BgwSendOnce(connection, much, sizeof(much));
  BgwSendOnce(connection, much, sizeof(much));
  close(client);
  BgwSendOnce(connection, "x", 1);
  remove_it();
}

TEST(what_cannot_be_bound_is_reported) {
  char longer[200];
  memset(longer, 'a', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = '\0';
  CHECK_EQ(BgwListen(longer), -ENAMETOOLONG);
  CHECK_EQ(BgwListen("/nonexistent/s"), -ENOENT);
  listen_somewhere();
  CHECK_EQ(BgwListen(path), -EADDRINUSE);
  remove_it();
}
