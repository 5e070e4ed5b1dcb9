#include "daemon/lifecycle.h"

#include <malloc.h>
#include <semaphore.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "daemon/interpreter_proto.h"
#include "daemon/monotonic_time.h"

namespace interpd::daemon {
namespace {

// Memory goes back after so many closes, or this long after the last one.
constexpr int64_t kTrimAfterCloses = 256;
constexpr absl::Duration kTrimAfter = absl::Milliseconds(500);

// An interpreter that does not end within this time past its grace period is stuck (the host says so itself a little
// earlier); then the process leaves without it.
constexpr absl::Duration kStuckMargin = absl::Seconds(20);

// How long the second SIGINT lets interpreters end before the process leaves without them.
constexpr absl::Duration kAtOnce = absl::Seconds(1);

// How long answers that are ready may take to reach their clients when the process leaves without all having ended.
constexpr absl::Duration kFlushTime = absl::Seconds(1);

// How old the status line may become that the service manager shows.
constexpr absl::Duration kStatusEvery = absl::Seconds(10);

// While draining: how often more time is asked for, and how much.
constexpr absl::Duration kExtendEvery = absl::Seconds(5);
constexpr absl::Duration kExtendBy = absl::Seconds(15);

// What signal handlers write. They may run on any thread, one with another file descriptor table too: memory and a
// semaphore are all that they may touch.
std::atomic<int> g_terminate{0};
std::atomic<int> g_interrupt{0};
std::atomic<int> g_dump{0};
std::atomic<int> g_reload{0};
sem_t g_happened;
static_assert(std::atomic<int>::is_always_lock_free);

void OnSignal(int signal) {
  int saved_errno = errno;
  // Relaxed: the semaphore orders them.
  if (signal == SIGINT) {
    g_interrupt.fetch_add(1, std::memory_order_relaxed);
  } else if (signal == SIGUSR1) {
    g_dump.fetch_add(1, std::memory_order_relaxed);
  } else if (signal == SIGHUP) {
    g_reload.fetch_add(1, std::memory_order_relaxed);
  } else {
    g_terminate.fetch_add(1, std::memory_order_relaxed);
  }
  sem_post(&g_happened);
  errno = saved_errno;
}

void Happened() { sem_post(&g_happened); }

// Something has happened, a signal has come, or it is that late.
void WaitUntil(absl::Time time) {
  const timespec until = absl::ToTimespec(time);
  sem_clockwait(&g_happened, CLOCK_MONOTONIC, &until);
}

std::string StatusOf(interp::InterpreterRegistry& registry, const std::function<std::string()>& more) {
  interp::HostInfo host = registry.info();
  std::string status =
      absl::StrCat(host.interpreter_count, " interpreters, ", host.pending_count, " pieces of work pending");
  if (host.stuck_count != 0) absl::StrAppend(&status, ", ", host.stuck_count, " stuck");
  if (more) absl::StrAppend(&status, more());
  return status;
}

}  // namespace

// Filled on threads of the host, logged on the main thread. Shared with callbacks that may come after a drain.
struct Lifecycle::Dumps {
  absl::Mutex mutex;
  std::vector<std::string> texts ABSL_GUARDED_BY(mutex);
};

Lifecycle::Lifecycle() : dumps_(std::make_shared<Dumps>()) {
  CHECK_EQ(sem_init(&g_happened, 0, 0), 0);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGTERM, SIGINT, SIGUSR1}) CHECK_EQ(sigaction(signal, &action, nullptr), 0);
  // Under nohup, hanging up stays ignored.
  struct sigaction before;
  CHECK_EQ(sigaction(SIGHUP, nullptr, &before), 0);
  if (before.sa_handler != SIG_IGN) CHECK_EQ(sigaction(SIGHUP, &action, nullptr), 0);
  signal(SIGPIPE, SIG_IGN);
}

