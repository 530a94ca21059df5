// setrlimit(2) and getrlimit(2), with "none" as a number of its own. Runs in a worker.
#include "rlimits.h"

#include <errno.h>
#include <sys/resource.h>

static rlim_t Given(int64_t value) { return value == kBgwUnlimited ? RLIM_INFINITY : (rlim_t)value; }
static int64_t Shown(rlim_t value) { return value == RLIM_INFINITY ? kBgwUnlimited : (int64_t)value; }

int BgwSetLimit(int resource, BgwLimit limit) {
  struct rlimit wanted = {.rlim_cur = Given(limit.soft), .rlim_max = Given(limit.hard)};
  return setrlimit((__rlimit_resource_t)resource, &wanted) < 0 ? bgw_errno() : 0;
}

int BgwGetLimit(int resource, BgwLimit *limit) {
  struct rlimit now;
  if (getrlimit((__rlimit_resource_t)resource, &now) < 0) return bgw_errno();
  *limit = (BgwLimit){.soft = Shown(now.rlim_cur), .hard = Shown(now.rlim_max)};
  return 0;
}
