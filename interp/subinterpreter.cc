#include "interp/subinterpreter.h"

#include "absl/strings/str_cat.h"
#include "channels/error.h"

namespace interpd::interp {

absl::StatusOr<SubInterpreter> SubInterpreter::Create() {
  const PyInterpreterConfig config = {
      .use_main_obmalloc = 0,
      .allow_fork = 0,
      .allow_exec = 0,
      .allow_threads = 1,
      // They are interrupted and joined before the interpreter ends, so the reason to refuse them does not hold.
      .allow_daemon_threads = 1,
      .check_multi_interp_extensions = 1,
      .gil = PyInterpreterConfig_OWN_GIL,
  };
  PyThreadState* thread_state = nullptr;
  PyStatus status = Py_NewInterpreterFromConfig(&thread_state, &config);
  if (PyStatus_Exception(status)) {
    return channels::MakeError(
        absl::StatusCode::kFailedPrecondition, "INTERPRETER_FAILED",
        absl::StrCat("CPython could not make an interpreter: ", status.err_msg ? status.err_msg : "unknown error"));
  }
  return SubInterpreter(thread_state);
}

SubInterpreter::~SubInterpreter() = default;

void SubInterpreter::End() {
  Py_EndInterpreter(thread_state_);
  thread_state_ = nullptr;
}

}  // namespace interpd::interp
