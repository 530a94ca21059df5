// The control socket, both ends of it. PostgreSQL: src/backend/libpq/pqcomm.c (StreamServerPort, StreamConnection); fe-connect.c (requirepeer).
#include "socket.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int BgwListen(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) return -ENAMETOOLONG;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return bgw_errno();
  // Private from birth: a chmod after the bind would leave a moment in which others may connect.
  mode_t before = umask(0177);
  int result = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? bgw_errno() : 0;
  umask(before);
  if (result == 0 && listen(fd, 128) < 0) result = bgw_errno();
  if (result < 0) {
    close(fd);
    return result;
  }
  return fd;
}

// As the kernel wrote them down: of a client when it connected, of a server when it began to listen. Nobody can forge them.
static int Peer(int fd, pid_t *pid, uid_t *uid) {
  struct ucred peer;
  socklen_t length = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return bgw_errno();
  *pid = peer.pid;
  *uid = peer.uid;
  return 0;
}

int BgwConnect(const char *path, pid_t *peer_pid, uid_t *peer_uid) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) return -ENAMETOOLONG;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return bgw_errno();
  // A local socket connects at once, or not at all: EAGAIN says that too many wait already.
  int result =
      connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? bgw_errno() : Peer(fd, peer_pid, peer_uid);
  if (result == 0) return fd;
  close(fd);
  return result;
}

int BgwAccept(int listen_fd, pid_t *peer_pid, uid_t *peer_uid) {
  int fd;
  do {
    fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0) return bgw_errno();
  int result = Peer(fd, peer_pid, peer_uid);
  if (result == 0) return fd;
  close(fd);
  return result;
}

void BgwSendOnce(int fd, const void *bytes, size_t length) {
  if (send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    // The client is told by the closed connection.
  }
}
