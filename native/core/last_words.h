// The last words of a process that ends inside a signal handler: prepared while all is well, written with the time of the moment. Children.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Why it ends. src/elog/elog.ts has the same numbers.
typedef enum BgwLastWords {
  kBgwTerminated = 0,      // SIGTERM, by default: signals.h
  kBgwTouchedGone = 1,     // memory that was taken away: guard.h
  kBgwOutOfHeap = 2,       // V8 is near its heap's limit, and does not get away from it: binding/rlimits.cc
  kBgwStuckSpinlock = 3,   // a lock that somebody has written over: spin.h
  kBgwUnexpectedQuit = 4,  // a session's SIGQUIT that the postmaster has not sent: signals.h
  kBgwLastWordsCount = 5
} BgwLastWords;

// The forms of a time in the log, UTC. src/elog/elog.ts has the same numbers.
typedef enum BgwTimeForm {
  kBgwTimeMilliseconds = 0,  // 2026-11-22 16:43:38.123 UTC
  kBgwTimeSeconds = 1,       // 2026-11-22 16:43:38 UTC
  kBgwTimeEpoch = 2          // 1795379018.123
} BgwTimeForm;

// Where in the text a time goes, in bytes.
typedef struct BgwLogTime {
  int32_t offset;
  int32_t form;
} BgwLogTime;

// Any number of records, with the places of times in order of their offsets. Copied; at most 4,096 bytes and 64 times, what is more is cut.
void BgwSetLastWords(BgwLastWords why, const char *text, size_t length, const BgwLogTime *times, size_t count);

// Writes them to standard error with one write. Async-signal-safe.
void BgwWriteLastWords(BgwLastWords why);

#ifdef __cplusplus
}
#endif
