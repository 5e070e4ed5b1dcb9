// DeterministicSchedule: runs threads of a test one step at a time, in an order and with reads that the test chooses.
//
// Who includes this: *_model_test. Lock-free code takes its atomics as a parameter Atom; a model test gives it
// DeterministicAtomic, and so the shipped code itself runs here. The threads are fibers of one real thread; before each
// access to an atomic another one may go on.
//
//   const Explored explored = Explore({.deviations = 3}, [] {
//     BasicThing<DeterministicAtomic> thing;
//     RunThreads({[&] { thing.Do(); }, [&] { thing.DoOther(); }});
//     ModelCheck(thing.good(), "the thing is good");
//   });
//   EXPECT_EQ(explored.failure, "");
//
// The order of threads is not all. As in C++'s memory model a load may return an older value than the last one, unless
// happens-before, coherence or the order of seq_cst operations forbids it; so a missing fence or a too weak memory
// order shows itself. PlainCell is memory without atomics: an access that races is a failure. All threads asleep in the
// futex with nobody left to wake them is a failure as well, and so is a run that does not end.
//
// A run in which each thread goes on until it ends or sleeps, and each load sees the last value, is the plain one. A
// deviation is: another thread goes on though this one could; a load sees an older value; a wait with a deadline times
// out though others run. Explore tries every run with at most so many deviations; ExploreAtRandom throws dice.
//
// Not modelled: stores that take effect out of the order in which they were run (no reordering of a store before an
// earlier load), failures of compare_exchange_weak without cause, spurious wake-ups of the futex.
#ifndef INTERPD_TESTS_TESTING_DETERMINISTIC_SCHEDULE_H_
#define INTERPD_TESTS_TESTING_DETERMINISTIC_SCHEDULE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "channels/atom.h"
#include "channels/atomic_pair.h"
#include "channels/deadline.h"
#include "channels/futex.h"

namespace interpd::testing {

// ---- what a test calls ------------------------------------------------------------------------------------------

// With sanitizers each step costs ten times as much, and the model finds what it finds without them as well: bounds are
// for a quick look then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int Deviations(int thorough) { return thorough < 2 ? 0 : thorough - 2; }
constexpr uint64_t Runs(uint64_t thorough) { return thorough / 20; }
#else
constexpr int Deviations(int thorough) { return thorough; }
constexpr uint64_t Runs(uint64_t thorough) { return thorough; }
#endif

struct Bounds {
  int deviations = 2;
  bool old_reads = true;           // loads may see older values
  uint64_t most_runs = 5'000'000;  // more than these are a failure: the bounds were chosen badly
};

struct Explored {
  uint64_t runs = 0;
  std::string failure;  // empty: none; otherwise what failed, and the accesses that led there
};

// Runs `test` once for each choice within the bounds, until one fails. `test` must do the same when it is run again.
Explored Explore(const Bounds& bounds, const std::function<void()>& test);

// Runs it so often, with dice thrown by the seed: at each point, one in `odds` is a deviation.
Explored ExploreAtRandom(uint64_t seed, uint64_t runs, int odds, const std::function<void()>& test);

inline constexpr int kMaxModelThreads = 4;

// The number of the thread that calls it; kMaxModelThreads outside of RunThreads.
int CurrentThread();

// Inside `test`: runs these and returns when all have ended, or, of those that were stopped for ever, the others.
void RunThreads(const std::vector<std::function<void()>>& threads);

// Before RunThreads: this thread stops for ever before its access number `access` (from 0).
void StopForEver(int thread, int access);
// How many accesses the thread has made.
int Accesses(int thread);
// Whether the thread came to its end.
bool Ended(int thread);
// Whether this run has failed: the threads were left where they were, and nothing that they shared is to be relied on.
bool Failed();

// Fails the run unless `good`. In a thread, does not return then.
void ModelCheck(bool good, const char* what);

// A moment of the run: later events have greater ones. For histories of who called when.
uint64_t Moment();

// ---- the machinery under the types below -----------------------------------------------------------------------

namespace internal {

inline constexpr int kClocks = kMaxModelThreads + 1;  // the last is the test's own, outside of RunThreads
using Clock = std::array<uint32_t, kClocks>;

struct Store {
  channels::Words value;
  Clock released;  // what a reader acquires
  int thread;      // who stored it, and when by its own clock
  uint32_t time;
  uint64_t moment;
  bool seq_cst;
};

struct Seen {
  uint32_t time;  // by the clock of the thread that saw it
  size_t index;
};

// One atomic object: everything that was stored into it, and who has seen how much of that.
struct Location {
  explicit Location(channels::Words initial);
  std::vector<Store> stores;
  mutable std::array<std::vector<Seen>, kClocks> seen;
  int number;
};

channels::Words Load(const Location& location, std::memory_order order);
void StoreTo(Location& location, channels::Words value, std::memory_order order);
// Reads the last value and stores what `change` makes of it. When that returns false nothing is stored.
bool Change(Location& location, std::memory_order order, std::memory_order failure, channels::Words* old,
            absl::FunctionRef<bool(channels::Words, channels::Words*)> change);
void ModelFence(std::memory_order order);
channels::FutexResult Sleep(const Location& location, uint32_t expected, bool may_time_out);
int WakeUp(const Location& location, int sleepers);

struct PlainAccess {
  int thread = -1;
  uint32_t time = 0;
};
void ReadPlain(const PlainAccess& last_write, std::array<uint32_t, kClocks>* reads);
void WritePlain(PlainAccess* last_write, std::array<uint32_t, kClocks>* reads);

}  // namespace internal

// ---- what the code under test uses -----------------------------------------------------------------------------

template <typename T>
class DeterministicAtomic {
 public:
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);

