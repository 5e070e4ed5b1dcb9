// ConstantMemory: the memory of one immortal constant. One range of addresses, filled front to back, then read-only.
//
// Who includes this: constant.h, whose Constant owns it; constant_layout, which writes objects into it.
//
// Pieces cannot be given back one by one: the whole goes at once. Nothing but this range belongs to the constant, so
// whether an address does is two comparisons.
//
// Thread safety: none while it is filled; once sealed, any thread may read it.
#ifndef INTERPD_INTERP_CONSTANT_MEMORY_H_
#define INTERPD_INTERP_CONSTANT_MEMORY_H_

#include <cstddef>
#include <utility>

namespace interpd::interp {

// Move-only.
class ConstantMemory {
 public:
  // At most `max_bytes`. Takes addresses, not yet memory.
  explicit ConstantMemory(size_t max_bytes);
  ConstantMemory(ConstantMemory&& other) noexcept;
  ConstantMemory& operator=(ConstantMemory&&) = delete;
  ~ConstantMemory();

  // `size` bytes of zeros, aligned to 8. Null: over the limit, or the system gives no more memory.
  void* Allocate(size_t size) {
    size = (size + 7) & ~size_t{7};
    if (size > usable_ - used_ && !Commit(size)) return nullptr;
    return begin_ + std::exchange(used_, used_ + size);
  }

  // Whether Allocate failed for want of memory, and not because of the limit.
  bool is_exhausted() const { return exhausted_; }

  // Gives back what is left over and makes the rest read-only. False: the system refuses.
  bool Seal();

  bool Contains(const void* address) const {
    return static_cast<size_t>(static_cast<const char*>(address) - begin_) < used_;
  }
  const char* begin() const { return begin_; }
  const char* end() const { return begin_ + used_; }
  size_t used() const { return used_; }
  // Whole pages. Requires: sealed.
  size_t size() const { return committed_; }

 private:
  bool Commit(size_t size);

  char* begin_ = nullptr;
  size_t used_ = 0;
  size_t usable_ = 0;     // of what may be touched, what the limit allows
  size_t committed_ = 0;  // may be touched
  size_t reserved_ = 0;   // addresses taken
  size_t max_bytes_ = 0;
  bool exhausted_ = false;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CONSTANT_MEMORY_H_
