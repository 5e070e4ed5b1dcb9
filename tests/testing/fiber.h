// Fiber: a stack of its own that runs jobs and gives control away only when told to.
//
// Who includes this: deterministic_schedule.cc. Thread safety: all on one real thread. The sanitizers are told of each
// switch.
#ifndef INTERPD_TESTS_TESTING_FIBER_H_
#define INTERPD_TESTS_TESTING_FIBER_H_

#include <ucontext.h>

#include <cstddef>
#include <functional>

namespace interpd::testing {

class Fiber {
 public:
  // The thread's own stack.
  Fiber();
  // A new stack. Each time that it is switched to without a job under way it begins `job`; when that returns it
  // switches to what `next` returns.
  Fiber(std::function<void()> job, std::function<Fiber*()> next);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // From this one, which must be running, to another.
  void SwitchTo(Fiber& other);

 private:
  static void Enter(unsigned low, unsigned high);
  void Arrive();

  ucontext_t context_;
  std::function<void()> job_;
  std::function<Fiber*()> next_;
  void* stack_ = nullptr;
  // The sanitizers': where the stack lies (of the thread's own, known when it is left first), and their own state.
  const void* bottom_ = nullptr;
  size_t size_ = 0;
  void* fake_stack_ = nullptr;
  void* race_detector_ = nullptr;
};

}  // namespace interpd::testing

#endif  // INTERPD_TESTS_TESTING_FIBER_H_
