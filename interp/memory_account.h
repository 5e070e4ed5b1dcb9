// MemoryAccount: how much memory the objects of one interpreter take.
//
// Who includes this: interpreter_worker, which has one; raw_memory, which sees the blocks come and go.
//
// A block counts for the interpreter of the thread that allocates it, and off that of the thread that frees it; these
// differ for the few that cross. Blocks of threads that belong to no interpreter with an account are not counted.
//
// Accounts are never deleted but used again: a thread that C code has left behind may write to one after its
// interpreter has ended, and then miscounts.
//
// Thread safety: all functions, any thread. Lock-free but for Open, Close, and the first block of a thread.
#ifndef INTERPD_INTERP_MEMORY_ACCOUNT_H_
#define INTERPD_INTERP_MEMORY_ACCOUNT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "interp/python_api.h"

namespace interpd::interp {

class MemoryAccount {
 public:
  // One at 0, for the blocks of the calling thread.
  static MemoryAccount* OpenForThread();

  // The other threads of this interpreter, which is the calling thread's, count here too.
  void CountFor(PyInterpreterState* interpreter);

  // Its interpreter has ended. The account must not be used any more.
  void Close();

  // The calling thread has allocated so much, or freed it if that is negative.
  static void Add(int64_t bytes);

  int64_t bytes() const { return std::max<int64_t>(0, bytes_.load(std::memory_order_relaxed)); }

 private:
  MemoryAccount() = default;

  static MemoryAccount* OfCurrentInterpreter();

  // relaxed, all: a number that nothing else depends on.
  alignas(64) std::atomic<int64_t> bytes_{0};
  PyInterpreterState* interpreter_ = nullptr;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_MEMORY_ACCOUNT_H_
