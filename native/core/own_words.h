// Words of this process alone that C and JavaScript share, so that a look at one is no call from the one into the other. src/ipc/own-words.ts has the same
// numbers. Every process; a child has its own from the fork on.
#pragma once

#include "atomic_word.h"

//   recorded         the signals that were recorded, bit signo-1. Writers: handlers set bits, BgwTakeRecorded takes them. Reader: JavaScript, which need not
//                    ask for what is not there.
//   death_seen       1: a wait has seen the postmaster's death. Writer: C, once. Readers: both.
//   look_for_death   0: the postmaster lives, unless a signal comes, whose handler makes it 1 (contract L-42). Writers: C, see postmaster_death.c. Readers: both.
//   lingers          1: the asynchronous wait that ended last is still registered (binding/loop.cc), under the name in `lingerer`. Writers: JavaScript, when a
//                    wait ends and when one for the same latch takes it over; C makes it 0 before the event loop sleeps.
//   wait_event_info  what this process waits for while its event loop sleeps; 0: nothing that has a name. Writer: JavaScript. Reader: C (wait_event.h).
//   lingerer         see `lingers`
typedef struct BgwOwnWords {
  BgwAtomicUint recorded;
  BgwAtomicInt death_seen;
  BgwAtomicInt look_for_death;
  BgwAtomicInt lingers;
  BgwAtomicUint wait_event_info;
  int32_t reserved;
  double lingerer;
} BgwOwnWords;

extern BgwOwnWords bgw_own_words;
