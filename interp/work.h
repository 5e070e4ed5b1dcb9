// Work: one exec or call on its way through an interpreter.
//
// Who includes this: whoever sends work to an interpreter (daemon/, benches, tests), by deriving from Work.
//
// Life of a piece of work: its owner makes it, Interpreter::Submit takes a share of it, the interpreter's thread runs
// it, Output is called zero or more times, Done exactly once and last.
//
// Requires of Output and Done: they are called on threads of the host (often the interpreter's own thread, which has
// a file descriptor table of its own). So they must not block, take a lock that is held for long, touch a file
// descriptor, or call gRPC: hand the matter to a thread of the daemon through memory.
#ifndef INTERPD_INTERP_WORK_H_
#define INTERPD_INTERP_WORK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "channels/value.h"
#include "interp/exception_info.h"

namespace interpd::interp {

enum class Stream { kStdout, kStderr };

// Source code to run in __main__.
struct ExecRequest {
  std::string source;             // Python source: UTF-8, or as its coding line says
  std::string filename;           // for tracebacks and __file__; empty: <exec-N>, and no __file__
  std::vector<std::string> args;  // sys.argv[1:]
  bool interactive = false;       // one statement, whose value goes to sys.displayhook
};

// A function to call.
struct CallRequest {
  std::string target;      // module:function, or a name in __main__; dotted names are looked up
  channels::Value args;    // kTuple; None: no arguments
  channels::Value kwargs;  // kDict with str keys; None: none
};

struct ExecResult {
  int exit_code = 0;                         // 0, SystemExit's code, or 1 with `exception`
  std::unique_ptr<ExceptionInfo> exception;  // never a SystemExit
  bool incomplete = false;                   // interactive: needs more lines, nothing ran
};

struct CallResult {
  channels::Value value;
  std::unique_ptr<ExceptionInfo> exception;  // if set, `value` means nothing
};

struct Result {
  std::variant<ExecResult, CallResult> value;  // of the same kind as the request
  absl::Duration run_time;
};

class Work {
 public:
  explicit Work(ExecRequest request) : request_(std::move(request)) {}
  explicit Work(CallRequest request) : request_(std::move(request)) {}
  virtual ~Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  // Something that the work wrote; in order within a stream. Returns false when the receiver wants no more for now:
  // the interpreter's output then stays in its pipe (and the code blocks when that is full) until
  // Interpreter::ResumeOutput. Never called again after Done.
  virtual bool Output(Stream stream, std::string_view data) = 0;

  // The end. A status means that the work did not run, was cancelled, or that its result cannot cross; an exception
  // of the hosted code is part of Result. All output has been delivered.
  virtual void Done(absl::StatusOr<Result> result) = 0;

  const std::variant<ExecRequest, CallRequest>& request() const { return request_; }

 private:
  friend class InterpreterWorker;
  friend class WorkQueue;

  // Whoever moves it to kDone, and nobody else, calls Done.
  enum class Phase : uint8_t { kQueued, kRunning, kDone };

  std::variant<ExecRequest, CallRequest> request_;
  absl::Time submit_time_;
  std::atomic<Phase> phase_{Phase::kQueued};
  std::atomic<bool> cancelled_{false};
  std::shared_ptr<Work> keep_alive_;  // while it is queued or runs
  Work* next_ = nullptr;              // in the queue
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_WORK_H_
