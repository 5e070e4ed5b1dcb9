#include "tests/testing/deterministic_schedule.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/testing/choices.h"
#include "tests/testing/fiber.h"

namespace interpd::testing {
namespace internal {
namespace {

constexpr int kOutside = kMaxModelThreads;  // the clock of the test itself
constexpr uint64_t kMostSteps = 20'000;     // of a run that ends
constexpr size_t kTraceLength = 150;

bool Acquires(std::memory_order order) {
  return order != std::memory_order_relaxed && order != std::memory_order_release;
}
bool Releases(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}

void Join(Clock& into, const Clock& from) {
  for (int i = 0; i < kClocks; ++i) into[i] = std::max(into[i], from[i]);
}

// ---- one run ------------------------------------------------------------------------------------------------------

enum class State { kReady, kAsleep, kStopped, kEnded };

struct Thread {
  State state = State::kEnded;
  std::function<void()> job;
  std::unique_ptr<Fiber> fiber;
  bool may_time_out = false;
  bool timed_out = false;
  Clock woken_after{};
  int accesses = 0;
  int stop_before = std::numeric_limits<int>::max();
};

struct Sleeper {
  int thread;
  const Location* location;
};

class Model {
 public:
  Explored Run(Chooser& chooser, bool old_reads, uint64_t most_runs, const std::function<void()>& test) {
    Explored explored;
    chooser_ = &chooser;
    old_reads_ = old_reads;
    do {
      Reset();
      test();
      ++explored.runs;
      if (failure_.empty() && explored.runs > most_runs) failure_ = "more runs than the bounds foresee";
    } while (failure_.empty() && chooser.Next());
    explored.failure = failure_;
    Reset();
    return explored;
  }

  void RunThreads(const std::vector<std::function<void()>>& jobs) {
    CHECK(current_ == kOutside && jobs.size() <= kMaxModelThreads);
    if (!failure_.empty()) return;
    Tick();
    for (size_t i = 0; i < jobs.size(); ++i) {
      threads_[i].job = jobs[i];
      threads_[i].state = State::kReady;
      clocks_[i] = clocks_[kOutside];
      ++clocks_[i][i];  // what it does is later than what others know of it
    }
    SwitchTo(PickNext());
    // What all have done is known out here.
    for (const Clock& clock : clocks_) Join(clocks_[kOutside], clock);
    Tick();
  }

  void StopForEver(int thread, int access) { threads_[thread].stop_before = access; }
  int Accesses(int thread) const { return threads_[thread].accesses; }
  int current() const { return current_; }
  bool Ended(int thread) const { return threads_[thread].state == State::kEnded; }
  bool failed() const { return !failure_.empty(); }
  uint64_t Moment() { return ++moment_; }

  // Leaves nothing on the heap: in a thread it does not return.
  void Fail(const char* what) {
    if (failure_.empty()) failure_ = absl::StrCat(what, "\n", absl::StrJoin(trace_, "\n"), "\n");
    if (current_ != kOutside) SwitchTo(kOutside);  // for ever
  }

  // Before each access: another thread may go on first.
  void Step(const char* what, int location) {
    if (current_ == kOutside) {
      CHECK_LT(++outside_steps_, kMostSteps) << "the test does not end outside of its threads";
      return;
    }
    Thread& self = threads_[current_];
    if (self.accesses == self.stop_before) {
      self.state = State::kStopped;
      SwitchTo(PickNext());
    }
    ++self.accesses;
    if (++steps_ > kMostSteps) Fail("the run does not end");
    std::array<int, kMaxModelThreads> others;
    int count = 0;
    for (int i = 0; i < kMaxModelThreads; ++i) {
      if (i != current_ && MayGoOn(i)) others[count++] = i;
    }
    const int chosen = chooser_->Choose(1, count);
    if (chosen != 0) SwitchTo(others[chosen - 1]);
    if (trace_.size() < kTraceLength) trace_.push_back({current_, what, location, 0});
  }

  void Tick() { ++clocks_[current_][current_]; }

