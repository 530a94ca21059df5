// Giving up root. PostgreSQL has no such thing: it refuses root (src/backend/main/main.c, check_root), whose checks these are.
//
// The order: groups while we may still change them, then the gid, then the uid, which takes the rest away. Each of real, effective and saved id is set, since
// one that stays is a way back. Setting the uid empties the capability sets, unless a securebit of whoever started us says otherwise: so they are emptied
// by name, too. no_new_privs closes what is left: a program with the set-user-ID bit that somebody has put in the way.
#include "privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// An entry with hundreds of kilobytes is somebody's mistake.
enum { kEntrySize = 256 * 1024 };

int BgwLookUpUser(const char *name_or_number, BgwUser *user) {
  static char buffer[kEntrySize];
  struct passwd entry, *found = NULL;
  int error = getpwnam_r(name_or_number, &entry, buffer, sizeof(buffer), &found);
  char *end;
  unsigned long uid = strtoul(name_or_number, &end, 10);
  bool is_number = name_or_number[0] >= '0' && name_or_number[0] <= '9' && *end == '\0' && uid < (uid_t)-1;
  if (found == NULL && is_number) error = getpwuid_r((uid_t)uid, &entry, buffer, sizeof(buffer), &found);
  if (found == NULL) {
    // What getpwnam(3) says of "not found": 0 or any of these, by the source that was asked.
    bool absent = error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
    return absent ? 0 : -error;
  }
  user->uid = found->pw_uid;
  user->gid = found->pw_gid;
  snprintf(user->name, sizeof(user->name), "%s", found->pw_name);
  snprintf(user->home, sizeof(user->home), "%s", found->pw_dir);
  return 1;
}

bool BgwIdsMatch(void) { return getuid() == geteuid() && getgid() == getegid(); }

int BgwSetEffective(uid_t uid, gid_t gid) {
  // To root the uid comes first, from root last: who is not root may not change the gid.
  if (uid == 0 && seteuid(uid) < 0) return bgw_errno();
  if (setegid(gid) < 0) return bgw_errno();
  return uid != 0 && seteuid(uid) < 0 ? bgw_errno() : 0;
}

// --- capabilities ----------------------------------------------------------------------------------------------------------------

static int ClearCapabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
  memset(none, 0, sizeof(none));
  // An old kernel has no ambient set, and then nothing to clear.
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) return bgw_errno();
  return syscall(SYS_capset, &header, none) < 0 ? bgw_errno() : 0;
}

static int HasCapabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, held) < 0) return bgw_errno();
  for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
    if ((held[i].effective | held[i].permitted | held[i].inheritable) != 0) return 1;
  }
  return 0;
}

// --- the change ------------------------------------------------------------------------------------------------------------------

// Nothing that root may do goes any more, tried one by one; the attempts change nothing where they fail, as they must.
static int TryTheWayBack(uid_t uid, gid_t gid) {
  uid_t real, effective, saved;
  gid_t real_group, effective_group, saved_group;
  if (getresuid(&real, &effective, &saved) < 0) return bgw_errno();
  if (getresgid(&real_group, &effective_group, &saved_group) < 0) return bgw_errno();
  if (real != uid || effective != uid || saved != uid) return -ENOTRECOVERABLE;
  if (real_group != gid || effective_group != gid || saved_group != gid) return -ENOTRECOVERABLE;
  // setfsuid(2) has no failure; an id that nobody has asks for the present one.
  if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid) return -ENOTRECOVERABLE;
  if (setuid(0) == 0 || seteuid(0) == 0 || setresuid((uid_t)-1, 0, (uid_t)-1) == 0) return -ENOTRECOVERABLE;
  if (gid != 0 && (setgid(0) == 0 || setegid(0) == 0)) return -ENOTRECOVERABLE;
  if (setgroups(0, NULL) == 0) return -ENOTRECOVERABLE;
  int capabilities = HasCapabilities();
  if (capabilities < 0) return capabilities;
  return capabilities == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -ENOTRECOVERABLE;
}

int BgwBecomeUser(const char *name, uid_t uid, gid_t gid) {
  if (uid == 0) return -EINVAL;
  int parent_death_signo = 0;
  if (prctl(PR_GET_PDEATHSIG, &parent_death_signo) < 0) return bgw_errno();
  if ((name == NULL ? setgroups(1, &gid) : initgroups(name, gid)) < 0) return bgw_errno();
  if (setresgid(gid, gid, gid) < 0) return bgw_errno();
  if (setresuid(uid, uid, uid) < 0) return bgw_errno();
  int result = ClearCapabilities();
  if (result < 0) return result;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return bgw_errno();
  // The kernel forgets it with every change of credentials.
  if (parent_death_signo != 0 && prctl(PR_SET_PDEATHSIG, parent_death_signo) < 0) return bgw_errno();
  return TryTheWayBack(uid, gid);
}
