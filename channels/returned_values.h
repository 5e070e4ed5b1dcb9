// ReturnedValues: values that come back to the head of a channel, before all others.
//
// Who includes this: the flavours of channels.
//
// A stack of batches; a batch gives out its values in their order. Invariants:
//  1. A value belongs to who drew its number: `next` of a batch counts up, each number is drawn once.
//  2. A batch whose numbers are all drawn is unlinked by whoever finds it so, and stays readable for visitors.
// Lock-free. Put and Take linearize at the exchange that links the batch, and at the drawing of a number.
//
// Thread safety: all methods, any thread. Memory ordering: what a thread did before Put is visible to who takes.
#ifndef INTERPD_CHANNELS_RETURNED_VALUES_H_
#define INTERPD_CHANNELS_RETURNED_VALUES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "channels/value.h"
#include "channels/visits.h"

namespace interpd::channels {

template <template <typename> class Atom>
class ReturnedValues {
 public:
  ReturnedValues() = default;
  ReturnedValues(const ReturnedValues&) = delete;
  ReturnedValues& operator=(const ReturnedValues&) = delete;
  ~ReturnedValues() {
    // relaxed: nobody else uses it.
    for (Batch* batch = top_.load(std::memory_order_relaxed); batch != nullptr;) {
      Batch* below = batch->below;
      delete batch;
      batch = below;
    }
  }

  void Put(std::vector<Value> values) {
    if (values.empty()) return;
    // relaxed: statistics.
    put_.fetch_add(values.size(), std::memory_order_relaxed);
    auto* batch = new Batch(std::move(values));
    batch->below = top_.load(std::memory_order_relaxed);  // relaxed: only linked to
    // seq_cst: release, the values are visible; and the order with Visits::Enter.
    while (!top_.compare_exchange_weak(batch->below, batch, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    }
  }

  // False: there was none.
  bool Take(Value* value) {
    if (empty()) return false;
    visits_.Enter();
    bool taken = false;
    // seq_cst, here and below: as in Visits::Enter. acquire (in seq_cst): the batch is visible.
    for (Batch* batch = top_.load(std::memory_order_seq_cst); batch != nullptr && !taken;) {
      // relaxed: each number is drawn once in whatever order; the values were visible with the batch.
      const uint64_t number = batch->next.fetch_add(1, std::memory_order_relaxed);
      taken = number < batch->values.size();
      if (taken) *value = std::move(batch->values[number]);
      if (number + 1 >= batch->values.size()) {
        // All drawn.
        Batch* expected = batch;
        if (top_.compare_exchange_strong(expected, batch->below, std::memory_order_seq_cst)) visits_.Retire(batch);
        if (!taken) batch = top_.load(std::memory_order_seq_cst);
      }
    }
    visits_.Leave();
    if (taken) taken_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a statistic
    return taken;
  }

  // May say no only when there is none. seq_cst: the answer "empty" of a channel, see Published in event_count.h.
  bool empty() const { return top_.load(std::memory_order_seq_cst) == nullptr; }

  uint64_t put() const { return put_.load(std::memory_order_relaxed); }  // relaxed: statistics
  uint64_t taken() const { return taken_.load(std::memory_order_relaxed); }
  size_t SizeGuess() const {
    const uint64_t taken = this->taken();  // first, so that the difference is not often negative
    const uint64_t put = this->put();
    return put > taken ? put - taken : 0;
  }

 private:
  struct Batch : Retirable {
    explicit Batch(std::vector<Value> from) : values(std::move(from)) {}
    std::vector<Value> values;
    Atom<uint64_t> next{0};
    Batch* below = nullptr;
  };

  Atom<Batch*> top_{nullptr};
  Atom<uint64_t> put_{0};
  Atom<uint64_t> taken_{0};
  Visits<Atom> visits_;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_RETURNED_VALUES_H_
