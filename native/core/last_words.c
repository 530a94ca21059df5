// PostgreSQL: log_status_format and get_formatted_log_time in src/backend/utils/error/elog.c, which its handler of SIGTERM calls. Here the prefix is made
// in JavaScript, beforehand, and has holes where a time goes.
#include "last_words.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server_log.h"

// Whoever ends this process may be waiting for its end: not for long.
enum { kTextSize = 4096, kMaxTimes = 64, kTimeSize = 32, kPatienceMs = 1000 };

typedef struct Prepared {
  char text[kTextSize];
  size_t length;
  BgwLogTime times[kMaxTimes];
  size_t time_count;
} Prepared;

// Written with signals blocked, read inside a handler: never seen half.
static Prepared prepared[kBgwLastWordsCount];

void BgwSetLastWords(BgwLastWords why, const char *text, size_t length, const BgwLogTime *times, size_t count) {
  Prepared *words = &prepared[why];
  // A handler between the lines would print half of each.
  sigset_t all, mask;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &mask);
  words->length = length < kTextSize ? length : kTextSize;
  if (words->length > 0) memcpy(words->text, text, words->length);
  words->time_count = 0;
  for (size_t i = 0; i < count && i < kMaxTimes; i++) {
    if (times[i].offset < 0 || (size_t)times[i].offset > words->length) continue;
    words->times[words->time_count++] = times[i];
  }
  sigprocmask(SIG_SETMASK, &mask, NULL);
}

static char *PutNumber(char *at, int64_t value, int width) {
  char digits[20];
  int n = 0;
  do {
    digits[n++] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  while (n < width) digits[n++] = '0';
  while (n > 0) *at++ = digits[--n];
  return at;
}

static char *PutMilliseconds(char *at, const struct timespec *now) {
  *at++ = '.';
  return PutNumber(at, now->tv_nsec / 1000000, 3);
}

// gmtime is not on the list of what a handler may call, so the civil date is worked out here (days since 1970-03-01 of a year that begins in March).
static char *PutDateAndTime(char *at, const struct timespec *now) {
  int64_t days = now->tv_sec / 86400 + 719468;
  int64_t era = days / 146097;
  int64_t day_of_era = days - era * 146097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  int64_t seconds = now->tv_sec % 86400;
  const int64_t parts[] = {year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60};
  static const char kAfter[] = "-- ::";
  for (int i = 0; i < 6; i++) {
    at = PutNumber(at, parts[i], i == 0 ? 4 : 2);
    if (i < 5) *at++ = kAfter[i];
  }
  return at;
}

static char *PutTime(char *at, const struct timespec *now, int32_t form) {
  if (form == kBgwTimeEpoch) return PutMilliseconds(PutNumber(at, now->tv_sec, 1), now);
  at = PutDateAndTime(at, now);
  if (form == kBgwTimeMilliseconds) at = PutMilliseconds(at, now);
  memcpy(at, " UTC", 4);
  return at + 4;
}

void BgwWriteLastWords(BgwLastWords why) {
  const Prepared *words = &prepared[why];
  char line[kTextSize + kMaxTimes * kTimeSize];
  char *at = line;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  size_t done = 0;
  for (size_t i = 0; i < words->time_count; i++) {
    size_t before = (size_t)words->times[i].offset - done;
    memcpy(at, words->text + done, before);
    at = PutTime(at + before, &now, words->times[i].form);
    done += before;
  }
  memcpy(at, words->text + done, words->length - done);
  at += words->length - done;
  if (at > line && BgwWriteLog(STDERR_FILENO, line, (size_t)(at - line), kPatienceMs) < 0) {
    // Nobody left to tell.
  }
}
