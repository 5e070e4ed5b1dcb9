#include "daemon/event_loop.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>

#include "absl/log/check.h"

namespace interpd::daemon {
namespace {

using Clock = std::chrono::steady_clock;

// How long the poller polls after the last event before it sleeps: a lone call of a client that waits for each answer
// then finds it awake. Sleeping and being woken costs up to 60 us.
constexpr Clock::duration kPollFor = std::chrono::microseconds(50);

// A sleep shorter than this would have been worth polling through.
constexpr Clock::duration kShortSleep = std::chrono::microseconds(150);

// Polling is given up after so many sleeps in a row that were long, and taken up again after one that was short.
constexpr int kPatience = 4;

// So many of gRPC's events are handled before posted tasks, which else wait until gRPC has no more: what ends meanwhile
// is answered together, the client's next requests then come together too, and all take fewer system calls.
constexpr int kEventsInARow = 64;

// With as many events as this in kRateWindow, many calls are in flight, and the poller, when it finds nothing, leaves
// gRPC alone for kBreath: more comes at once then. A client that waits for each answer stays below the rate.
constexpr Clock::duration kRateWindow = std::chrono::microseconds(100);
constexpr int64_t kManyEvents = 10;
constexpr Clock::duration kBreath = std::chrono::microseconds(5);

// Tells from the events of the last window whether many are to be expected.
class EventRate {
 public:
  void CountEvent() { ++events_; }

  bool IsHigh(Clock::time_point now) {
    const Clock::duration passed = now - window_begin_;
    if (passed >= kRateWindow) {
      is_high_ = events_ * kRateWindow >= kManyEvents * passed;
      window_begin_ = now;
      events_ = 0;
    }
    return is_high_;
  }

 private:
  Clock::time_point window_begin_ = Clock::now();
  int64_t events_ = 0;
  bool is_high_ = false;
};

// Decides from the last sleeps whether polling pays.
class PollPolicy {
 public:
  bool worth_it() const { return long_sleeps_ < kPatience; }

  void Slept(Clock::duration time) {
    if (time < kShortSleep) {
      long_sleeps_ = 0;
    } else if (long_sleeps_ < kPatience) {
      ++long_sleeps_;
    }
  }

 private:
  int long_sleeps_ = 0;
};

class FunctionTask final : public EventLoop::Task {
 public:
  explicit FunctionTask(absl::AnyInvocable<void() &&> function) : function_(std::move(function)) {}
  void Run() override {
    std::move(function_)();
    delete this;
  }

 private:
  absl::AnyInvocable<void() &&> function_;
};

}  // namespace

EventLoop::EventLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue) : queue_(std::move(queue)) {}

EventLoop::~EventLoop() { CHECK(!poller_.joinable()) << "the loop was not stopped"; }

void EventLoop::Start() {
  poller_ = std::thread([this] { Poll(); });
  stand_in_ = std::thread([this] { StandIn(); });
  pthread_setname_np(poller_.native_handle(), "interpd-poll");
  pthread_setname_np(stand_in_.native_handle(), "interpd-standin");
}

void EventLoop::Stop() {
  queue_->Shutdown();
  if (poller_.joinable()) {
    poller_.join();
  } else {
    void* tag;
    bool ok;
    while (queue_->Next(&tag, &ok)) static_cast<Tag*>(tag)->Complete(ok);
  }
  if (stand_in_.joinable()) {
    // Dekker once more: we set stopping_, then watch_; the stand-in that is at its end of work sets watch_, then looks
    // at stopping_. So it does not overwrite our call and then sleep.
    stopping_.store(true, std::memory_order_seq_cst);
    watch_.exchange(kStandInWatches, std::memory_order_seq_cst);
    watch_.notify_all();
    stand_in_.join();
  }
  Run([this] { RunPosted(); });
}

void EventLoop::Post(Task* task) noexcept {
  Task* head = posted_.load(std::memory_order_relaxed);  // a guess; the exchange below is what counts
  do {
    task->next_ = head;
    // Release: whoever takes the list sees the task's contents. Sequentially consistent: see watch_ below.
  } while (!posted_.compare_exchange_weak(head, task, std::memory_order_seq_cst, std::memory_order_relaxed));

  // Dekker's handshake with a watcher that goes to sleep: we push, then read watch_; it writes watch_, then reads the
  // list. All four are sequentially consistent, so at least one of us sees what the other has done: either it finds
  // the task, or we find kNobodyWatches.
  if (watch_.load(std::memory_order_seq_cst) != kNobodyWatches) return;
  // Of several that post now, one wakes the stand-in. Acquire-release: the stand-in that finds kStandInWatches sees
  // all that was before it.
  uint32_t expected = kNobodyWatches;
  if (watch_.compare_exchange_strong(expected, kStandInWatches, std::memory_order_acq_rel,
                                     std::memory_order_relaxed /* then somebody watches */)) {
    watch_.notify_all();
  }
}

