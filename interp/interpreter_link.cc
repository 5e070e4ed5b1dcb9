#include "interp/interpreter_link.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "interp/py_ref.h"
#include "interp/python_runtime.h"
#include "interp/raw_memory.h"

namespace interpd::interp {
namespace {

constexpr char kKey[] = "interpd.link";

// The stack's mark for "ended". Never dereferenced.
Errand* const kClosed = reinterpret_cast<Errand*>(1);

}  // namespace

InterpreterLink::InterpreterLink(HostedAccess access, std::function<void()> wake_idle)
    : access_(std::move(access)), wake_idle_(std::move(wake_idle)) {}

InterpreterLink::~InterpreterLink() = default;

// ---- life ---------------------------------------------------------------------------------------------------------

bool InterpreterLink::Open() {
  PyInterpreterState* state = PyInterpreterState_Get();
  PyObject* dict = PyInterpreterState_GetDict(state);
  auto* share = new std::shared_ptr<InterpreterLink>(shared_from_this());
  PyRef capsule = PyRef::Steal(PyCapsule_New(share, kKey, [](PyObject* capsule) {
    delete static_cast<std::shared_ptr<InterpreterLink>*>(PyCapsule_GetPointer(capsule, kKey));
  }));
  if (!capsule) {
    delete share;
    return false;
  }
  if (dict == nullptr || PyDict_SetItemString(dict, kKey, capsule.get()) < 0) return false;
  std::lock_guard lock(mu_);
  interpreter_state_ = state;
  return true;
}

InterpreterLink* InterpreterLink::Current() {
  PyObject* dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
  PyObject* capsule = dict == nullptr ? nullptr : PyDict_GetItemString(dict, kKey);
  if (capsule == nullptr) return nullptr;
  return static_cast<std::shared_ptr<InterpreterLink>*>(PyCapsule_GetPointer(capsule, kKey))->get();
}

void InterpreterLink::BeginEnd() {
  // What an errand raises now has nobody to go to.
  while (!RunErrands()) PyErr_Clear();
  ending_ = true;
  // What is pinned stays behind; its memory is the process's from now on.
  for (int i = 0; i < pinned_; ++i) UncountBlock();
}

void InterpreterLink::Ended() {
  {
    std::lock_guard lock(mu_);
    interpreter_state_ = nullptr;
  }
  seen_constants_.Forget();
  // acquire: the errands were written by those who posted them.
  Errand* errand = errands_.exchange(kClosed, std::memory_order_acq_rel);
  while (errand != nullptr) {
    std::shared_ptr<Errand> self = std::move(errand->self_);
    errand = errand->next_;
    self->TooLate();
  }
}

// ---- errands ------------------------------------------------------------------------------------------------------

void InterpreterLink::Post(std::shared_ptr<Errand> errand, pid_t thread) {
  Errand* raw = errand.get();
  raw->self_ = std::move(errand);
  if (Push(raw)) {
    Alert(thread);
  } else {
    std::exchange(raw->self_, nullptr)->TooLate();
  }
}

bool InterpreterLink::Push(Errand* errand) {
  // relaxed: only compared.
  Errand* head = errands_.load(std::memory_order_relaxed);
  do {
    if (head == kClosed) return false;
    errand->next_ = head;
    // release: publishes the errand to who takes it.
  } while (!errands_.compare_exchange_weak(head, errand, std::memory_order_release, std::memory_order_relaxed));
  return true;
}

void InterpreterLink::Alert(pid_t thread) {
  std::lock_guard lock(mu_);
  if (interpreter_state_ == nullptr) return;  // it has ended: so Ended has found the errand, or Push has failed
  // seq_cst, as in OnPendingCall: either that comes after the errand's Push, or this queues another call.
  if (!alerted_.exchange(true, std::memory_order_seq_cst) &&
      _PyEval_AddPendingCall(interpreter_state_, &OnPendingCall, this, 0) != 0) {
    // CPython's queue is full: of interrupts, since this call is in it once at most. They too run errands.
    alerted_.store(false, std::memory_order_seq_cst);
  }
  wake_idle_();
  if (thread != 0) syscall(SYS_tgkill, getpid(), thread, PythonRuntime::interrupt_signal());
}

int InterpreterLink::OnPendingCall(void* argument) {
  auto* self = static_cast<InterpreterLink*>(argument);
  self->alerted_.store(false, std::memory_order_seq_cst);  // before the errands are taken
  return self->RunErrands() ? 0 : -1;
}

bool InterpreterLink::RunErrands() {
  if (ending_ || !HasErrands()) return true;  // at the end they wait for Ended
  // acquire: as in Ended. kClosed cannot be found: Ended comes after the last call of this.
  Errand* newest = errands_.exchange(nullptr, std::memory_order_acquire);
  Errand* oldest = nullptr;
  while (newest != nullptr) {
    Errand* next = std::exchange(newest->next_, oldest);
    oldest = std::exchange(newest, next);
  }
  while (oldest != nullptr) {
    Errand* next = oldest->next_;
    std::shared_ptr<Errand> self = std::move(oldest->self_);
    if (!self->Run()) {
      oldest->self_ = std::move(self);
      for (; oldest != nullptr; oldest = next) {
        next = oldest->next_;
        Push(oldest);
      }
      Alert(0);
      return false;
    }
    oldest = next;
  }
  return true;
}

}  // namespace interpd::interp
