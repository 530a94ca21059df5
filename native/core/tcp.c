// Keepalives of a TCP connection. Children.
#include "tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int SetAboveZero(int fd, int option, int value) {
  if (value <= 0) return 0;
  return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) < 0 ? bgw_errno() : 0;
}

int BgwSetKeepalives(int fd, int idle, int interval, int count, int user_timeout) {
  int on = 1;
  int result = setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ? bgw_errno() : 0;
  if (result == 0) result = SetAboveZero(fd, TCP_KEEPIDLE, idle);
  if (result == 0) result = SetAboveZero(fd, TCP_KEEPINTVL, interval);
  if (result == 0) result = SetAboveZero(fd, TCP_KEEPCNT, count);
  if (result == 0) result = SetAboveZero(fd, TCP_USER_TIMEOUT, user_timeout);
  return result;
}
