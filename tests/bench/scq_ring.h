// ScqRing: a bounded queue for many producers and many consumers, first in first out, lock-free.
//
// Who includes this: ring_probe.cc, to measure channels::MpmcRing beside it (docs/adr/0007-ring.md).
//
// Guarantee: lock-free in the formal sense: a thread that stops anywhere inside TryPush or TryPop stops nobody else; it
// may keep one of the `capacity` slots for itself. Linearizable but for one answer: "full" means that no slot is free,
// and a slot is free again only when the TryPop that emptied it has returned.
//
// The algorithm is R. Nikolaev's SCQ ("A Scalable, Portable, and Memory-Efficient Lock-Free FIFO Queue", DISC 2019):
// items lie in `capacity` slots, and two queues of slot numbers say which are free and which hold items. TryPush takes
// a number from the free ones, fills the slot and puts the number into the other queue; TryPop does the opposite.
#ifndef INTERPD_TESTS_BENCH_SCQ_RING_H_
#define INTERPD_TESTS_BENCH_SCQ_RING_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "absl/log/check.h"
#include "channels/cache_line.h"

namespace interpd::bench {

using channels::kNoSharing;

// A queue of the numbers 0 to n-1, each in it at most once. It has 2n entries, and tickets number its entries without
// end: ticket t means entry Place(t) in its lap t / 2n.
//
// An entry is { lap, safe : 1, number : bits }, the number being kNone (all ones) when there is none.
//
// Invariants:
//  1. head_ and tail_ only grow. A ticket below tail_ was drawn by one pusher or skipped, one below head_ by one
//  popper.
//  2. An entry's lap only grows. It becomes {lap(t), safe, i} by the pusher of ticket t alone, {lap(t), ., none} by the
//     popper of t alone, who either took the number or came before the pusher, who then finds its ticket spoiled and
//     draws another.
//  3. An entry that holds a number of an older lap is not overwritten. A popper that meets it makes it unsafe: its own
//     ticket's pusher then must not use the entry unless head_ shows that the popper is still to come.
//  4. At most n numbers are in the queue, for 2n entries: a pusher meets a usable entry after finitely many tickets.
//  5. threshold_ < 0 only when the queue was empty at some moment of the looking popper's call. After a push, which
//  sets
//     it to kPatience(n), a popper meets the number after at most 2n tickets; poppers that drew theirs before may each
//     count down once more, so kMaxThreads comes on top. It bounds how long poppers and pushers can spoil each other's
//     tickets.
// All accesses of head_, tail_, threshold_ and entries are seq_cst: the proof of the paper is one of interleavings, and
// on x86-64 and arm64 that costs the same as acquire and release for loads and read-modify-writes.
template <template <typename> class Atom>
class IndexQueue {
 public:
  enum class Initially { kEmpty, kFull };

  // Requires: n is a power of two, at most 2^24.
  IndexQueue(size_t n, Initially initially)
      : bits_(std::bit_width(n)), entries_(std::make_unique<Atom<uint64_t>[]>(2 * n)) {
    const uint64_t size = 2 * n;
    for (uint64_t ticket = 0; ticket < size; ++ticket) Store(ticket, Entry(0, true, none()));
    head_.store(size, std::memory_order_relaxed);  // relaxed, here and below: nobody else has it yet
    tail_.store(size, std::memory_order_relaxed);
    threshold_.store(-1, std::memory_order_relaxed);
    if (initially == Initially::kEmpty) return;
    // Successive numbers lie far apart, like successive entries.
    for (uint64_t i = 0; i < n; ++i) Store(size + i, Entry(1, true, Spread(i, bits_ - 1)));
    tail_.store(size + n, std::memory_order_relaxed);
    threshold_.store(Patience(), std::memory_order_relaxed);
  }

  // Requires: the number is not in the queue.
  void Push(uint64_t number) {
    while (true) {
      const uint64_t ticket = tail_.fetch_add(1, std::memory_order_seq_cst);
      Atom<uint64_t>& place = entries_[Place(ticket)];
      uint64_t entry = place.load(std::memory_order_seq_cst);
      // The ticket is good while the entry is of an older lap and free (invariants 2 and 3).
      while (Lap(entry) < LapOf(ticket) && Number(entry) == none() &&
             (Safe(entry) || head_.load(std::memory_order_seq_cst) <= ticket)) {
        if (!place.compare_exchange_weak(entry, Entry(LapOf(ticket), true, number), std::memory_order_seq_cst))
          continue;
        // Read first: it is full most of the time, and then the line stays shared.
        if (threshold_.load(std::memory_order_seq_cst) != Patience()) {
          threshold_.store(Patience(), std::memory_order_seq_cst);
        }
        return;
      }
    }
  }

  bool Pop(uint64_t* number) {
    if (threshold_.load(std::memory_order_seq_cst) < 0) return false;
    // Nothing was pushed that no popper has a ticket for; and no ticket is spoiled for finding that out. head_ first:
    // what it is later is no less.
    const uint64_t head = head_.load(std::memory_order_seq_cst);
    if (tail_.load(std::memory_order_seq_cst) <= head) return false;
    while (true) {
      const uint64_t ticket = head_.fetch_add(1, std::memory_order_seq_cst);
      Atom<uint64_t>& place = entries_[Place(ticket)];
      uint64_t entry = place.load(std::memory_order_seq_cst);
      while (true) {
        if (Lap(entry) == LapOf(ticket)) {
          // Only this popper may take it; others may make it unsafe meanwhile, so not a store. The bits of none() are
          // all ones.
          *number = Number(place.fetch_or(none(), std::memory_order_seq_cst));
          return true;
        }
        if (Lap(entry) > LapOf(ticket)) break;
        const uint64_t spoiled = Number(entry) == none() ? Entry(LapOf(ticket), Safe(entry), none())
                                                         : Entry(Lap(entry), false, Number(entry));
        if (place.compare_exchange_weak(entry, spoiled, std::memory_order_seq_cst)) break;
      }
      const uint64_t tail = tail_.load(std::memory_order_seq_cst);
      if (tail <= ticket + 1) {
        CatchUp(tail, ticket + 1);
        threshold_.fetch_sub(1, std::memory_order_seq_cst);
        return false;
      }
      if (threshold_.fetch_sub(1, std::memory_order_seq_cst) <= 0) return false;
    }
  }

