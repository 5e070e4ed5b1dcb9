// The client library against a real daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "client/client.h"
#include "tests/bench/child_process.h"

namespace interpd::client {
namespace {

using testing::HasSubstr;

std::unique_ptr<bench::ServerProcess> StartDaemon() {
  auto daemon = bench::ServerProcess::Start({bench::RunfilePath("daemon/interpd")});
  CHECK_OK(daemon);
  return *std::move(daemon);
}

v1::CallRequest MakeCall(std::string_view target, std::initializer_list<int64_t> args = {},
                         std::string_view name = "") {
  v1::CallRequest call;
  call.set_name(std::string(name));
  call.set_target(std::string(target));
  for (int64_t arg : args) call.add_args()->set_int_(arg);
  return call;
}

class ClientTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { daemon_ = StartDaemon().release(); }
  static void TearDownTestSuite() {
    absl::StatusOr<int> exit_code = daemon_->Terminate(absl::Seconds(60));
    delete daemon_;
    ASSERT_TRUE(exit_code.ok()) << exit_code.status();
    EXPECT_EQ(*exit_code, 0);
  }

  void SetUp() override {
    auto client = Client::Connect(daemon_->address());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    v1::CreateRequest create;
    create.mutable_config()->set_setup_source(
        "import time\n"
        "def add(a, b): return a + b\n"
        "def fail(): raise ValueError('no')\n"
        "def wait(): time.sleep(3600)\n");
    auto interpreter = client_->Create(create);
    ASSERT_TRUE(interpreter.ok()) << interpreter.status();
    name_ = interpreter->name();
  }

  void TearDown() override {
    v1::CloseRequest close;
    close.set_name(name_);
    close.mutable_grace_period();
    EXPECT_TRUE(client_->Close(close).ok());
  }

  // Waits until the interpreter runs something.
  void WaitUntilRunning() {
    while (client_->Get(name_)->state() != v1::Interpreter::RUNNING) std::this_thread::yield();
  }

  inline static bench::ServerProcess* daemon_ = nullptr;
  std::unique_ptr<Client> client_;
  std::string name_;
};

TEST_F(ClientTest, CallsReturnValuesExceptionsAndErrors) {
  absl::StatusOr<v1::CallResponse> sum = client_->Call(MakeCall("add", {2, 3}, ResourceId(name_)));
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->result().int_(), 5);
  EXPECT_EQ(client_->Call(MakeCall("fail", {}, name_))->exception().message(), "no");
  absl::Status missing = client_->Call(MakeCall("none", {}, name_)).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_EQ(ErrorReason(missing), "TARGET_NOT_FOUND");
  EXPECT_EQ(ErrorMetadata(missing)["target"], "none");
}

TEST_F(ClientTest, CreateIsSafeToRepeat) {
  v1::CreateRequest create;
  create.set_request_id(absl::StrCat("repeat-", ResourceId(name_)));
  absl::StatusOr<v1::Interpreter> first = client_->Create(create);
  absl::StatusOr<v1::Interpreter> second = client_->Create(create);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  EXPECT_EQ(first->name(), second->name());
  v1::CloseRequest close;
  close.set_name(first->name());
  EXPECT_TRUE(client_->Close(close).ok());
}

TEST_F(ClientTest, ListReadsEveryPage) {
  v1::ListRequest one;
  one.set_page_size(1);
  EXPECT_EQ(client_->List(one)->interpreters_size(), 1);
  EXPECT_EQ(client_->List()->size(), 1U);
  EXPECT_EQ(client_->GetInfo()->interpreter_count(), 1);
}

TEST_F(ClientTest, ExecStreamsInOrder) {
  v1::ExecRequest exec;
  exec.set_name(name_);
  exec.set_source("import sys\nfor i in range(1000): print(i)\nprint('e', file=sys.stderr)\nsys.exit(5)");
  std::map<int, std::string> written;
  absl::StatusOr<v1::ExecResult> result =
      client_->Exec(exec, [&](const v1::Output& output) { written[output.stream()] += output.data(); });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code(), 5);
  std::string expected;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&expected, i, "\n");
  EXPECT_EQ(written[v1::Output::STDOUT], expected);
  EXPECT_EQ(written[v1::Output::STDERR], "e\n");
}

