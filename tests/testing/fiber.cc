#include "tests/testing/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <utility>

#include "absl/log/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace interpd::testing {
namespace {

constexpr size_t kStackSize = 256 * 1024;

// Who switched here last.
Fiber* left = nullptr;

}  // namespace

Fiber::Fiber() {
#if defined(__SANITIZE_THREAD__)
  race_detector_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(std::function<void()> job, std::function<Fiber*()> next) : job_(std::move(job)), next_(std::move(next)) {
  stack_ = mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  CHECK(stack_ != MAP_FAILED);
  bottom_ = stack_;
  size_ = kStackSize;
  CHECK_EQ(getcontext(&context_), 0);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kStackSize;
  context_.uc_link = nullptr;
  const auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&context_, reinterpret_cast<void (*)()>(&Enter), 2, static_cast<unsigned>(self),
              static_cast<unsigned>(self >> 32));
#if defined(__SANITIZE_THREAD__)
  race_detector_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (stack_ == nullptr) return;
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(stack_, kStackSize);  // of a job that never ended
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(race_detector_);
#endif
  munmap(stack_, kStackSize);
}

void Fiber::SwitchTo(Fiber& other) {
  left = this;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.size_);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(other.race_detector_, 0);
#endif
  CHECK_EQ(swapcontext(&context_, &other.context_), 0);
  Arrive();
}

void Fiber::Arrive() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &left->bottom_, &left->size_);
#endif
}

void Fiber::Enter(unsigned low, unsigned high) {
  auto* self = reinterpret_cast<Fiber*>((static_cast<uintptr_t>(high) << 32) | low);
  self->Arrive();
  while (true) {
    self->job_();
    self->SwitchTo(*self->next_());
  }
}

}  // namespace interpd::testing
