// MpmcRing: a bounded queue for many producers and many consumers, first in first out, lock-free.
//
// Who includes this: channels.
//
// Guarantee: linearizable, "full" and "empty" included. Lock-free in the formal sense: a thread that stops anywhere
// inside a call stops nobody else, and keeps no room for itself. Not wait-free: a call that loses every race to others
// may try for long. Capacity: any from 1 to 2^24, and just that.
//
// The idea is that of C. Shann, T. Huang and C. Chen ("A practical nonblocking queue algorithm using compare-and-swap",
// ICPADS 2000): an item and its turn lie in one cell and change by one compare-and-swap, so that no cell is ever half
// filled; and the positions of head and tail are hints that whoever passes brings up to date. docs/adr/0007-ring.md
// tells what else was measured.
//
// Tickets number the pushes, and the pops, from 0. There are m cells, the capacity n rounded up to a power of two;
// ticket t means cell t mod m, in its lap t / m. A cell is { closed : 1, turn : 55, tag : 8, body : 64 }, tag and body
// being the item. turn 2L: free, for the push of lap L. turn 2L+1: holds the item of lap L, for the pop of lap L.
// closed: the ticket whose push comes next in this cell will never be taken.
//
// Invariants:
//  1. A cell's turn only grows, by one: 2L -> 2L+1 by the push that takes ticket L*m + cell, 2L+1 -> 2L+2 by the pop
//  that
//     takes it. So no state of a cell comes again, and a compare-and-swap that succeeds has seen all it is based on.
//  2. Tickets are taken in order: ticket t of pushes is taken only after t-1, of pops likewise. For a call tries a
//  ticket
//     only when it knows that the one before is taken: from tail_ (head_), or since it saw the turn of its cell.
//  3. tail_ <= number of pushes, head_ <= number of pops, and both only grow. A call brings its own up to date before
//  it
//     returns; so each lags by no more than what calls under way have taken.
//  4. When all pushes before ticket t are taken and the pop of t-n is not (its cell's turn is below the one that
//  follows
//     that pop), then at this very moment n items are in the queue. If it is, ticket t may be taken, now or later. For
//     n = m the cell of t-n is that of t. A cell at turn 2L for the pop of ticket t, all before taken: no item.
//  5. At most one cell ever gets the closed bit, and keeps it: that of the first ticket t that was not taken then.
//  By 2.
//     nobody takes t or a later one. So a push that sees the bit at its ticket fails for good, and a pop that sees it
//     at its ticket knows that the queue is empty and stays so: no push is under way that could still succeed.
// Linearization points: the compare-and-swap that succeeds (Close's too); the read of the turn that answers "full",
// "empty" or "closed".
// Progress: a step that does not end the loop has found a ticket taken by another call, since its last one or by one
// that has not brought the hint up to date yet (3), or has lost to the one Close.
//
// Thread safety: all methods, any thread. Memory ordering: what a thread did before it pushed an
// item is visible to who pops it; what it did before it popped one, to who pushes into the cell. A push or pop
// publishes by a seq_cst operation, and the answers "full" and "empty" come from a seq_cst load of the same word: see
// Published::kSeqCst in event_count.h.
#ifndef INTERPD_CHANNELS_MPMC_RING_H_
#define INTERPD_CHANNELS_MPMC_RING_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "absl/log/check.h"
#include "channels/atomic_pair.h"
#include "channels/cache_line.h"
#include "channels/cpu_relax.h"
#include "channels/packed.h"

namespace interpd::channels {

// `kApart`: how far head and tail lie apart; a parameter so that the bench can show what it is for.
template <typename T, template <typename> class Atom = std::atomic, size_t kApart = kNoSharing>
class MpmcRing {
 public:
  static_assert(std::is_nothrow_move_assignable_v<T> && std::is_nothrow_destructible_v<T>);

  static constexpr size_t kMaxCapacity = size_t{1} << 24;

  // What a push (pop) would find.
  enum class State { kReady, kFull, kEmpty, kClosed };

