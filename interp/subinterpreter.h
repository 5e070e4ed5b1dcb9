// SubInterpreter: owner of one PyInterpreterState with its own GIL, bound to the thread that made it; and
// ScopedAttach/ScopedDetach, the scopes that may and may not run Python.
//
// Who includes this: interpreter_worker.
#ifndef INTERPD_INTERP_SUBINTERPRETER_H_
#define INTERPD_INTERP_SUBINTERPRETER_H_

#include <utility>

#include "absl/status/statusor.h"
#include "interp/python_api.h"

namespace interpd::interp {

// Move-only. Every method but the moves must be called on the thread that created it.
class SubInterpreter {
 public:
  // Makes an interpreter with its own GIL and allocator; fork and exec of the process itself are refused in it.
  // Returns with the thread attached to it. Requires a thread without a thread state. Errors: INTERPRETER_FAILED.
  static absl::StatusOr<SubInterpreter> Create();

  SubInterpreter(SubInterpreter&& other) noexcept : thread_state_(std::exchange(other.thread_state_, nullptr)) {}
  SubInterpreter& operator=(SubInterpreter&&) = delete;
  ~SubInterpreter();  // requires that End was called, or that the interpreter is given up

  // Ends it. Requires: attached, and no other thread state left in it. The thread has none afterwards.
  void End();

  PyThreadState* thread_state() const { return thread_state_; }
  PyInterpreterState* interpreter_state() const { return thread_state_->interp; }

 private:
  explicit SubInterpreter(PyThreadState* thread_state) : thread_state_(thread_state) {}

  PyThreadState* thread_state_;
};

// Attached within: Python may run. Requires a detached thread.
class ScopedAttach {
 public:
  explicit ScopedAttach(PyThreadState* thread_state) { PyEval_RestoreThread(thread_state); }
  ~ScopedAttach() { PyEval_SaveThread(); }
  ScopedAttach(const ScopedAttach&) = delete;
  ScopedAttach& operator=(const ScopedAttach&) = delete;
};

// Detached within: other threads of the interpreter may run. Requires an attached thread.
class ScopedDetach {
 public:
  ScopedDetach() : thread_state_(PyEval_SaveThread()) {}
  ~ScopedDetach() { PyEval_RestoreThread(thread_state_); }
  ScopedDetach(const ScopedDetach&) = delete;
  ScopedDetach& operator=(const ScopedDetach&) = delete;

 private:
  PyThreadState* thread_state_;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_SUBINTERPRETER_H_