  // relaxed: a guess. head_ first, so that it is not beyond a tail that moves.
  size_t SizeGuess() const {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    return tail > head ? tail - head : 0;
  }

 private:
  // As many threads as Linux ever has (PID_MAX_LIMIT).
  static constexpr int64_t kMaxThreads = 1 << 22;

  // Poppers that ran ahead of the pushers take tail_ along, so that a pusher need not go through the tickets they have
  // spoiled.
  void CatchUp(uint64_t tail, uint64_t head) {
    while (!tail_.compare_exchange_weak(tail, head, std::memory_order_seq_cst)) {
      head = head_.load(std::memory_order_seq_cst);
      if (tail >= head) return;
    }
  }

  uint64_t none() const { return (uint64_t{1} << bits_) - 1; }
  int64_t Patience() const { return (int64_t{1} << bits_) + kMaxThreads; }
  uint64_t LapOf(uint64_t ticket) const { return ticket >> bits_; }

  uint64_t Entry(uint64_t lap, bool safe, uint64_t number) const {
    return (lap << (bits_ + 1)) | (uint64_t{safe} << bits_) | number;
  }
  uint64_t Lap(uint64_t entry) const { return entry >> (bits_ + 1); }
  bool Safe(uint64_t entry) const { return ((entry >> bits_) & 1) != 0; }
  uint64_t Number(uint64_t entry) const { return entry & none(); }

  // Turns the lowest `bits` bits of i by three: neighbours come to lie a cache line of 8 entries apart.
  static uint64_t Spread(uint64_t i, int bits) {
    if (bits <= 3) return i;
    return ((i << 3) | (i >> (bits - 3))) & ((uint64_t{1} << bits) - 1);
  }
  uint64_t Place(uint64_t ticket) const { return Spread(ticket & none(), bits_); }

  void Store(uint64_t ticket, uint64_t entry) { entries_[Place(ticket)].store(entry, std::memory_order_relaxed); }

  const int bits_;  // 2n == 1 << bits_
  const std::unique_ptr<Atom<uint64_t>[]> entries_;
  alignas(kNoSharing) Atom<uint64_t> head_{0};      // poppers write it
  alignas(kNoSharing) Atom<uint64_t> tail_{0};      // pushers write it
  alignas(kNoSharing) Atom<int64_t> threshold_{0};  // mostly read
};

// Thread safety: TryPush, TryPop and SizeGuess by any thread. Memory ordering: what a thread did before it pushed an
// item is visible to who pops it.
template <typename T, template <typename> class Atom = std::atomic>
class ScqRing {
 public:
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a slot number would be lost with an exception");

  static constexpr size_t kMaxCapacity = size_t{1} << 24;

  // Requires: a power of two, 1 to kMaxCapacity.
  explicit ScqRing(size_t capacity)
      : capacity_(capacity),
        slots_(std::make_unique<Slot[]>(capacity)),
        free_(Checked(capacity), IndexQueue<Atom>::Initially::kFull),
        items_(capacity, IndexQueue<Atom>::Initially::kEmpty) {}
  ScqRing(const ScqRing&) = delete;
  ScqRing& operator=(const ScqRing&) = delete;
  // Destroys what is in it. Requires: no operation under way.
  ~ScqRing() {
    uint64_t number;
    while (items_.Pop(&number)) slots_[number].item()->~T();
  }

  // Moves from the item and returns true, or leaves it alone and returns false: items, and calls under way, held all
  // slots.
  bool TryPush(T& item) {
    uint64_t number;
    if (!free_.Pop(&number)) return false;
    new (slots_[number].bytes) T(std::move(item));
    items_.Push(number);
    return true;
  }

  // Moves the oldest item to *item and returns true, or returns false: the queue was empty.
  bool TryPop(T* item) {
    uint64_t number;
    if (!items_.Pop(&number)) return false;
    T* slot = slots_[number].item();
    *item = std::move(*slot);
    slot->~T();
    free_.Push(number);
    return true;
  }

  size_t capacity() const { return capacity_; }
  // Exact only when nobody pushes or pops.
  size_t SizeGuess() const { return std::min(items_.SizeGuess(), capacity_); }

 private:
  struct Slot {
    alignas(T) std::byte bytes[sizeof(T)];
    T* item() { return std::launder(reinterpret_cast<T*>(bytes)); }
  };
  static_assert(sizeof(Slot) == sizeof(T));

  static size_t Checked(size_t capacity) {
    CHECK(std::has_single_bit(capacity) && capacity <= kMaxCapacity) << capacity;
    return capacity;
  }

  const size_t capacity_;
  const std::unique_ptr<Slot[]> slots_;
  IndexQueue<Atom> free_;
  IndexQueue<Atom> items_;
};

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_SCQ_RING_H_
