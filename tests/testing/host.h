// An in-process host for tests of interp/: one registry for the whole program, and calls that wait.
#ifndef INTERPD_TESTS_TESTING_HOST_H_
#define INTERPD_TESTS_TESTING_HOST_H_

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "channels/channel_registry.h"
#include "channels/value.h"
#include "interp/interpreter.h"
#include "interp/interpreter_registry.h"

namespace interpd::testing {

// The registry of this process, started by the first use. Ended by EndHost, which main() of host tests calls.
interp::InterpreterRegistry& Host();
void EndHost();

// The named channels of its interpreters.
channels::ChannelRegistry& Channels();

// Buffers, channels and the like that exist in this process: what has no owner is gone.
int64_t LiveObjects();

// Work that keeps what it is given.
class RecordedWork : public interp::Work {
 public:
  using Work::Work;

  bool Output(interp::Stream stream, std::string_view data) override {
    std::lock_guard lock(mu_);
    (stream == interp::Stream::kStdout ? out_ : err_).append(data);
    return true;
  }
  void Done(absl::StatusOr<interp::Result> result) override {
    result_ = std::move(result);
    done_.Notify();
  }

  // Waits for Done.
  absl::StatusOr<interp::Result>& result() {
    done_.WaitForNotification();
    return result_;
  }
  bool WaitFor(absl::Duration timeout) { return done_.WaitForNotificationWithTimeout(timeout); }
  std::string out() {
    std::lock_guard lock(mu_);
    return out_;
  }
  std::string err() {
    std::lock_guard lock(mu_);
    return err_;
  }

 private:
  std::mutex mu_;
  std::string out_, err_;
  absl::StatusOr<interp::Result> result_ = absl::UnknownError("not done");
  absl::Notification done_;
};

struct ExecOutcome {
  absl::Status status;
  interp::ExecResult result;
  std::string out, err;
};

// A fresh interpreter that is closed at the end of the scope.
class TestInterpreter {
 public:
  explicit TestInterpreter(interp::InterpreterConfig config = {}, std::string_view name = "");
  ~TestInterpreter();

  interp::Interpreter& operator*() { return *interpreter_; }
  interp::Interpreter* operator->() { return interpreter_.get(); }
  const std::shared_ptr<interp::Interpreter>& get() { return interpreter_; }

  // Submits and waits.
  ExecOutcome Exec(std::string source, interp::ExecRequest rest = {});
  absl::StatusOr<interp::CallResult> Call(std::string target, channels::Value args = {}, channels::Value kwargs = {});
  std::shared_ptr<RecordedWork> Start(std::string source);

  // Waits for the end.
  interp::State Close(absl::Duration grace = absl::Seconds(5));

 private:
  std::shared_ptr<interp::Interpreter> interpreter_;
};

// A tuple of ints, for arguments.
channels::Value Ints(std::initializer_list<int64_t> values);

}  // namespace interpd::testing

#endif  // INTERPD_TESTS_TESTING_HOST_H_
