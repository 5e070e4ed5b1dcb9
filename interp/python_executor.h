// PythonExecutor: runs execs and calls in the interpreter that the thread is attached to.
//
// Who includes this: interpreter_worker. Knows Python and nothing of threads, queues or output.
//
// Requires of every method, and of the destructor: the thread is attached to the interpreter in which the executor
// was made. No Python exception is left set.
#ifndef INTERPD_INTERP_PYTHON_EXECUTOR_H_
#define INTERPD_INTERP_PYTHON_EXECUTOR_H_

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "interp/interpreter.h"
#include "interp/py_ref.h"
#include "interp/python_api.h"
#include "interp/stream_peek.h"
#include "interp/value_codec.h"
#include "interp/work.h"

namespace interpd::interp {

class PythonExecutor {
 public:
  explicit PythonExecutor(EncodeLimits limits) : limits_(limits) {}

  // Prepares the interpreter: standard streams, sys.path, then the set-up code.
  // Errors: INTERPRETER_FAILED, with the traceback if Python code raised.
  absl::Status SetUp(const InterpreterConfig& config);

  // Never fails: what goes wrong in the source is part of the result.
  ExecResult Exec(const ExecRequest& request);

  // Errors: TARGET_NOT_FOUND, TARGET_NOT_CALLABLE, INVALID_VALUE, VALUE_NOT_SHAREABLE.
  absl::StatusOr<CallResult> Call(const CallRequest& request);

  // Writes out what is buffered: by the objects that hosted code put into sys.stdout and sys.stderr, whose flush is
  // code like any other, and by the interpreter's own.
  void FlushReplacedStreams();
  void FlushOwnStreams();

  // Runs what a Python program runs at its end: closes the event loop, atexit functions, flush. Exceptions are printed
  // to sys.stderr.
  void RunAtExit();

  // What each thread of the interpreter executes.
  std::string Stacks();

 private:
  struct Target {
    PyRef module;                   // name as a str; null: __main__
    std::vector<PyRef> attributes;  // names as str
  };

  // A function of hosted.py. Null with an exception set if it cannot be loaded.
  PyRef Hosted(const char* function);
  // Calls it with the given arguments (a printf-like format of Py_BuildValue for a tuple).
  template <typename... Args>
  PyRef CallHosted(const char* function, const char* format, Args... args);

  // A standard stream as the interpreter was born with it.
  struct OwnStream {
    PyRef object;
    PyRef name;  // in `sys`
    StreamPeek peek;
  };

  void FlushStream(PyObject* stream);
  absl::Status SetArguments(const ExecRequest& request);
  void RegisterSource(const std::string& filename, PyObject* source);
  // Takes the current exception. SystemExit becomes an exit code, printing what python prints.
  ExecResult TakeException();
  std::unique_ptr<ExceptionInfo> DescribeException();
  const Target* FindTarget(const std::string& text);
  absl::StatusOr<PyRef> Resolve(const std::string& text, std::unique_ptr<ExceptionInfo>* exception);

  const EncodeLimits limits_;
  PyRef hosted_;          // the module hosted.py, when loaded
  PyRef main_dict_;       // __main__.__dict__
  PyRef compile_;         // builtins.compile
  PyRef sys_dict_;        // sys.__dict__
  OwnStream streams_[2];  // stdout, stderr
  PyRef flush_name_;
  std::unordered_map<std::string, Target> targets_;  // parsed target texts
  const std::pair<const std::string, Target>* last_target_ = nullptr;
  std::deque<std::string> registered_sources_;  // file names like <exec-7> known to linecache
  int64_t exec_count_ = 0;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_PYTHON_EXECUTOR_H_
