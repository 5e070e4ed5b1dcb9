// AtomicPair<Atom>: two 64-bit words that are read one by one and changed together.
//
// Who includes this: mpmc_ring.h. AtomicPair<std::atomic> is the machine's double-width compare-and-swap (cmpxchg16b on
// x86-64); tests of all interleavings bring one for their own Atom.
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_ATOMIC_PAIR_H_
#define INTERPD_CHANNELS_ATOMIC_PAIR_H_

#include <atomic>
#include <bit>
#include <cstdint>

namespace interpd::channels {

struct Words {
  uint64_t first = 0;
  uint64_t second = 0;
};

template <template <typename> class Atom>
class AtomicPair;

template <>
class alignas(16) AtomicPair<std::atomic> {
 public:
  // Two reads may see the words of two different moments; a CompareExchange that expects what they saw then fails.
  uint64_t First(std::memory_order order) const { return first_.load(order); }
  uint64_t Second(std::memory_order order) const { return second_.load(order); }

  // Only while nobody else uses the pair.
  void Init(Words words) {
    first_.store(words.first, std::memory_order_relaxed);
    second_.store(words.second, std::memory_order_relaxed);
  }

  // Puts `desired` in the place of `expected`, seq_cst, or returns false: something else was there.
  bool CompareExchange(Words expected, Words desired) {
    // The race detector understands the builtin alone; without it GCC makes a call of that, which costs 2 ns.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    bool exchanged;
    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz"(exchanged), "+m"(*this), "+a"(expected.first), "+d"(expected.second)
                 : "b"(desired.first), "c"(desired.second)
                 : "memory");
    return exchanged;
#else
    auto* both = reinterpret_cast<unsigned __int128*>(this);
    unsigned __int128 old = Join(expected);
    return __atomic_compare_exchange_n(both, &old, Join(desired), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
#endif
  }

 private:
  [[maybe_unused]] static unsigned __int128 Join(Words words) {
    static_assert(std::endian::native == std::endian::little);
    return (static_cast<unsigned __int128>(words.second) << 64) | words.first;
  }

  std::atomic<uint64_t> first_{0};
  std::atomic<uint64_t> second_{0};
};
static_assert(sizeof(AtomicPair<std::atomic>) == 16 && alignof(AtomicPair<std::atomic>) == 16);

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_ATOMIC_PAIR_H_