void Lifecycle::RequestDrain(std::optional<absl::Duration> grace) {
  {
    absl::MutexLock lock(mutex_);
    drain_asked_ = true;
    if (grace) asked_grace_ = std::min(asked_grace_.value_or(absl::InfiniteDuration()), *grace);
  }
  Happened();
}

void Lifecycle::InterpreterClosed() {
  {
    absl::MutexLock lock(mutex_);
    ++closed_;
    last_closed_ = MonotonicNow();
    if (closed_ != 1 && closed_ != kTrimAfterCloses) return;
  }
  Happened();
}

void Lifecycle::Wait(absl::Time until) {
  {
    absl::MutexLock lock(mutex_);
    if (closed_ > 0) until = std::min(until, last_closed_ + kTrimAfter);
  }
  if (until == absl::InfiniteFuture()) {
    sem_wait(&g_happened);  // or a signal: the caller looks for itself
  } else {
    WaitUntil(until);
  }
}

void Lifecycle::TrimIfDue() {
  {
    absl::MutexLock lock(mutex_);
    if (closed_ == 0 || (closed_ < kTrimAfterCloses && MonotonicNow() < last_closed_ + kTrimAfter)) return;
    closed_ = 0;
  }
  malloc_trim(0);
}

std::optional<absl::Duration> Lifecycle::DrainAskedFor(absl::Duration grace) {
  bool signalled = g_terminate.load(std::memory_order_relaxed) > 0 || g_interrupt.load(std::memory_order_relaxed) > 0;
  absl::MutexLock lock(mutex_);
  if (!drain_asked_ && !signalled) return std::nullopt;
  return asked_grace_.value_or(grace);
}

bool Lifecycle::Run(interp::InterpreterRegistry& registry, Server& server, ServiceManager& manager, Options options) {
  say_ = options.say;
  Watchdog watchdog(manager, server, Happened);
  std::string status = StatusOf(registry, options.more_status);
  manager.Ready(status);
  absl::Time next_status = MonotonicNow() + kStatusEvery;
  for (;;) {
    if (std::optional<absl::Duration> asked = DrainAskedFor(*options.grace)) {
      return Drain(registry, server, manager, *asked);
    }
    if (g_dump.exchange(0, std::memory_order_relaxed) > 0) DumpStacks(registry);
    if (g_reload.exchange(0, std::memory_order_relaxed) > 0) Reload(manager, options, status);
    LogDumps();
    TrimIfDue();
    absl::Time now = MonotonicNow();
    absl::Time next = watchdog.Step(now);
    if (manager.listens()) {
      if (now >= next_status) {
        next_status = now + kStatusEvery;
        std::string fresh = StatusOf(registry, options.more_status);
        if (fresh != status) manager.Status(fresh);
        status = std::move(fresh);
      }
      next = std::min(next, next_status);
    }
    Wait(next);
  }
}

void Lifecycle::Reload(ServiceManager& manager, const Options& options, const std::string& status) {
  manager.Reloading();
  absl::Status reloaded = options.reload();
  if (!reloaded.ok()) LOG(ERROR) << "the reload failed: " << reloaded.message();
  manager.Ready(reloaded.ok() ? status : absl::StrCat(status, "; the last reload failed: ", reloaded.message()));
}

