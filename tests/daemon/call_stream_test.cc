// CallStream over real interpreters: order, errors of single calls and of the whole, full queues, cancellation.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/daemon/test_server.h"

namespace interpd::daemon {
namespace {

TEST_F(InterpretersTest, AStreamAnswersInOrderOrAsCallsEnd) {
  ASSERT_TRUE(Create("two").ok());
  for (const char* id : {"one", "two"}) Exec(id, "def f(n): return n");
  for (bool ordered : {true, false}) {
    std::vector<v1::CallStreamRequest> requests(50);
    requests[0].mutable_options()->set_name("interpreters/one");
    requests[0].mutable_options()->set_ordered(ordered);
    int64_t count = 0;
    for (auto& request : requests) {
      for (int i = 0; i < 64; ++i) {
        v1::CallStreamRequest::Item* item = request.add_calls();
        item->set_id(count);
        *item->mutable_call() = CallOf(count % 2 == 0 ? "" : "two", "f");
        item->mutable_call()->add_args()->set_int_(count++);
      }
    }
    std::vector<v1::CallStreamResponse::Item> answers;
    ASSERT_TRUE(Stream(requests, &answers).ok());
    ASSERT_EQ(answers.size(), static_cast<size_t>(count));
    std::set<int64_t> ids;
    for (size_t i = 0; i < answers.size(); ++i) {
      if (ordered) {
        ASSERT_EQ(answers[i].id(), static_cast<int64_t>(i));
      }
      ASSERT_EQ(answers[i].response().result().int_(), answers[i].id()) << answers[i].DebugString();
      ids.insert(answers[i].id());
    }
    EXPECT_EQ(ids.size(), static_cast<size_t>(count));
  }
  Close("two");
}

TEST_F(InterpretersTest, CallsOfAStreamFailOneByOne) {
  Exec("one", "def f(): return 1\ndef boom(): raise ValueError");
  std::vector<v1::CallStreamRequest> requests(1);
  requests[0].mutable_options()->set_ordered(true);
  auto add = [&](const v1::CallRequest& call) {
    auto* item = requests[0].add_calls();
    item->set_id(requests[0].calls_size());
    *item->mutable_call() = call;
  };
  add(CallOf("one", "f"));
  add(CallOf("one", "nothing_of_the_kind"));
  add(CallOf("two", "f"));
  add(CallOf("", "f"));  // no name, and no default
  add(CallOf("one", "boom"));
  v1::CallRequest malformed = CallOf("one", "f");
  malformed.add_args();
  add(malformed);
  std::vector<v1::CallStreamResponse::Item> answers;
  ASSERT_TRUE(Stream(requests, &answers).ok());
  ASSERT_EQ(answers.size(), 6u);
  EXPECT_EQ(answers[0].response().result().int_(), 1);
  EXPECT_EQ(answers[1].error().reason(), "TARGET_NOT_FOUND");
  EXPECT_EQ(answers[2].error().reason(), "INTERPRETER_NOT_FOUND");
  EXPECT_EQ(answers[3].error().reason(), "INVALID_FIELD");
  EXPECT_EQ(answers[4].response().exception().type(), "ValueError");
  EXPECT_EQ(answers[5].error().reason(), "INVALID_VALUE");
  EXPECT_EQ(answers[5].error().metadata().at("path"), "args[0]");
}

TEST_F(InterpretersTest, AStreamThatIsMalformedFailsAsAWhole) {
  std::vector<v1::CallStreamResponse::Item> answers;
  EXPECT_TRUE(Stream({}, &answers).ok());
  std::vector<v1::CallStreamRequest> bad_name(1), options_twice(2);
  bad_name[0].mutable_options()->set_name("one");
  grpc::Status status = Stream(bad_name, &answers);
  EXPECT_EQ(InfoOf(status).metadata().at("field"), "options.name");
  options_twice[0].mutable_options();
  options_twice[1].mutable_options();
  status = Stream(options_twice, &answers);
  EXPECT_EQ(InfoOf(status).metadata().at("field"), "options");
  EXPECT_TRUE(answers.empty());
}

TEST_F(InterpretersTest, AFullQueueIsAnErrorForACallAndAWaitForAStream) {
  v1::InterpreterConfig config;
  config.set_queue_limit(2);
  ASSERT_TRUE(Create("narrow", config).ok());
  Exec("narrow", "import time\nn = 0\ndef f():\n  global n\n  n += 1\n  time.sleep(0.001)\n  return n");
  std::vector<v1::CallStreamRequest> requests(3);
  requests[0].mutable_options()->set_name("interpreters/narrow");
  for (auto& request : requests) {
    for (int i = 0; i < 40; ++i) *request.add_calls()->mutable_call() = CallOf("", "f");
  }
  requests[1].mutable_calls(0)->mutable_call()->set_name("interpreters/one");
  std::vector<v1::CallStreamResponse::Item> answers;
  // Another stream beside it that waits for the same queue.
  std::vector<v1::CallStreamResponse::Item> beside;
  std::thread other([&] { EXPECT_TRUE(Stream({requests[0]}, &beside).ok()); });
  ASSERT_TRUE(Stream(requests, &answers).ok());
  other.join();
  EXPECT_EQ(answers.size(), 120u);
  EXPECT_EQ(beside.size(), 40u);
  std::set<int64_t> results;
  int errors = 0;
  for (const auto* list : {&answers, &beside}) {
    int64_t last = 0;
    for (const auto& answer : *list) {
      if (answer.has_error()) {
        EXPECT_EQ(answer.error().reason(), "TARGET_NOT_FOUND");  // the one that went to another interpreter
        ++errors;
        continue;
      }
      EXPECT_GT(answer.response().result().int_(), last);  // first come, first served
      last = answer.response().result().int_();
      results.insert(last);
    }
  }
  EXPECT_EQ(errors, 1);
  EXPECT_EQ(results.size(), 159u);
  Close("narrow");

  v1::InterpreterConfig one_waits;
  one_waits.set_queue_limit(1);
  ASSERT_TRUE(Create("narrower", one_waits).ok());
  Exec("narrower", "import time\ndef f(): time.sleep(0.2)");
  std::vector<grpc::Status> statuses(4);
  std::vector<std::thread> threads;
  for (auto& status : statuses) {
    threads.emplace_back([&] {
      v1::CallResponse response;
      status = Call(CallOf("narrower", "f"), &response);
    });
  }
  for (auto& thread : threads) thread.join();
  std::map<std::string, int> reasons;
  for (const auto& status : statuses) ++reasons[status.ok() ? "OK" : InfoOf(status).reason()];
  EXPECT_GE(reasons["OK"], 1);
  EXPECT_GE(reasons["QUEUE_FULL"], 1);
  EXPECT_EQ(reasons["OK"] + reasons["QUEUE_FULL"], 4);
  Close("narrower");
}

TEST_F(InterpretersTest, ACancelledStreamStopsItsCalls) {
  Exec("one", "import time\ndef f():\n  while True: time.sleep(0.001)");
  grpc::ClientContext context;
  Patience(context);
  auto stream = interpreters_->CallStream(&context);
  v1::CallStreamRequest request;
  request.mutable_options()->set_name("interpreters/one");
  for (int i = 0; i < 100; ++i) *request.add_calls()->mutable_call() = CallOf("", "f");
  ASSERT_TRUE(stream->Write(request));
  // The stream is under way once the interpreter has its work.
  for (int64_t pending = 0; pending < 100;) {
    grpc::ClientContext get_context;
    v1::GetRequest get;
    get.set_name("interpreters/one");
    v1::Interpreter interpreter;
    ASSERT_TRUE(interpreters_->Get(&get_context, get, &interpreter).ok());
    pending = interpreter.pending_count();
  }
  context.TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_EQ(Exec("one", "print('free again')"), "free again\n");
}

}  // namespace
}  // namespace interpd::daemon