  // Requires: 1 to kMaxCapacity.
  explicit MpmcRing(size_t capacity) : bits_(std::bit_width(capacity - 1)), spare_((size_t{1} << bits_) - capacity) {
    CHECK(capacity >= 1 && capacity <= kMaxCapacity) << capacity;
    cells_ = std::make_unique<AtomicPair<Atom>[]>(cell_count());  // all zero: free, in lap 0
  }
  MpmcRing(const MpmcRing&) = delete;
  MpmcRing& operator=(const MpmcRing&) = delete;
  // Destroys what is in it. Requires: no operation under way.
  ~MpmcRing() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      T item;
      while (TryPop(&item)) {
      }
    }
  }

  // Moves from the item and returns true, or leaves it alone and returns false: the queue was full or closed.
  bool TryPush(T& item) { return TryPushMany(&item, 1) == 1; }

  // Moves the oldest item to *item and returns true, or returns false: the queue was empty.
  bool TryPop(T* item) { return TryPopMany(item, 1) == 1; }

  // Pushes the first so many of `count` items, each by itself: others' may come to lie between. Returns how many; fewer
  // than `count` means that the queue was full or closed then.
  size_t TryPushMany(T* items, size_t count) {
    // acquire: what this thread sees of the cells below tail_ is no older than their push.
    const uint64_t begin = tail_.load(std::memory_order_acquire);
    uint64_t ticket = begin;
    size_t done = 0;
    while (done < count) {
      AtomicPair<Atom>& cell = CellOf(ticket);
      const uint64_t free = 2 * LapOf(ticket);
      // seq_cst: it may be the answer "full"; see above.
      const uint64_t turn = TurnOf(cell.First(std::memory_order_seq_cst));
      if (turn == free) {
        if (spare_ != 0 && IsFullFor(ticket)) break;
        const Packed packed = Pack(items[done]);
        if (cell.CompareExchange(FreeCell(free), {((free + 1) << kTagBits) | packed.tag, packed.body})) {
          Forget(items[done]);
          ++done;
          ++ticket;
        } else {
          BackOff();
        }
      } else if (turn < free) {
        break;
      } else if (IsClosed(turn)) {
        if (WithoutClosed(turn) <= free) break;
        ticket = Further(ticket, WithoutClosed(turn) - free, tail_);
      } else {
        ticket = Further(ticket, turn - free, tail_);
      }
    }
    if (done != 0) Raise(tail_, begin, ticket);
    return done;
  }

  // Pops at most `count` items, each by itself, oldest first. Returns how many; fewer than `count` means that the queue
  // was empty then.
  size_t TryPopMany(T* items, size_t count) {
    // acquire: as above.
    const uint64_t begin = head_.load(std::memory_order_acquire);
    uint64_t ticket = begin;
    size_t done = 0;
    while (done < count) {
      AtomicPair<Atom>& cell = CellOf(ticket);
      const uint64_t filled = 2 * LapOf(ticket) + 1;
      // seq_cst: it may be the answer "empty". acquire (in seq_cst): the item is visible.
      const uint64_t first = cell.First(std::memory_order_seq_cst);
      const uint64_t turn = WithoutClosed(TurnOf(first));
      if (turn == filled) {
        // relaxed: if it is not the body of that turn, the exchange fails.
        const uint64_t body = cell.Second(std::memory_order_relaxed);
        const uint64_t closed = TurnOf(first) & kClosedTurn;
        if (cell.CompareExchange({first, body}, FreeCell((filled + 1) | closed))) {
          items[done] = Unpack<T>({body, static_cast<uint8_t>(first)});
          ++done;
          ++ticket;
        } else {
          BackOff();
        }
      } else if (turn < filled) {
        break;
      } else {
        ticket = Further(ticket, turn - filled, head_);
      }
    }
    if (done != 0) Raise(head_, begin, ticket);
    return done;
  }

  // From now on pushes fail; pops get what is left. Returns false if it was closed already.
  bool Close() {
    // acquire: as above.
    uint64_t ticket = tail_.load(std::memory_order_acquire);
    while (true) {
      AtomicPair<Atom>& cell = CellOf(ticket);
      const uint64_t free = 2 * LapOf(ticket);
      // acquire: as for a push. relaxed: if it is not the body of that turn, the exchange fails.
      const uint64_t first = cell.First(std::memory_order_acquire);
      const uint64_t body = cell.Second(std::memory_order_relaxed);
      const uint64_t turn = WithoutClosed(TurnOf(first));
      if (turn > free) {
        ticket = Further(ticket, turn - free, tail_);
      } else if (IsClosed(TurnOf(first))) {
        return false;
      } else if (cell.CompareExchange({first, body}, {first | (kClosedTurn << kTagBits), body})) {
        return true;
      }
    }
  }

  // kReady, kFull or kClosed, by a seq_cst load.
  State PushState() const {
    uint64_t ticket = tail_.load(std::memory_order_acquire);  // acquire: as above
    while (true) {
      const uint64_t turn = TurnOf(CellOf(ticket).First(std::memory_order_seq_cst));
      const uint64_t free = 2 * LapOf(ticket);
      if (WithoutClosed(turn) <= free) {
        if (IsClosed(turn)) return State::kClosed;
        return turn < free || (spare_ != 0 && IsFullFor(ticket)) ? State::kFull : State::kReady;
      }
      ticket = Further(ticket, WithoutClosed(turn) - free, tail_);
    }
  }

  // kReady, kEmpty or, for good, kClosed: empty and closed; by a seq_cst load.
  State PopState() const {
    uint64_t ticket = head_.load(std::memory_order_acquire);  // acquire: as above
    while (true) {
      const uint64_t turn = TurnOf(CellOf(ticket).First(std::memory_order_seq_cst));
      const uint64_t filled = 2 * LapOf(ticket) + 1;
      if (WithoutClosed(turn) == filled) return State::kReady;
      if (WithoutClosed(turn) < filled) return IsClosed(turn) ? State::kClosed : State::kEmpty;
      ticket = Further(ticket, WithoutClosed(turn) - filled, head_);
    }
  }

  size_t capacity() const { return cell_count() - spare_; }

  // How many items were pushed and popped since the beginning; less what calls under way have done.
  uint64_t pushed() const { return tail_.load(std::memory_order_relaxed); }  // relaxed: a statistic
  uint64_t popped() const { return head_.load(std::memory_order_relaxed); }

  // Exact only when nobody pushes or pops.
  size_t SizeGuess() const {
    // relaxed: a guess. head_ first, so that it is not often beyond a tail_ that moves.
    const uint64_t head = head_.load(std::memory_order_relaxed);
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    return tail > head ? std::min<uint64_t>(tail - head, capacity()) : 0;
  }

 private:
  static constexpr int kTagBits = 8;

  static constexpr uint64_t kClosedTurn = uint64_t{1} << 55;

  // Lost a race. Without a pause the losers' attempts take the cache line from the winner: at two producers and two
  // consumers on two cores the ring did 11 million items a second, with it 13 to 15 million.
  static void BackOff() {
    for (int i = 0; i < 8; ++i) CpuRelax();
  }

  size_t cell_count() const { return size_t{1} << bits_; }
  AtomicPair<Atom>& CellOf(uint64_t ticket) const { return cells_[ticket & (cell_count() - 1)]; }
  uint64_t LapOf(uint64_t ticket) const { return ticket >> bits_; }
  // With the closed bit, which makes it greater than every turn without.
  static uint64_t TurnOf(uint64_t first) { return first >> kTagBits; }
  static bool IsClosed(uint64_t turn) { return (turn & kClosedTurn) != 0; }
  static uint64_t WithoutClosed(uint64_t turn) { return turn & ~kClosedTurn; }
  // Of a free cell all but the turn is zero, so that a push knows what it exchanges.
  static Words FreeCell(uint64_t turn) { return {turn << kTagBits, 0}; }

  // Invariant 4, for a capacity below the number of cells. seq_cst: it may be the answer "full".
  bool IsFullFor(uint64_t ticket) const {
    if (ticket < capacity()) return false;
    const uint64_t before = ticket - capacity();
    return WithoutClosed(TurnOf(CellOf(before).First(std::memory_order_seq_cst))) < 2 * LapOf(before) + 2;
  }

  // The ticket is taken: the next one to try. `ahead`: how far the cell's turn is.
  static uint64_t Further(uint64_t ticket, uint64_t ahead, const Atom<uint64_t>& hint) {
    // Taken just now, by one who has not brought the hint up to date: so the next.
    if (ahead == 1) return ticket + 1;
    // Whole laps behind, after a long stop: the hint knows better. acquire: as for the first look at it.
    return std::max(ticket + 1, hint.load(std::memory_order_acquire));
  }

  // Makes the hint at least `ticket`; it was seen to be `seen`.
  static void Raise(Atom<uint64_t>& hint, uint64_t seen, uint64_t ticket) {
    // release: who takes a ticket from the hint sees the cells below as they are now. relaxed: another value is only
    // compared; this thread has its own knowledge.
    while (seen < ticket &&
           !hint.compare_exchange_weak(seen, ticket, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

  const int bits_;      // there are 1 << bits_ cells
  const size_t spare_;  // cells beyond the capacity
  std::unique_ptr<AtomicPair<Atom>[]> cells_;
  alignas(kApart) Atom<uint64_t> head_{0};  // consumers write it
  alignas(kApart) Atom<uint64_t> tail_{0};  // producers write it
};
static_assert(sizeof(MpmcRing<uint64_t>) == 3 * kNoSharing);

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_MPMC_RING_H_