  // The oldest store that a load by the current thread may still see.
  size_t Floor(const Location& location, std::memory_order order) const {
    Clock known = clocks_[current_];
    Join(known, views_[current_]);
    const bool seq_cst = order == std::memory_order_seq_cst;
    if (seq_cst) Join(known, fence_view_);
    size_t floor = location.stores.size() - 1;
    for (; floor > 0; --floor) {
      const Store& store = location.stores[floor];
      // It happened before, or lies before in the order of seq_cst operations and fences.
      if (store.time <= known[store.thread]) break;
      if (store.seq_cst && (seq_cst || store.moment < fence_moments_[current_])) break;
    }
    // Coherence: not older than what was seen by a read that happened before.
    for (int i = 0; i < kClocks; ++i) {
      const auto& seen = location.seen[i];
      for (auto it = seen.rbegin(); it != seen.rend() && it->index > floor; ++it) {
        if (it->time <= known[i]) {
          floor = it->index;
          break;
        }
      }
    }
    return floor;
  }

  channels::Words Load(const Location& location, std::memory_order order) {
    Step("load", location.number);
    size_t index = location.stores.size() - 1;
    if (old_reads_ && current_ != kOutside) {
      index -= chooser_->Choose(1, static_cast<int>(index - Floor(location, order)));
    }
    return Observe(location, index, order);
  }

  channels::Words Observe(const Location& location, size_t index, std::memory_order order) {
    const Store& store = location.stores[index];
    Join(Acquires(order) ? clocks_[current_] : unfenced_[current_], store.released);
    location.seen[current_].push_back({clocks_[current_][current_], index});
    Note(index + 1 == location.stores.size() ? 0 : 1, store.value.first);
    Tick();
    return store.value;
  }

  void Append(Location& location, channels::Words value, std::memory_order order, const Clock* continued) {
    Store store = {.value = value,
                   .released = Releases(order) ? clocks_[current_] : fenced_[current_],
                   .thread = current_,
                   .time = clocks_[current_][current_],
                   .moment = ++moment_,
                   .seq_cst = order == std::memory_order_seq_cst};
    if (continued != nullptr) Join(store.released, *continued);  // the release sequence goes on
    location.stores.push_back(store);
    Note(2, value.first);
    Tick();
  }

  void StoreTo(Location& location, channels::Words value, std::memory_order order) {
    Step("store", location.number);
    Append(location, value, order, nullptr);
  }

  bool Change(Location& location, std::memory_order order, std::memory_order failure, channels::Words* old,
              absl::FunctionRef<bool(channels::Words, channels::Words*)> change) {
    Step("change", location.number);
    const size_t last = location.stores.size() - 1;
    channels::Words next;
    const bool changes = change(location.stores[last].value, &next);
    *old = Observe(location, last, changes ? order : failure);
    if (changes) {
      const Clock released = location.stores[last].released;
      Append(location, next, order, &released);
    }
    return changes;
  }

  void Fence(std::memory_order order) {
    Step("fence", -1);
    Clock& clock = clocks_[current_];
    if (Acquires(order)) Join(clock, unfenced_[current_]);
    if (order == std::memory_order_seq_cst) {
      // Who fences later sees what was done before this; that is no synchronization.
      Join(views_[current_], fence_view_);
      Join(fence_view_, clock);
      Join(fence_view_, views_[current_]);
      fence_moments_[current_] = ++moment_;
    }
    if (Releases(order)) fenced_[current_] = clock;
    Tick();
  }

  channels::FutexResult Sleep(const Location& location, uint32_t expected, bool may_time_out) {
    CHECK_NE(current_, kOutside);
    Step("sleep", location.number);
    // The kernel looks at the word as it is.
    if (channels::UpperHalf(location.stores.back().value.first) != expected) return channels::FutexResult::kOther;
    sleepers_.push_back({current_, &location});
    const int self = current_;
    threads_[self].state = State::kAsleep;
    threads_[self].may_time_out = may_time_out;
    threads_[self].timed_out = false;
    threads_[self].woken_after = {};
    SwitchTo(PickNext());
    const bool still = std::erase_if(sleepers_, [&](const Sleeper& sleeper) { return sleeper.thread == self; }) > 0;
    // The kernel's lock of the queue orders a wake before what its sleeper does.
    Join(clocks_[self], threads_[self].woken_after);
    if (!still) return channels::FutexResult::kWoken;
    return threads_[self].timed_out ? channels::FutexResult::kTimeout : channels::FutexResult::kOther;
  }