void EventLoop::Post(absl::AnyInvocable<void() &&> function) { Post(new FunctionTask(std::move(function))); }

void EventLoop::Defer(Task* task) {
  task->next_ = deferred_;
  deferred_ = task;
}

void EventLoop::Run(absl::FunctionRef<void()> function) {
  std::lock_guard lock(mutex_);
  function();
  RunDeferred();
}

void EventLoop::RunPosted() {
  // A glance without a write, so that the line stays shared while nothing is posted. Relaxed: a task missed here is
  // found at the next look, and before sleeping the look is a sequentially consistent one.
  if (posted_.load(std::memory_order_relaxed) == nullptr) return;
  // Acquire: pairs with the release in Post.
  Task* newest = posted_.exchange(nullptr, std::memory_order_acquire);
  Task* oldest = nullptr;
  while (newest != nullptr) {
    Task* next = newest->next_;
    newest->next_ = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    Task* task = oldest;
    oldest = task->next_;  // before Run, which may end the task's life or post it again
    task->Run();
  }
}

void EventLoop::RunDeferred() {
  while (deferred_ != nullptr) {
    Task* task = deferred_;
    deferred_ = task->next_;
    task->Run();
  }
}

void EventLoop::Poll() {
  // Release: what was before belongs to the next watcher too.
  watch_.store(kPollerWatches, std::memory_order_release);
  PollPolicy policy;
  EventRate rate;
  int events_in_a_row = 0;
  Clock::time_point last_event = Clock::now();
  for (;;) {
    void* tag;
    bool ok;
    auto outcome = queue_->AsyncNext(&tag, &ok, gpr_time_0(GPR_CLOCK_MONOTONIC));
    if (outcome == grpc::CompletionQueue::TIMEOUT) {
      events_in_a_row = 0;
      if (const Clock::time_point start = Clock::now(); rate.IsHigh(start)) {
        do {
          sched_yield();
        } while (Clock::now() - start < kBreath);
      }
      bool any = posted_.load(std::memory_order_relaxed) != nullptr;  // a glance, as in RunPosted
      if (any) {
        std::lock_guard lock(mutex_);
        RunPosted();
        RunDeferred();
      }
      Clock::time_point now = Clock::now();
      if (any) last_event = now;
      if (any || (policy.worth_it() && now - last_event < kPollFor)) continue;

      // The poller's half of the handshake in Post.
      watch_.store(kNobodyWatches, std::memory_order_seq_cst);
      if (posted_.load(std::memory_order_seq_cst) != nullptr) {
        watch_.store(kPollerWatches, std::memory_order_release);
        continue;
      }
      outcome = queue_->AsyncNext(&tag, &ok, gpr_inf_future(GPR_CLOCK_MONOTONIC));
      watch_.store(kPollerWatches, std::memory_order_release);
      policy.Slept(Clock::now() - now);
    }
    if (outcome == grpc::CompletionQueue::SHUTDOWN) return;
    {
      std::lock_guard lock(mutex_);
      static_cast<Tag*>(tag)->Complete(ok);
      if (++events_in_a_row == kEventsInARow) {
        events_in_a_row = 0;
        RunPosted();
      }
      RunDeferred();
    }
    rate.CountEvent();
    last_event = Clock::now();
  }
}

void EventLoop::StandIn() {
  for (;;) {
    uint32_t watch = watch_.load(std::memory_order_acquire);
    while (watch != kStandInWatches) {
      watch_.wait(watch, std::memory_order_acquire);
      watch = watch_.load(std::memory_order_acquire);
    }
    // Relaxed: the acquire of watch_ above orders it.
    if (stopping_.load(std::memory_order_relaxed)) return;
    {
      std::lock_guard lock(mutex_);
      RunPosted();
      RunDeferred();
    }
    // The stand-in's half of the handshake in Post. If the poller has woken meanwhile, the list is its business.
    uint32_t expected = kStandInWatches;
    const bool rests = watch_.compare_exchange_strong(expected, kNobodyWatches, std::memory_order_seq_cst);
    if (stopping_.load(std::memory_order_seq_cst)) return;  // see Stop
    if (rests && posted_.load(std::memory_order_seq_cst) != nullptr) {
      expected = kNobodyWatches;
      watch_.compare_exchange_strong(expected, kStandInWatches, std::memory_order_acq_rel);
    }
  }
}

}  // namespace interpd::daemon
