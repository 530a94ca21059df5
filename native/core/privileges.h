// Whom a process runs as, and becoming somebody else for good. The postmaster before its last exec, and the command line.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "result.h"

// An entry of the user database, whichever the C library asks (files, LDAP, …). Texts that are too long are cut.
typedef struct BgwUser {
  uid_t uid;
  gid_t gid;
  char name[256];
  char home[1024];
} BgwUser;

// By name, else, where the text is a number, by number. 1: found, 0: there is none, -errno.
BGW_MUST_CHECK int BgwLookUpUser(const char *name_or_number, BgwUser *user);

// Becomes a user for good: groups (those of `name`, or `gid` alone where it is NULL), gid, uid, no capabilities, no_new_privs; the signal that was
// asked for at the parent's death stays asked for. The way back is then tried, and must not exist: -ENOTRECOVERABLE where it does. After any failure the
// process is neither who it was nor who it should be, and must end. All threads change. What /proc/self shows belongs to root until the next exec.
BGW_MUST_CHECK int BgwBecomeUser(const char *name, uid_t uid, gid_t gid);

// Real and effective ids are the same, user's and group's: PostgreSQL refuses to run otherwise.
bool BgwIdsMatch(void);

// For the time of reading one file: takes on the effective ids of somebody, and gives them back. Root only.
BGW_MUST_CHECK int BgwSetEffective(uid_t uid, gid_t gid);