  int WakeUp(const Location& location, int count) {
    Step("wake", location.number);
    int woken = 0;
    for (auto it = sleepers_.begin(); it != sleepers_.end() && woken < count;) {
      if (it->location != &location) {
        ++it;
        continue;
      }
      Thread& thread = threads_[it->thread];
      thread.state = State::kReady;
      Join(thread.woken_after, clocks_[current_]);
      it = sleepers_.erase(it);
      ++woken;
    }
    Tick();
    return woken;
  }

  void ReadPlain(const PlainAccess& last_write, std::array<uint32_t, kClocks>* reads) {
    Ordered(last_write.thread, last_write.time, "a read races with a write");
    (*reads)[current_] = clocks_[current_][current_];
  }

  void WritePlain(PlainAccess* last_write, std::array<uint32_t, kClocks>* reads) {
    Ordered(last_write->thread, last_write->time, "two writes race");
    for (int i = 0; i < kClocks; ++i) Ordered(i, (*reads)[i], "a write races with a read");
    *last_write = {current_, clocks_[current_][current_]};
  }

  int NewLocation() { return locations_++; }
  void Initialize(Location& location, channels::Words value) {
    location.stores.push_back({.value = value,
                               .released = {},
                               .thread = current_,
                               .time = clocks_[current_][current_],
                               .moment = ++moment_,
                               .seq_cst = false});
  }

 private:
  struct Traced {
    int thread;
    const char* what;
    int location;
    uint64_t value;
    const char* note = "";

    template <typename Sink>
    friend void AbslStringify(Sink& sink, const Traced& traced) {
      sink.Append(absl::StrCat("  thread ", traced.thread, ": ", traced.what,
                               traced.location < 0 ? "" : absl::StrCat(" #", traced.location), " ",
                               absl::Hex(traced.value), traced.note));
    }
  };

  void Reset() {
    for (Thread& thread : threads_) {
      // One that did not come to its end keeps its stack no longer.
      std::unique_ptr<Fiber> fiber;
      if (thread.state == State::kEnded) fiber = std::move(thread.fiber);
      thread = {};
      thread.fiber = std::move(fiber);
    }
    current_ = kOutside;
    for (auto* clocks : {&clocks_, &views_, &unfenced_, &fenced_}) *clocks = {};
    for (int i = 0; i < kClocks; ++i) clocks_[i][i] = 1;
    fence_view_ = {};
    fence_moments_ = {};
    sleepers_.clear();
    trace_.clear();
    failure_.clear();
    moment_ = 0;
    steps_ = 0;
    outside_steps_ = 0;
    locations_ = 0;
  }

  void Note(int kind, uint64_t value) {
    if (trace_.empty() || current_ == kOutside || trace_.size() == kTraceLength) return;
    trace_.back().value = value;
    trace_.back().note = kind == 1 ? " (an old value)" : kind == 2 ? " (stored)" : "";
  }

  void Ordered(int thread, uint32_t time, const char* failure) {
    if (thread >= 0 && time > clocks_[current_][thread]) Fail(failure);
  }

  bool MayGoOn(int thread) const {
    const Thread& other = threads_[thread];
    return other.state == State::kReady || (other.state == State::kAsleep && other.may_time_out);
  }

  // When the current thread cannot go on: who does. kOutside when all have ended or stopped for ever.
  int PickNext() {
    std::array<int, kMaxModelThreads> order;
    int ready = 0, all = 0;
    for (int i = 0; i < kMaxModelThreads; ++i) {
      if (threads_[i].state == State::kReady) order[all++] = i;
    }
    ready = all;
    bool asleep = false;
    for (int i = 0; i < kMaxModelThreads; ++i) {
      if (threads_[i].state != State::kAsleep) continue;
      asleep = true;
      if (threads_[i].may_time_out) order[all++] = i;
    }
    if (all == 0) {
      if (asleep && failure_.empty()) {
        failure_ = absl::StrCat("all sleep, and nobody is left to wake them\n", absl::StrJoin(trace_, "\n"), "\n");
      }
      return kOutside;
    }
    return order[ready > 0 ? chooser_->Choose(ready, all - ready) : chooser_->Choose(all, 0)];
  }

  void SwitchTo(int thread) {
    if (thread != kOutside && threads_[thread].state == State::kAsleep) {  // chosen though nobody woke it
      threads_[thread].timed_out = true;
      threads_[thread].state = State::kReady;
    }
    if (thread == current_) return;
    Fiber& from = FiberOf(current_);
    current_ = thread;
    from.SwitchTo(FiberOf(thread));
    // Whoever switched back has set current_.
  }

