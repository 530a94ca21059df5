// The event loop's part in waiting: asynchronous waits sleep where the loop sleeps. Glue for core/latch_watch.h and core/wait.h.
//
//   prepare   right before the loop sleeps: announces it in the watched latches. What is there already keeps the loop awake, by an idle handle
//   poll      SIGURG's descriptor, the death pipe, sets with sockets (wait_event_set.cc): drains, looks, and notes that there is news
//   check     right after: takes the announcements back, and calls JavaScript where there is news
//
// JavaScript is called from the check alone, once a turn, however much has come.
#include "binding/loop.h"

#include <uv.h>

#include <cerrno>
#include <memory>

#include "binding/args.h"
extern "C" {
#include "core/latch_watch.h"
#include "core/own_words.h"
#include "core/postmaster_death.h"
#include "core/signals.h"
#include "core/wait.h"
#include "core/wait_event.h"
#include "core/wait_event_set.h"
}

namespace bgw {

// One a process, made after the fork, for its whole life.
struct Loop {
  uv_prepare_t prepare;
  uv_check_t check;
  uv_idle_t idle;
  uv_poll_t urgent;
  uv_poll_t death;
  int waits;      // asynchronous ones that are under way
  bool prepared;  // from the announcement until the check
  bool news;
  bool death_told;
  int pipe_error;  // -errno of the death pipe, until JavaScript has been told
  Napi::Env env;
  Napi::FunctionReference callback;
  std::unique_ptr<Napi::AsyncContext> context;
};
static Loop* loop = nullptr;

void LoopHasNews() { loop->news = true; }

static bool Due(bool seen) {
  return seen || loop->news || loop->pipe_error != 0 || (BgwPostmasterDeathSeen() && !loop->death_told);
}

static void KeepAwake(uv_idle_t*) {}

void LoopLookAgain() {
  if (loop != nullptr && loop->prepared) uv_idle_start(&loop->idle, KeepAwake);
}

template <typename Handle>
static void Unref(Handle* handle) {
  uv_unref(reinterpret_cast<uv_handle_t*>(handle));
}

static void EndWait(BgwLatch* latch) {
  if (latch != nullptr) BgwUnwatchLatch(latch);
  if (--loop->waits == 0) Unref(&loop->urgent);
}

// The wait that ended last is still registered: nobody has taken it over.
static void EndLingeringWait() {
  if (bgw_own_words.lingers == 0) return;
  bgw_own_words.lingers = 0;
  EndWait(LatchAt(static_cast<int64_t>(bgw_own_words.lingerer)));
}

static void OnPrepare(uv_prepare_t* prepare) {
  EndLingeringWait();
  loop->prepared = true;
  bool may_sleep = !Due(false) && uv_backend_timeout(prepare->loop) != 0;
  if (Due(BgwBeforeLoopSleeps(may_sleep))) uv_idle_start(&loop->idle, KeepAwake);
  // Also where it turns out not to sleep: another's prepare handle may still change that. A wait that shows need not be one of those that are counted here.
  else if (bgw_own_words.wait_event_info != 0)
    BgwReportWait(bgw_own_words.wait_event_info);
}

static void OnUrgent(uv_poll_t*, int, int) { BgwDrainUrgent(); }

static void OnDeathPipe(uv_poll_t* poll, int, int) {
  // Whatever it said, it will say again at once, for ever: it is asked once.
  int dead = BgwLookForPostmasterDeath();
  if (dead != 0) uv_poll_stop(poll);
  if (dead < 0) loop->pipe_error = dead;
}

static void OnCheck(uv_check_t*) {
  loop->prepared = false;
  BgwReportWait(0);  // whatever was shown: the poll's callbacks may have changed the word since
  uv_idle_stop(&loop->idle);
  if (!Due(BgwAfterLoopSlept())) return;
  loop->news = false;
  loop->death_told = BgwPostmasterDeathSeen();
  Napi::HandleScope scope(loop->env);
  napi_value pipe_error = Napi::Number::New(loop->env, loop->pipe_error);
  loop->pipe_error = 0;
  loop->callback.MakeCallback(loop->env.Global(), 1, &pipe_error, *loop->context);
  if (loop->env.IsExceptionPending()) {
    // An exit callback or a signal handler of the user's threw: the same as in any other callback of the loop.
    napi_fatal_exception(loop->env, loop->env.GetAndClearPendingException().Value());
  }
}

// Handles that keep no loop alive: somebody who waits asynchronously does.
static int StartHandles(uv_loop_t* uv) {
  uv_idle_init(uv, &loop->idle);
  uv_prepare_init(uv, &loop->prepare);
  uv_prepare_start(&loop->prepare, OnPrepare);
  uv_check_init(uv, &loop->check);
  uv_check_start(&loop->check, OnCheck);
  int result = uv_poll_init(uv, &loop->urgent, BgwUrgentFd());
  if (result == 0) result = uv_poll_start(&loop->urgent, UV_READABLE, OnUrgent);
  if (result == 0) result = uv_poll_init(uv, &loop->death, BgwDeathPipeFd());
  if (result == 0) result = uv_poll_start(&loop->death, UV_READABLE, OnDeathPipe);
  if (result < 0) return result;
  Unref(&loop->prepare);
  Unref(&loop->check);
  Unref(&loop->urgent);
  Unref(&loop->death);
  return 0;
}

// Argument: the function to call when there is news; it is told 0, or -errno of the death pipe. Result: 0 or -errno.
static Napi::Value WaitEventSupportInit(const Napi::CallbackInfo& info) {
  int result = BgwWaitEventSupportInit();
  if (result < 0) return Number(info, result);
  uv_loop_s* uv = nullptr;
  napi_get_uv_event_loop(info.Env(), &uv);
  loop = new Loop{{},
                  {},
                  {},
                  {},
                  {},
                  0,
                  false,
                  false,
                  false,
                  0,
                  info.Env(),
                  Napi::Persistent(info[0].As<Napi::Function>()),
                  std::make_unique<Napi::AsyncContext>(info.Env(), "bgworker.Wait")};
  return Number(info, StartHandles(uv));
}

// Argument: the latch that is waited for; a name that no latch has: none. Waits keep the event loop alive. Result: 0 or -errno.
static Napi::Value WaitBegins(const Napi::CallbackInfo& info) {
  if (loop == nullptr) return Number(info, -ENOTCONN);
  LoopLookAgain();
  BgwLatch* latch = LatchAt(Long(info, 0));
  int result = latch == nullptr ? 0 : BgwWatchLatch(latch);
  if (result == 0 && loop->waits++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&loop->urgent));
  return Number(info, result);
}
static Napi::Value WaitEnds(const Napi::CallbackInfo& info) {
  EndWait(LatchAt(Long(info, 0)));
  return info.Env().Undefined();
}

// Result: a buffer over the words of core/own_words.h, for the life of the process.
static Napi::Value OwnWords(const Napi::CallbackInfo& info) {
  return Napi::ArrayBuffer::New(info.Env(), &bgw_own_words, sizeof(bgw_own_words));
}

// Arguments: listening descriptor (-1: none), timeout in milliseconds. Result: recorded signals as bits 0 to 30, bit 31: a connection waits.
static Napi::Value PostmasterWait(const Napi::CallbackInfo& info) {
  uint32_t recorded = 0;
  int result = BgwPostmasterWait(Int(info, 0), Long(info, 1), &recorded);
  if (result < 0) return Number(info, result);
  return Number(info, recorded | (result > 0 ? 1u << 31 : 0));
}

void InitLoop(Napi::Object exports) {
  Export<WaitEventSupportInit>(exports, "waitEventSupportInit");
  Export<WaitBegins>(exports, "waitBegins");
  Export<WaitEnds>(exports, "waitEnds");
  Export<OwnWords>(exports, "ownWords");
  Export<PostmasterWait>(exports, "postmasterWait");
}

}  // namespace bgw
