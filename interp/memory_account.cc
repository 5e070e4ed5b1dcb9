#include "interp/memory_account.h"

#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace interpd::interp {
namespace {

struct Accounts {
  absl::Mutex mutex;
  std::unordered_map<PyInterpreterState*, MemoryAccount*> open ABSL_GUARDED_BY(mutex);
  std::vector<MemoryAccount*> closed ABSL_GUARDED_BY(mutex);
};

Accounts& accounts() {
  static Accounts* accounts = new Accounts;
  return *accounts;
}

// Where the thread counts; null until that is known, and for ever in threads that CPython does not know.
constinit thread_local MemoryAccount* current = nullptr;
// It is known that it counts nowhere.
constinit thread_local bool uncounted = false;

}  // namespace

MemoryAccount* MemoryAccount::OpenForThread() {
  MemoryAccount* account = nullptr;
  {
    absl::MutexLock lock(accounts().mutex);
    if (!accounts().closed.empty()) {
      account = accounts().closed.back();
      accounts().closed.pop_back();
    }
  }
  if (account == nullptr) account = new MemoryAccount;
  account->bytes_.store(0, std::memory_order_relaxed);
  current = account;
  return account;
}

void MemoryAccount::CountFor(PyInterpreterState* interpreter) {
  interpreter_ = interpreter;
  absl::MutexLock lock(accounts().mutex);
  accounts().open[interpreter] = this;
}

void MemoryAccount::Close() {
  current = nullptr;
  absl::MutexLock lock(accounts().mutex);
  // The interpreter's memory may be another interpreter's by now, which counts elsewhere.
  auto found = accounts().open.find(std::exchange(interpreter_, nullptr));
  if (found != accounts().open.end() && found->second == this) accounts().open.erase(found);
  accounts().closed.push_back(this);
}

MemoryAccount* MemoryAccount::OfCurrentInterpreter() {
  PyThreadState* thread_state = PyThreadState_GetUnchecked();
  if (thread_state == nullptr) return nullptr;
  absl::MutexLock lock(accounts().mutex);
  auto found = accounts().open.find(thread_state->interp);
  if (found != accounts().open.end()) return found->second;
  uncounted = true;
  return nullptr;
}

void MemoryAccount::Add(int64_t bytes) {
  if (current == nullptr) {
    if (uncounted) return;
    current = OfCurrentInterpreter();
    if (current == nullptr) return;
  }
  current->bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace interpd::interp
