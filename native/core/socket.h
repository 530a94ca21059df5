// The postmaster's listening socket, and an application's end. The postmaster forks a session backend for each connection.
#pragma once

#include <sys/types.h>

#include "result.h"

// Binds and listens, mode 0600. `path` may be /proc/self/fd/N/name where the real path is too long for sun_path.
BGW_MUST_CHECK int BgwListen(const char *path);
// An application's end: a connection, and who listens at its other end.
BGW_MUST_CHECK int BgwConnect(const char *path, pid_t *peer_pid, uid_t *peer_uid);
// The next connection and who is at its other end; -EAGAIN when there is none.
BGW_MUST_CHECK int BgwAccept(int listen_fd, pid_t *peer_pid, uid_t *peer_uid);
// One attempt, without blocking: what a refused client is told. What does not fit is lost.
void BgwSendOnce(int fd, const void *bytes, size_t length);
