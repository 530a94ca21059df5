// What a TCP connection to the database server has besides Node's own options. Children.
// PostgreSQL: setKeepalivesIdle and its neighbours in src/interfaces/libpq/fe-connect.c.
#pragma once

#include "result.h"

// Turns keepalives on, and sets what is above zero; the system's own default stays otherwise. Idle and interval in seconds, user_timeout (how long sent
// data may stay unacknowledged) in milliseconds.
BGW_MUST_CHECK int BgwSetKeepalives(int fd, int idle, int interval, int count, int user_timeout);
