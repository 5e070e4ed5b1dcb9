#include "channels/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

namespace interpd::channels {
namespace {

static_assert(sizeof(std::atomic<uint64_t>) == sizeof(uint64_t));

// The half that the kernel looks at.
const uint32_t* Address(const std::atomic<uint64_t>* word) {
  return reinterpret_cast<const uint32_t*>(word) + (std::endian::native == std::endian::little ? 1 : 0);
}

}  // namespace

FutexResult Futex<std::atomic>::Wait(const std::atomic<uint64_t>& word, uint32_t expected, const Deadline& deadline) {
  timespec moment;
  timespec* moment_or_null = nullptr;
  if (!deadline.infinite()) {
    moment = deadline.ToTimespec();
    moment_or_null = &moment;
  }
  // The BITSET form takes a moment of the monotonic clock, not a duration.
  const long result = syscall(SYS_futex, Address(&word), FUTEX_WAIT_BITSET_PRIVATE, expected, moment_or_null, nullptr,
                              FUTEX_BITSET_MATCH_ANY);
  // 0 only for who was taken off the queue by a wake, even if a signal or the deadline came at once.
  if (result == 0) return FutexResult::kWoken;
  return errno == ETIMEDOUT ? FutexResult::kTimeout : FutexResult::kOther;
}

int Futex<std::atomic>::Wake(std::atomic<uint64_t>* word, int sleepers) {
  return static_cast<int>(syscall(SYS_futex, Address(word), FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0));
}

}  // namespace interpd::channels
