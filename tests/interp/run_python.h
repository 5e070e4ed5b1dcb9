// Runs Python in hosted interpreters and fails the test if it raises: for tests that are best said in Python.
#ifndef INTERPD_TESTS_INTERP_RUN_PYTHON_H_
#define INTERPD_TESTS_INTERP_RUN_PYTHON_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/testing/host.h"

namespace interpd::testing {

// What the code of these tests has at hand.
inline constexpr char kPrelude[] = R"(
import interpd, threading, time
def raises(kind, function, *args, **kwargs):
    try: function(*args, **kwargs)
    except kind as error: return error
    raise AssertionError(f'{kind.__name__} was not raised')
)";

// The traceback of what an exec raised; empty: nothing.
inline std::string Failure(RecordedWork& work) {
  if (!work.result().ok()) return std::string(work.result().status().message());
  auto& result = std::get<interp::ExecResult>(work.result()->value);
  return result.exception ? absl::StrCat(result.exception->formatted, work.out(), work.err()) : work.err();
}

class PythonInterpreter : public TestInterpreter {
 public:
  explicit PythonInterpreter(interp::InterpreterConfig config = {}) : TestInterpreter(WithPrelude(std::move(config))) {}

  // Returns what it printed.
  std::string Run(std::string source) {
    auto work = Start(std::move(source));
    EXPECT_EQ(Failure(*work), "");
    return work->out();
  }

 private:
  static interp::InterpreterConfig WithPrelude(interp::InterpreterConfig config) {
    config.setup_source = kPrelude;
    return config;
  }
};

// Code that prints a line and goes on.
class BegunWork : public RecordedWork {
 public:
  explicit BegunWork(std::string source) : RecordedWork(interp::ExecRequest{.source = std::move(source)}) {}

  bool Output(interp::Stream stream, std::string_view data) override {
    RecordedWork::Output(stream, data);
    if (!begun_.HasBeenNotified()) begun_.Notify();
    return true;
  }
  void WaitUntilBegun() { begun_.WaitForNotification(); }

 private:
  absl::Notification begun_;
};

inline std::shared_ptr<BegunWork> Begin(TestInterpreter& interpreter, std::string source) {
  auto work = std::make_shared<BegunWork>(std::move(source));
  EXPECT_TRUE(interpreter->Submit(work).ok());
  work->WaitUntilBegun();
  return work;
}

}  // namespace interpd::testing

#endif  // INTERPD_TESTS_INTERP_RUN_PYTHON_H_
