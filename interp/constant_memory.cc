#include "interp/constant_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace interpd::interp {
namespace {

// The kernel's large pages save translations of addresses, which are most of what a look-up in a large mapping waits
// for, and page faults while it is filled.
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kFirstStep = size_t{256} << 10;
constexpr size_t kLargestStep = 32 * kHugePage;

size_t RoundUp(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

size_t PageSize() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

ConstantMemory::ConstantMemory(size_t max_bytes) : max_bytes_(max_bytes) {
  // One page more than large pages, so that the kernel does not begin at one: small constants would all lie at the same
  // places of the caches.
  const size_t size = RoundUp(max_bytes, kHugePage) + PageSize();
  void* range = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) {
    exhausted_ = true;
    return;
  }
  begin_ = static_cast<char*>(range);
  reserved_ = size;
}

ConstantMemory::ConstantMemory(ConstantMemory&& other) noexcept
    : begin_(std::exchange(other.begin_, nullptr)),
      used_(std::exchange(other.used_, 0)),
      usable_(std::exchange(other.usable_, 0)),
      committed_(std::exchange(other.committed_, 0)),
      reserved_(std::exchange(other.reserved_, 0)),
      max_bytes_(other.max_bytes_),
      exhausted_(other.exhausted_) {}

ConstantMemory::~ConstantMemory() {
  if (reserved_ != 0) munmap(begin_, reserved_);
}

bool ConstantMemory::Commit(size_t size) {
  if (exhausted_ || size > max_bytes_ || used_ > max_bytes_ - size) return false;
  // In steps that grow with it, so that there are few of them and little is too much.
  const size_t step = std::clamp(committed_, kFirstStep, kLargestStep);
  const auto begin = reinterpret_cast<uintptr_t>(begin_);
  const uintptr_t end = begin + std::max(used_ + size, committed_ + step);
  const size_t wanted = std::min(RoundUp(end, step < kHugePage ? PageSize() : kHugePage) - begin, reserved_);
  if (mprotect(begin_ + committed_, wanted - committed_, PROT_READ | PROT_WRITE) != 0) {
    exhausted_ = true;
    return false;
  }
  // Advice: where it is not taken, small pages do.
  if (wanted >= kHugePage) madvise(begin_, wanted, MADV_HUGEPAGE);
  committed_ = wanted;
  usable_ = std::min(committed_, max_bytes_);
  return true;
}

bool ConstantMemory::Seal() {
  const size_t keep = RoundUp(used_, PageSize());
  if (keep < reserved_ && munmap(begin_ + keep, reserved_ - keep) != 0) return false;
  reserved_ = committed_ = keep;
  return keep == 0 || mprotect(begin_, keep, PROT_READ) == 0;
}

}  // namespace interpd::interp