TEST_F(ClientTest, ACancelledExecIsInterrupted) {
  v1::ExecRequest exec;
  exec.set_name(name_);
  exec.set_source("print('begun', flush=True)\ntime.sleep(3600)");
  Cancellation cancellation;
  absl::Status status =
      client_->Exec(exec, [&](const v1::Output&) { cancellation.Cancel(); }, {.cancellation = &cancellation}).status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  // Nothing is left in its way.
  EXPECT_EQ(client_->Call(MakeCall("add", {1, 1}, name_))->result().int_(), 2);
  // What is begun later is cancelled too.
  EXPECT_TRUE(absl::IsCancelled(client_->Get(name_, {.cancellation = &cancellation}).status()));
}

TEST_F(ClientTest, ADeadlineInterrupts) {
  absl::Status status = client_->Call(MakeCall("wait", {}, name_), {.timeout = absl::Milliseconds(100)}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(client_->Call(MakeCall("add", {1, 1}, name_))->result().int_(), 2);
}

TEST_F(ClientTest, AsynchronousRequestsMayBeginOthers) {
  absl::Notification done;
  int64_t sum = 0;
  std::string written;
  v1::ExecRequest exec;
  exec.set_name(name_);
  exec.set_source("print('hello')");
  client_->CallAsync(MakeCall("add", {1, 2}, name_), [&](absl::StatusOr<v1::CallResponse> response) {
    ASSERT_TRUE(response.ok()) << response.status();
    sum = response->result().int_();
    client_->ExecAsync(
        exec, [&](const v1::Output& output) { written += output.data(); },
        [&](absl::StatusOr<v1::ExecResult> result) {
          EXPECT_TRUE(result.ok()) << result.status();
          done.Notify();
        });
  });
  done.WaitForNotification();
  EXPECT_EQ(sum, 3);
  EXPECT_EQ(written, "hello\n");
}

TEST_F(ClientTest, InterruptEndsACall) {
  absl::Notification done;
  client_->CallAsync(MakeCall("wait", {}, name_), [&](absl::StatusOr<v1::CallResponse> response) {
    EXPECT_EQ(response->exception().type(), "KeyboardInterrupt");
    done.Notify();
  });
  WaitUntilRunning();
  EXPECT_TRUE(client_->Interrupt(name_)->interrupted());
  done.WaitForNotification();
}

// ---- pipelines -----------------------------------------------------------------------------------------------------

TEST_F(ClientTest, APipelineAnswersEveryCallOnce) {
  constexpr int kCalls = 5000;
  std::unique_ptr<CallPipeline> pipeline = client_->OpenPipeline({.name = name_});
  std::vector<v1::CallRequest> calls;
  for (int i = 0; i < kCalls; ++i) calls.push_back(MakeCall("add", {i, 1}));
  std::vector<absl::StatusOr<v1::CallResponse>> answers = pipeline->CallAll(std::move(calls));
  ASSERT_EQ(answers.size(), static_cast<size_t>(kCalls));
  for (int i = 0; i < kCalls; ++i) {
    ASSERT_TRUE(answers[i].ok()) << i << ": " << answers[i].status();
    EXPECT_EQ(answers[i]->result().int_(), i + 1);
  }
  EXPECT_EQ(pipeline->pending(), 0U);
  EXPECT_TRUE(pipeline->Finish().ok());
}

TEST_F(ClientTest, AnOrderedPipelineAnswersInOrder) {
  std::unique_ptr<CallPipeline> pipeline = client_->OpenPipeline({.name = name_, .ordered = true, .max_batch = 7});
  std::vector<size_t> order;
  std::vector<v1::CallRequest> calls(500, MakeCall("add", {1, 1}));
  pipeline->Submit(std::move(calls), [&](size_t index, absl::StatusOr<v1::CallResponse> response) {
    EXPECT_TRUE(response.ok()) << response.status();
    order.push_back(index);
  });
  EXPECT_TRUE(pipeline->Finish().ok());
  ASSERT_EQ(order.size(), 500U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(ClientTest, APipelineKeepsAWindowInFlightFromItsCallbacks) {
  constexpr int kCalls = 20'000;
  constexpr int kWindow = 64;
  std::unique_ptr<CallPipeline> pipeline = client_->OpenPipeline({.name = name_});
  std::atomic<int> submitted = 0;
  absl::BlockingCounter left(kCalls);
  std::function<void()> submit = [&] {
    if (submitted++ >= kCalls) return;
    pipeline->Submit(MakeCall("add", {1, 1}), [&](absl::StatusOr<v1::CallResponse> response) {
      EXPECT_EQ(response->result().int_(), 2);
      submit();
      left.DecrementCount();
    });
  };
  for (int i = 0; i < kWindow; ++i) submit();
  left.Wait();
  EXPECT_TRUE(pipeline->Finish().ok());
}

TEST_F(ClientTest, ErrorsInAPipelineConcernOneCall) {
  std::unique_ptr<CallPipeline> pipeline = client_->OpenPipeline({.name = name_});
  std::vector<absl::StatusOr<v1::CallResponse>> answers = pipeline->CallAll(
      {MakeCall("add", {1, 1}), MakeCall("none"), MakeCall("fail"), MakeCall("add", {1, 1}, "nobody")});
  EXPECT_EQ(answers[0]->result().int_(), 2);
  EXPECT_EQ(ErrorReason(answers[1].status()), "TARGET_NOT_FOUND");
  EXPECT_EQ(answers[2]->exception().type(), "ValueError");
  EXPECT_EQ(ErrorReason(answers[3].status()), "INTERPRETER_NOT_FOUND");
}

TEST_F(ClientTest, APipelineThatIsDestroyedAnswersWhatItHolds) {
  int answered = 0;
  {
    std::unique_ptr<CallPipeline> pipeline = client_->OpenPipeline({.name = name_});
    for (int i = 0; i < 10; ++i) {
      pipeline->Submit(MakeCall("wait"), [&](absl::StatusOr<v1::CallResponse> response) {
        EXPECT_TRUE(absl::IsCancelled(response.status())) << response.status();
        ++answered;
      });
    }
    WaitUntilRunning();
  }
  EXPECT_EQ(answered, 10);
  EXPECT_EQ(client_->Call(MakeCall("add", {1, 1}, name_))->result().int_(), 2);
}

TEST_F(ClientTest, ManyThreadsShareAClientAndAPipeline) {
  std::unique_ptr<CallPipeline> pipeline = client_->OpenPipeline({.name = name_});
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(client_->Call(MakeCall("add", {thread, i}, name_))->result().int_(), thread + i);
        EXPECT_EQ(pipeline->CallAll({MakeCall("add", {thread, i})})[0]->result().int_(), thread + i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// ---- connections ---------------------------------------------------------------------------------------------------

TEST(ConnectTest, SaysWhyItFails) {
  absl::Status nobody = Client::Connect("unix:/nowhere/interpd.sock").status();
  EXPECT_TRUE(absl::IsUnavailable(nobody)) << nobody;
  EXPECT_THAT(nobody.message(), HasSubstr("interpd --listen unix:/nowhere/interpd.sock"));
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect("nonsense").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect("example.org:1", {.insecure = true}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect("localhost:1", {.tls_ca_file = "/nowhere/ca.pem"}).status()));
}

TEST(ConnectTest, ADaemonThatDiesFailsWhatIsInFlight) {
  std::unique_ptr<bench::ServerProcess> daemon = StartDaemon();
  std::unique_ptr<Client> client = *Client::Connect(daemon->address());
  v1::CreateRequest create;
  create.mutable_config()->set_setup_source("import time\ndef wait(): time.sleep(3600)");
  const std::string name = client->Create(create)->name();
  std::unique_ptr<CallPipeline> pipeline = client->OpenPipeline({.name = name});
  absl::BlockingCounter left(2);
  auto expect_unavailable = [&](absl::StatusOr<v1::CallResponse> response) {
    EXPECT_TRUE(absl::IsUnavailable(response.status())) << response.status();
    EXPECT_EQ(ErrorReason(response.status()), "");
    left.DecrementCount();
  };
  pipeline->Submit(MakeCall("wait"), expect_unavailable);
  client->CallAsync(MakeCall("wait", {}, name), expect_unavailable);
  while (client->Get(name)->pending_count() < 2) std::this_thread::yield();
  ASSERT_EQ(kill(daemon->pid(), SIGKILL), 0);
  left.Wait();
  EXPECT_TRUE(absl::IsUnavailable(pipeline->Finish()));
  // The stream is over: a late call is refused at once.
  absl::Notification refused;
  pipeline->Submit(MakeCall("wait"), [&](absl::StatusOr<v1::CallResponse> response) {
    EXPECT_FALSE(response.ok());
    refused.Notify();
  });
  EXPECT_TRUE(refused.HasBeenNotified());
}

}  // namespace
}  // namespace interpd::client