  DeterministicAtomic() : DeterministicAtomic(T{}) {}
  DeterministicAtomic(T value) : location_(ToWords(value)) {}  // NOLINT(google-explicit-constructor): as std::atomic
  DeterministicAtomic(const DeterministicAtomic&) = delete;
  DeterministicAtomic& operator=(const DeterministicAtomic&) = delete;

  T load(std::memory_order order = std::memory_order_seq_cst) const {
    return FromWords(internal::Load(location_, order));
  }
  void store(T value, std::memory_order order = std::memory_order_seq_cst) {
    internal::StoreTo(location_, ToWords(value), order);
  }
  T exchange(T value, std::memory_order order = std::memory_order_seq_cst) {
    return Update(order, [&](T) { return value; });
  }
  T fetch_add(T value, std::memory_order order = std::memory_order_seq_cst) {
    return Update(order, [&](T old) { return static_cast<T>(old + value); });
  }
  T fetch_sub(T value, std::memory_order order = std::memory_order_seq_cst) {
    return Update(order, [&](T old) { return static_cast<T>(old - value); });
  }
  T fetch_or(T value, std::memory_order order = std::memory_order_seq_cst) {
    return Update(order, [&](T old) { return static_cast<T>(old | value); });
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order, std::memory_order failure) {
    channels::Words old;
    const bool exchanged =
        internal::Change(location_, order, failure, &old, [&](channels::Words now, channels::Words* next) {
          if (now.first != ToWords(expected).first) return false;
          *next = ToWords(desired);
          return true;
        });
    if (!exchanged) expected = FromWords(old);
    return exchanged;
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order = std::memory_order_seq_cst) {
    return compare_exchange_strong(expected, desired, order, OnFailure(order));
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order, std::memory_order failure) {
    return compare_exchange_strong(expected, desired, order, failure);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order = std::memory_order_seq_cst) {
    return compare_exchange_strong(expected, desired, order, OnFailure(order));
  }

  internal::Location& location() { return location_; }
  const internal::Location& location() const { return location_; }

 private:
  static channels::Words ToWords(T value) {
    channels::Words words;
    std::memcpy(&words.first, &value, sizeof value);
    return words;
  }
  static T FromWords(channels::Words words) {
    T value;
    std::memcpy(&value, &words.first, sizeof value);
    return value;
  }
  static std::memory_order OnFailure(std::memory_order order) {
    return order == std::memory_order_acq_rel   ? std::memory_order_acquire
           : order == std::memory_order_release ? std::memory_order_relaxed
                                                : order;
  }
  template <typename F>
  T Update(std::memory_order order, F change) {
    channels::Words old;
    internal::Change(location_, order, order, &old, [&](channels::Words now, channels::Words* next) {
      *next = ToWords(change(FromWords(now)));
      return true;
    });
    return FromWords(old);
  }

  internal::Location location_;
};

// Memory that is not atomic: an access that another thread's does not happen before, or after, fails the run.
template <typename T>
class PlainCell {
 public:
  const T& Get() const {
    internal::ReadPlain(last_write_, &reads_);
    return value_;
  }
  void Set(T value) {
    internal::WritePlain(&last_write_, &reads_);
    value_ = std::move(value);
  }

 private:
  T value_{};
  internal::PlainAccess last_write_;
  mutable std::array<uint32_t, internal::kClocks> reads_{};
};

}  // namespace interpd::testing

namespace interpd::channels {

template <>
struct AtomTraits<testing::DeterministicAtomic> {
  static void Fence(std::memory_order order) { testing::internal::ModelFence(order); }
};

template <>
class AtomicPair<testing::DeterministicAtomic> {
 public:
  uint64_t First(std::memory_order order) const { return testing::internal::Load(location_, order).first; }
  uint64_t Second(std::memory_order order) const { return testing::internal::Load(location_, order).second; }
  bool CompareExchange(Words expected, Words desired) {
    Words old;
    return testing::internal::Change(location_, std::memory_order_seq_cst, std::memory_order_seq_cst, &old,
                                     [&](Words now, Words* next) {
                                       *next = desired;
                                       return now.first == expected.first && now.second == expected.second;
                                     });
  }

 private:
  testing::internal::Location location_{Words{}};
};

template <>
struct Futex<testing::DeterministicAtomic> {
  static FutexResult Wait(const testing::DeterministicAtomic<uint64_t>& word, uint32_t expected,
                          const Deadline& deadline) {
    return testing::internal::Sleep(word.location(), expected, !deadline.infinite());
  }
  static int Wake(testing::DeterministicAtomic<uint64_t>* word, int sleepers) {
    return testing::internal::WakeUp(word->location(), sleepers);
  }
};

}  // namespace interpd::channels

#endif  // INTERPD_TESTS_TESTING_DETERMINISTIC_SCHEDULE_H_
