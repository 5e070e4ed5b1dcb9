// What makes ThreadSanitizer see the libraries that were built without it. Linked into every program of --config=tsan.
//
// Abseil's shared library is not instrumented, so the order that its mutexes make would be invisible and every access
// under one would look like a race. The functions below stand in front of the library's: each tells the sanitizer what
// it does and calls the real one. They serve Abseil's users in other shared libraries (gRPC) as well, since the dynamic
// linker looks in the program first.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

extern "C" {

// TSAN_OPTIONS adds to these.
const char* __tsan_default_options() { return "halt_on_error=0:second_deadlock_stack=1:history_size=4"; }

const char* __tsan_default_suppressions() {
  static constexpr char kText[] = {
#embed "tsan.supp"
      , '\0'};
  return kText;
}
}

namespace __tsan {

class ReportDesc;

// Called before a report is printed; true drops it. The sanitizer knows one table of file descriptors and believes that
// two interpreters' threads, each with a table of its own, use one descriptor when both use the same number. It calls
// this from within, so nothing here is instrumented or intercepted; its functions write one frame whatever room they
// get.
__attribute__((no_sanitize("thread"))) bool OnReport(const ReportDesc* report, bool suppressed) {
  void* const it = const_cast<ReportDesc*>(report);
  void* frame = nullptr;
  const char* text = nullptr;
  int number = 0;
  int locations = 0;
  __tsan_get_report_data(it, &text, &number, &number, &number, &locations, &number, &number, &number, &frame, 1);
  for (int i = 0; i < locations; ++i) {
    const char* type = nullptr;
    void* address = nullptr;
    unsigned long size = 0;  // as the interface has it
    __tsan_get_report_loc(it, i, &type, &address, &address, &size, &number, &number, &number, &frame, 1);
    if (type[0] == 'f' && type[1] == 'd' && type[2] == '\0') return true;
  }
  return suppressed;
}

}  // namespace __tsan

namespace {

template <typename Function>
Function Real(const char* symbol) {
  void* address = dlsym(RTLD_NEXT, symbol);
  if (address == nullptr) {
    std::fprintf(stderr, "tests/sanitizers/tsan.cc: Abseil has no %s; bring the names here up to date\n", symbol);
    std::abort();
  }
  return reinterpret_cast<Function>(address);
}

// The real function behind the one whose body this stands in, as a function of the object and its arguments.
#define REAL(symbol, type) static const auto real = Real<type>("_ZN4absl8debian10" symbol)

constexpr unsigned kRead = __tsan_mutex_read_lock;
constexpr unsigned kTry = __tsan_mutex_try_lock;

unsigned IfLocked(unsigned flags, bool locked) { return flags | (locked ? 0 : __tsan_mutex_try_lock_failed); }

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

using synchronization_internal::KernelTimeout;

void Mutex::lock() {
  REAL("5Mutex4lockEv", void (*)(Mutex*));
  __tsan_mutex_pre_lock(this, 0);
  real(this);
  __tsan_mutex_post_lock(this, 0, 0);
}

void Mutex::unlock() {
  REAL("5Mutex6unlockEv", void (*)(Mutex*));
  __tsan_mutex_pre_unlock(this, 0);
  real(this);
  __tsan_mutex_post_unlock(this, 0);
}

void Mutex::lock_shared() {
  REAL("5Mutex11lock_sharedEv", void (*)(Mutex*));
  __tsan_mutex_pre_lock(this, kRead);
  real(this);
  __tsan_mutex_post_lock(this, kRead, 0);
}

void Mutex::unlock_shared() {
  REAL("5Mutex13unlock_sharedEv", void (*)(Mutex*));
  __tsan_mutex_pre_unlock(this, kRead);
  real(this);
  __tsan_mutex_post_unlock(this, kRead);
}

bool Mutex::try_lock() {
  REAL("5Mutex8try_lockEv", bool (*)(Mutex*));
  __tsan_mutex_pre_lock(this, kTry);
  const bool locked = real(this);
  __tsan_mutex_post_lock(this, IfLocked(kTry, locked), 0);
  return locked;
}

bool Mutex::try_lock_shared() {
  REAL("5Mutex15try_lock_sharedEv", bool (*)(Mutex*));
  __tsan_mutex_pre_lock(this, kTry | kRead);
  const bool locked = real(this);
  __tsan_mutex_post_lock(this, IfLocked(kTry | kRead, locked), 0);
  return locked;
}

// Await and LockWhen: other threads evaluate the condition on this one's behalf while they hold the mutex; the
// sanitizer ignores what happens between "pre" and "post".
bool Mutex::LockWhenCommon(const Condition& condition, KernelTimeout timeout, bool write) {
  REAL("5Mutex14LockWhenCommonERKNS0_9ConditionENS0_24synchronization_internal13KernelTimeoutEb",
       bool (*)(Mutex*, const Condition&, KernelTimeout, bool));
  const unsigned flags = write ? 0 : kRead;
  __tsan_mutex_pre_lock(this, flags);
  const bool result = real(this, condition, timeout, write);
  __tsan_mutex_post_lock(this, flags, 0);
  return result;
}

bool Mutex::AwaitCommon(const Condition& condition, KernelTimeout timeout) {
  REAL("5Mutex11AwaitCommonERKNS0_9ConditionENS0_24synchronization_internal13KernelTimeoutE",
       bool (*)(Mutex*, const Condition&, KernelTimeout));
  __tsan_mutex_pre_unlock(this, 0);
  __tsan_mutex_post_unlock(this, 0);
  __tsan_mutex_pre_lock(this, 0);
  const bool result = real(this, condition, timeout);
  __tsan_mutex_post_lock(this, 0, 0);
  return result;
}

bool CondVar::WaitCommon(Mutex* mutex, KernelTimeout timeout) {
  REAL("7CondVar10WaitCommonEPNS0_5MutexENS0_24synchronization_internal13KernelTimeoutE",
       bool (*)(CondVar*, Mutex*, KernelTimeout));
  __tsan_mutex_pre_unlock(mutex, 0);
  __tsan_mutex_post_unlock(mutex, 0);
  __tsan_mutex_pre_lock(mutex, 0);
  const bool result = real(this, mutex, timeout);
  __tsan_mutex_post_lock(mutex, 0, 0);
  return result;
}

// HasBeenNotified is inline and reads `notified_yet_`, so that is where the order is made.
void Notification::Notify() {
  REAL("12Notification6NotifyEv", void (*)(Notification*));
  __tsan_release(&notified_yet_);
  real(this);
}

void Notification::WaitForNotification() const {
  static const auto real =
      Real<void (*)(const Notification*)>("_ZNK4absl8debian1012Notification19WaitForNotificationEv");
  real(this);
  __tsan_acquire(const_cast<std::atomic<bool>*>(&notified_yet_));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static const auto real = Real<bool (*)(const Notification*, Duration)>(
      "_ZNK4absl8debian1012Notification30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool notified = real(this, timeout);
  if (notified) __tsan_acquire(const_cast<std::atomic<bool>*>(&notified_yet_));
  return notified;
}

bool BlockingCounter::DecrementCount() {
  REAL("15BlockingCounter14DecrementCountEv", bool (*)(BlockingCounter*));
  __tsan_release(this);
  return real(this);
}

void BlockingCounter::Wait() {
  REAL("15BlockingCounter4WaitEv", void (*)(BlockingCounter*));
  real(this);
  __tsan_acquire(this);
}

ABSL_NAMESPACE_END
}  // namespace absl
