#include "channels/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <climits>

#include "absl/log/check.h"

namespace interpd::channels {
namespace {

using Conditions = absl::Span<const FutexCondition<std::atomic>>;

static_assert(sizeof(std::atomic<uint64_t>) == sizeof(uint64_t));

// The half that the kernel looks at.
const uint32_t* Address(const std::atomic<uint64_t>* word) {
  return reinterpret_cast<const uint32_t*>(word) + (std::endian::native == std::endian::little ? 1 : 0);
}

// Where the kernel cannot wait on several words, the last is slept on and the others are looked at this often.
constexpr absl::Duration kLook = absl::Milliseconds(2);

FutexResult WaitOne(const FutexCondition<std::atomic>& condition, const Deadline& deadline) {
  timespec moment;
  timespec* moment_or_null = nullptr;
  if (!deadline.infinite()) {
    moment = deadline.ToTimespec();
    moment_or_null = &moment;
  }
  // The BITSET form takes a moment of the monotonic clock, not a duration.
  const long result = syscall(SYS_futex, Address(condition.word), FUTEX_WAIT_BITSET_PRIVATE, condition.expected,
                              moment_or_null, nullptr, FUTEX_BITSET_MATCH_ANY);
  // 0 only for who was taken off the queue by a wake, even if a signal or the deadline came at once.
  if (result == 0) return FutexResult::kWoken;
  return errno == ETIMEDOUT ? FutexResult::kTimeout : FutexResult::kOther;
}

bool Hold(Conditions conditions) {
  for (const auto& condition : conditions) {
    // relaxed: only whether to sleep again; the caller looks properly.
    if (UpperHalf(condition.word->load(std::memory_order_relaxed)) != condition.expected) return false;
  }
  return true;
}

// Linux before 5.16, and sandboxes that do not know the call.
FutexResult WaitWithoutKernel(Conditions conditions, const Deadline& deadline) {
  while (Hold(conditions)) {
    if (deadline.Passed()) return FutexResult::kTimeout;
    const FutexResult result = WaitOne(conditions.back(), Deadline::After(std::min(kLook, deadline.Left())));
    if (result != FutexResult::kTimeout) return result;
  }
  return FutexResult::kOther;
}

FutexResult WaitAny(Conditions conditions, const Deadline& deadline) {
  // relaxed: a hint that spares a system call that fails.
  static std::atomic<bool> kernel_can{true};
  if (!kernel_can.load(std::memory_order_relaxed)) return WaitWithoutKernel(conditions, deadline);
  std::array<futex_waitv, kMaxFutexConditions> waiters;
  for (size_t i = 0; i < conditions.size(); ++i) {
    waiters[i] = {.val = conditions[i].expected,
                  .uaddr = reinterpret_cast<uintptr_t>(Address(conditions[i].word)),
                  .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG,
                  .__reserved = 0};
  }
  timespec moment;
  timespec* moment_or_null = nullptr;
  if (!deadline.infinite()) {
    moment = deadline.ToTimespec();
    moment_or_null = &moment;
  }
  const long result = syscall(SYS_futex_waitv, waiters.data(), conditions.size(), 0, moment_or_null, CLOCK_MONOTONIC);
  // The index of the last word of those that were woken; an error only when none was.
  if (result >= 0)
    return static_cast<size_t>(result) + 1 == conditions.size() ? FutexResult::kWoken : FutexResult::kOther;
  if (errno == EAGAIN || errno == EINTR) return FutexResult::kOther;
  if (errno == ETIMEDOUT) return FutexResult::kTimeout;
  kernel_can.store(false, std::memory_order_relaxed);
  return WaitWithoutKernel(conditions, deadline);
}

}  // namespace

FutexResult Futex<std::atomic>::Wait(Conditions conditions, const Deadline& deadline) {
  CHECK(!conditions.empty() && conditions.size() <= kMaxFutexConditions);
  return conditions.size() == 1 ? WaitOne(conditions[0], deadline) : WaitAny(conditions, deadline);
}

int Futex<std::atomic>::Wake(std::atomic<uint64_t>* word, int sleepers) {
  return static_cast<int>(syscall(SYS_futex, Address(word), FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0));
}

}  // namespace interpd::channels
