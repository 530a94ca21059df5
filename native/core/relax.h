// What a processor is told that looks at a word again and again: another one, or its own other half, may go first. Any process; async-signal-safe.
// PostgreSQL: SPIN_DELAY in src/include/storage/s_lock.h.
#pragma once

static inline void BgwRelax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}