  // Made where there is none.
  Fiber& FiberOf(int index) {
    if (index == kOutside) return *outside_;
    Thread& thread = threads_[index];
    if (thread.fiber == nullptr) {
      thread.fiber = std::make_unique<Fiber>([this, index] { threads_[index].job(); },
                                             [this, index] {
                                               threads_[index].state = State::kEnded;
                                               return &Successor();
                                             });
    }
    return *thread.fiber;
  }

  Fiber& Successor() {
    const int next = PickNext();
    if (next != kOutside && threads_[next].state == State::kAsleep) {
      threads_[next].timed_out = true;
      threads_[next].state = State::kReady;
    }
    current_ = next;
    return FiberOf(next);
  }

  const std::unique_ptr<Fiber> outside_ = std::make_unique<Fiber>();
  std::array<Thread, kMaxModelThreads> threads_;
  Chooser* chooser_ = nullptr;
  bool old_reads_ = true;

  int current_ = kOutside;
  std::array<Clock, kClocks> clocks_{};    // what happened before each thread's present
  std::array<Clock, kClocks> views_{};     // what it must see beyond that, because of seq_cst fences
  std::array<Clock, kClocks> unfenced_{};  // what an acquire fence would add
  std::array<Clock, kClocks> fenced_{};    // what a relaxed store releases, because of a release fence
  Clock fence_view_{};                     // what the seq_cst fences so far make visible
  std::array<uint64_t, kClocks> fence_moments_{};
  std::vector<Sleeper> sleepers_;  // the longest asleep first
  std::vector<Traced> trace_;
  std::string failure_;
  uint64_t moment_ = 0;
  uint64_t steps_ = 0;
  uint64_t outside_steps_ = 0;
  int locations_ = 0;
};

Model& model() {
  static Model& instance = *new Model;
  return instance;
}

}  // namespace

Location::Location(channels::Words initial) : number(model().NewLocation()) { model().Initialize(*this, initial); }
channels::Words Load(const Location& location, std::memory_order order) { return model().Load(location, order); }
void StoreTo(Location& location, channels::Words value, std::memory_order order) {
  model().StoreTo(location, value, order);
}
bool Change(Location& location, std::memory_order order, std::memory_order failure, channels::Words* old,
            absl::FunctionRef<bool(channels::Words, channels::Words*)> change) {
  return model().Change(location, order, failure, old, change);
}
void ModelFence(std::memory_order order) { model().Fence(order); }
channels::FutexResult Sleep(const Location& location, uint32_t expected, bool may_time_out) {
  return model().Sleep(location, expected, may_time_out);
}
int WakeUp(const Location& location, int sleepers) { return model().WakeUp(location, sleepers); }
void ReadPlain(const PlainAccess& last_write, std::array<uint32_t, kClocks>* reads) {
  model().ReadPlain(last_write, reads);
}
void WritePlain(PlainAccess* last_write, std::array<uint32_t, kClocks>* reads) {
  model().WritePlain(last_write, reads);
}

}  // namespace internal

Explored Explore(const Bounds& bounds, const std::function<void()>& test) {
  AllChooser chooser(bounds.deviations);
  return internal::model().Run(chooser, bounds.old_reads, bounds.most_runs, test);
}

Explored ExploreAtRandom(uint64_t seed, uint64_t runs, int odds, const std::function<void()>& test) {
  RandomChooser chooser(seed, runs, odds);
  return internal::model().Run(chooser, true, std::numeric_limits<uint64_t>::max(), test);
}

void RunThreads(const std::vector<std::function<void()>>& threads) { internal::model().RunThreads(threads); }
void StopForEver(int thread, int access) { internal::model().StopForEver(thread, access); }
int Accesses(int thread) { return internal::model().Accesses(thread); }
int CurrentThread() { return internal::model().current(); }
bool Ended(int thread) { return internal::model().Ended(thread); }
bool Failed() { return internal::model().failed(); }
void ModelCheck(bool good, const char* what) {
  if (!good) internal::model().Fail(what);
}
uint64_t Moment() { return internal::model().Moment(); }

}  // namespace interpd::testing
