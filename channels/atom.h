// Fence<Atom>: a fence between operations on Atoms.
//
// Who includes this: lock-free code, whose atomics are of a type parameter Atom: std::atomic, or one of the tests that
// try all interleavings. They specialise AtomTraits for theirs.
#ifndef INTERPD_CHANNELS_ATOM_H_
#define INTERPD_CHANNELS_ATOM_H_

#include <atomic>

namespace interpd::channels {

template <template <typename> class Atom>
struct AtomTraits {
  static void Fence(std::memory_order order) { std::atomic_thread_fence(order); }
};

template <template <typename> class Atom>
void Fence(std::memory_order order) {
  AtomTraits<Atom>::Fence(order);
}

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_ATOM_H_