bool Lifecycle::Drain(interp::InterpreterRegistry& registry, Server& server, ServiceManager& manager,
                      absl::Duration grace) {
  std::string what =
      absl::StrCat("draining: ", registry.info().interpreter_count, " interpreters, ", registry.info().pending_count,
                   " pieces of work pending, grace period ", absl::FormatDuration(grace));
  LOG(INFO) << what;
  manager.Stopping(what);
  server.BeginDrain();

  // The callback comes on a thread of the host, perhaps after we have given up: it owns what it writes.
  auto closed = std::make_shared<std::atomic<bool>>(false);
  registry.CloseAll(grace, [closed] {
    closed->store(true, std::memory_order_release);
    Happened();
  });
  absl::Time give_up = MonotonicNow() + grace + kStuckMargin;
  absl::Time extend_at = absl::InfinitePast();
  bool at_once = false;
  while (!closed->load(std::memory_order_acquire) && MonotonicNow() < give_up) {
    std::optional<absl::Duration> asked = DrainAskedFor(grace);
    bool interrupted_twice = g_interrupt.load(std::memory_order_relaxed) > 1;
    if (interrupted_twice && !at_once) {
      LOG(WARNING) << "interrupted again: ending at once";
      at_once = true;
      registry.CloseAll(absl::ZeroDuration(), [] {});
      give_up = std::min(give_up, MonotonicNow() + kAtOnce);
    } else if (asked && *asked < grace) {
      grace = *asked;
      LOG(INFO) << "draining: grace period is now " << grace;
      registry.CloseAll(grace, [] {});
      give_up = std::min(give_up, MonotonicNow() + grace + kStuckMargin);
    }
    if (g_dump.exchange(0, std::memory_order_relaxed) > 0) DumpStacks(registry);
    LogDumps();
    absl::Time wake_at = give_up;
    if (manager.listens()) {
      absl::Time now = MonotonicNow();
      if (now >= extend_at) {
        extend_at = now + kExtendEvery;
        manager.ExtendTimeout(kExtendBy);
        manager.Status(absl::StrCat("draining: ", registry.info().interpreter_count, " interpreters are left"));
      }
      wake_at = std::min(wake_at, extend_at);
    }
    WaitUntil(wake_at);
  }
  LogDumps();

  bool all_ended = closed->load(std::memory_order_acquire) && registry.info().stuck_count == 0;
  if (!all_ended) {
    LOG(WARNING) << "leaving without " << registry.info().stuck_count + registry.info().interpreter_count
                 << " interpreters that did not end";
  }
  if (all_ended) {
    server.Shutdown();
  } else {
    // gRPC waits for every call, also for one whose work is stuck: answers that are ready get their time, no more.
    auto flushed = std::make_shared<absl::Notification>();
    try {
      std::thread([&server, flushed] {
        server.Shutdown();
        flushed->Notify();
      }).detach();
      flushed->WaitForNotificationWithTimeout(kFlushTime);
    } catch (const std::system_error& error) {  // stuck interpreters may hold all threads that there are
      LOG(WARNING) << "answers that are not sent yet are lost: " << error.what();
    }
  }
  return all_ended;
}

void Lifecycle::DumpStacks(interp::InterpreterRegistry& registry) {
  interp::HostInfo host = registry.info();
  say_(absl::StrCat("SIGUSR1: ", host.interpreter_count, " interpreters, ", host.stuck_count, " stuck, ",
                    host.pending_count, " pieces of work pending"));
  constexpr size_t kAtATime = 256;
  std::string after;
  for (;;) {
    std::vector<std::shared_ptr<interp::Interpreter>> page = registry.List(after, kAtATime);
    for (const auto& interpreter : page) {
      interp::InterpreterInfo info = interpreter->info();
      std::string head =
          absl::StrCat(NameOf(*interpreter), " ", v1::Interpreter::State_Name(EncodeState(info.state)), ", thread ",
                       info.thread_id, ", ", info.pending_count, " pending, ", info.completed_count, " completed\n");
      interpreter->DumpStacks([dumps = dumps_, head = std::move(head)](std::string stacks) {
        {
          absl::MutexLock lock(dumps->mutex);
          dumps->texts.push_back(head + stacks);
        }
        Happened();
      });
    }
    if (page.size() < kAtATime) return;
    after = page.back()->name();
  }
}

void Lifecycle::LogDumps() {
  std::vector<std::string> texts;
  {
    absl::MutexLock lock(dumps_->mutex);
    texts.swap(dumps_->texts);
  }
  for (const std::string& text : texts) say_(text);
}

}  // namespace interpd::daemon
