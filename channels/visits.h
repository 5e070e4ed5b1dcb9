// Visits: lets threads read a linked structure while others take things out of it, and destroys those once no reader
// can still see them.
//
// Who includes this: returned_values.h, broadcast_channel.h: structures that are seldom changed.
//
//   visits.Enter();  ... read, unlink x, visits.Retire(x) ...  visits.Leave();
//
// What was unlinked is destroyed by a thread that leaves as the last. Theorem: nobody destroys what a visitor can
// reach. Proof: Leave takes the retired list while it is a visitor itself, and destroys it only if its own leaving
// brings the count to 0. Whatever is in that list was unlinked before it was taken; who enters after that cannot reach
// it, and who had entered before has left, since the count came to 0.
//
// Lock-free: a visitor that stops for ever stops nobody, but keeps memory from being given back. Suits structures that
// are often unvisited.
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_VISITS_H_
#define INTERPD_CHANNELS_VISITS_H_

#include <atomic>
#include <cstdint>

namespace interpd::channels {

// What can be retired derives from this.
class Retirable {
 public:
  virtual ~Retirable() = default;

 private:
  template <template <typename> class Atom>
  friend class Visits;
  Retirable* next_retired_ = nullptr;
};

template <template <typename> class Atom>
class Visits {
 public:
  Visits() = default;
  Visits(const Visits&) = delete;
  Visits& operator=(const Visits&) = delete;
  // Requires: no visitors.
  ~Visits() { Destroy(retired_.exchange(nullptr, std::memory_order_acquire)); }  // acquire: their contents

  // seq_cst: comes before every read of the structure in the one order that the unlinking is part of too.
  void Enter() { visitors_.fetch_add(1, std::memory_order_seq_cst); }

  void Leave() {
    Retirable* taken = nullptr;
    // relaxed: a hint; the subtraction decides. acquire: what was retired is visible.
    if (visitors_.load(std::memory_order_relaxed) == 1) taken = retired_.exchange(nullptr, std::memory_order_acquire);
    // seq_cst: release, my reads come before another's destruction; acquire, others' reads before mine.
    if (visitors_.fetch_sub(1, std::memory_order_seq_cst) == 1) {
      Destroy(taken);
    } else {
      while (taken != nullptr) {
        Retirable* next = taken->next_retired_;
        Push(taken);
        taken = next;
      }
    }
  }

  // Requires: a visitor calls it, and has unlinked the object by a seq_cst operation.
  void Retire(Retirable* object) { Push(object); }

 private:
  void Push(Retirable* object) {
    object->next_retired_ = retired_.load(std::memory_order_relaxed);  // relaxed: only linked to
    // release: the object is visible to who destroys it.
    while (!retired_.compare_exchange_weak(object->next_retired_, object, std::memory_order_release,
                                           std::memory_order_relaxed)) {
    }
  }

  static void Destroy(Retirable* object) {
    while (object != nullptr) {
      Retirable* next = object->next_retired_;
      delete object;
      object = next;
    }
  }

  Atom<uint64_t> visitors_{0};
  Atom<Retirable*> retired_{nullptr};
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_VISITS_H_
