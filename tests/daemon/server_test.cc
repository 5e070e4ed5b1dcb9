// The services over real interpreters, a real socket between.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "tests/daemon/test_server.h"

namespace interpd::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(InterpretersTest, ListsInPages) {
  for (const char* id : {"p.3", "p.1", "p.2"}) ASSERT_TRUE(Create(id).ok());
  std::vector<std::string> names;
  v1::ListRequest request;
  request.set_page_size(3);
  int pages = 0;
  do {
    grpc::ClientContext context;
    Patience(context);
    v1::ListResponse response;
    ASSERT_TRUE(interpreters_->List(&context, request, &response).ok());
    for (const auto& interpreter : response.interpreters()) names.push_back(interpreter.name());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 2);
  EXPECT_THAT(names, ElementsAre("interpreters/one", "interpreters/p.1", "interpreters/p.2", "interpreters/p.3"));
  for (const char* id : {"p.1", "p.2", "p.3"}) EXPECT_EQ(Close(id), v1::Interpreter::CLOSED);
}

// A page ends early before its answer is too large.
TEST_F(InterpretersTest, APageOfLargeConfigurationsIsShort) {
  v1::InterpreterConfig large;
  for (int i = 0; i < 200; ++i) large.add_path("/" + std::string(4000, 'x'));
  for (const char* id : {"p1", "p2", "p3"}) ASSERT_TRUE(Create(id, large).ok());
  std::vector<int> sizes;
  std::vector<std::string> names;
  for (std::string token;;) {
    grpc::ClientContext context;
    Patience(context);
    v1::ListRequest request;
    request.set_page_token(token);
    v1::ListResponse response;
    ASSERT_TRUE(interpreters_->List(&context, request, &response).ok());
    sizes.push_back(response.interpreters_size());
    for (const auto& interpreter : response.interpreters()) names.push_back(interpreter.name());
    token = response.next_page_token();
    if (token.empty()) break;
  }
  EXPECT_THAT(names,
              ::testing::ElementsAre("interpreters/one", "interpreters/p1", "interpreters/p2", "interpreters/p3"));
  EXPECT_THAT(sizes, ::testing::ElementsAre(3, 1));
  for (const char* id : {"p1", "p2", "p3"}) Close(id);
  large.set_path(0, "/" + std::string(4095, 'x'));
  EXPECT_EQ(InfoOf(Create("p4", large)).metadata().at("field"), "config.path[0]");
}

TEST_F(InterpretersTest, BadRequestsSayWhatIsWrong) {
  auto list = [this](int page_size, const std::string& token) {
    grpc::ClientContext context;
    v1::ListRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    v1::ListResponse response;
    return interpreters_->List(&context, request, &response);
  };
  auto call = [this](const std::string& name, const std::string& target) {
    v1::CallRequest request;
    request.set_name(name);
    request.set_target(target);
    v1::CallResponse response;
    return Call(request, &response);
  };
  v1::InterpreterConfig relative_path, too_long_queue;
  relative_path.add_path("lib");
  too_long_queue.set_queue_limit(65537);
  struct Case {
    grpc::Status status;
    grpc::StatusCode code;
    std::string reason, field;
  };
  const Case cases[] = {
      {list(-1, ""), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "page_size"},
      {list(0, "nonsense"), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "page_token"},
      {call("one", "f"), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "name"},
      {call("interpreters/", "f"), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "name"},
      {call("interpreters/-x", "f"), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "name"},
      {call("interpreters/one", ""), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "target"},
      {call("interpreters/two", "f"), grpc::NOT_FOUND, "INTERPRETER_NOT_FOUND", ""},
      {call("interpreters/one", "nothing_of_the_kind"), grpc::NOT_FOUND, "TARGET_NOT_FOUND", ""},
      {call("interpreters/one", "sys:path"), grpc::INVALID_ARGUMENT, "TARGET_NOT_CALLABLE", ""},
      {Create("one"), grpc::ALREADY_EXISTS, "INTERPRETER_EXISTS", ""},
      {Create("a/b"), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "interpreter_id"},
      {Create(std::string(64, 'x')), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "interpreter_id"},
      {Create("x", relative_path), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "config.path[0]"},
      {Create("x", too_long_queue), grpc::INVALID_ARGUMENT, "INVALID_FIELD", "config.queue_limit"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.status.error_message());
    google::rpc::ErrorInfo info = InfoOf(c.status);
    EXPECT_EQ(c.status.error_code(), c.code);
    EXPECT_EQ(info.reason(), c.reason);
    if (!c.field.empty()) {
      EXPECT_EQ(info.metadata().at("field"), c.field);
    }
  }
}

TEST_F(InterpretersTest, ARepeatedCreateMakesOneInterpreter) {
  auto create = [this](const std::string& id, const std::string& request_id, v1::Interpreter* made) {
    grpc::ClientContext context;
    Patience(context);
    v1::CreateRequest request;
    request.set_interpreter_id(id);
    request.set_request_id(request_id);
    return interpreters_->Create(&context, request, made);
  };
  v1::Interpreter first, second, third, closed;
  ASSERT_TRUE(create("", "r", &first).ok());
  ASSERT_TRUE(create("", "r", &second).ok());
  EXPECT_EQ(first.name(), second.name());
  EXPECT_EQ(InfoOf(create("other", "r", &third)).metadata().at("field"), "request_id");
  EXPECT_EQ(Close(first.name().substr(first.name().find('/') + 1)), v1::Interpreter::CLOSED);
  ASSERT_TRUE(create("", "r", &closed).ok());
  EXPECT_EQ(closed.name(), first.name());
  EXPECT_EQ(closed.state(), v1::Interpreter::CLOSED);
}

TEST_F(InterpretersTest, ASetUpThatRaisesFailsCreateWithItsTraceback) {
  v1::InterpreterConfig config;
  config.set_setup_source("1/0");
  grpc::Status status = Create("broken", config);
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(InfoOf(status).reason(), "INTERPRETER_FAILED");
  EXPECT_THAT(status.error_message(), HasSubstr("ZeroDivisionError"));
  EXPECT_TRUE(Create("broken").ok());  // the name is free
  Close("broken");
}

TEST_F(InterpretersTest, ExecStreamsMegabytesToASlowReaderInOrder) {
  // Far more than the daemon holds back for a stream.
  std::string out = Exec("one", "for i in range(400_000): print(i)");
  size_t at = 0;
  for (int i = 0; i < 400'000; ++i) {
    std::string line = absl::StrCat(i, "\n");
    ASSERT_EQ(out.compare(at, line.size(), line), 0) << "at line " << i;
    at += line.size();
  }
  EXPECT_EQ(at, out.size());
}

TEST_F(InterpretersTest, CallKeepsABoundedAmountOfOutput) {
  Exec("one",
       "import sys\ndef f():\n  sys.stdout.write('x' * (1 << 20) + 'yyy')\n  sys.stderr.write('err')\n  return 7");
  v1::CallResponse response;
  ASSERT_TRUE(Call(CallOf("one", "f"), &response).ok());
  EXPECT_EQ(response.result().int_(), 7);
  EXPECT_EQ(response.stdout().size(), size_t{1} << 20);
  EXPECT_EQ(response.stderr(), "err");
  EXPECT_EQ(response.truncated_bytes(), 3);
}

TEST_F(InterpretersTest, AnExceptionIsAResult) {
  Exec("one", "def f(): raise ValueError('the point')");
  v1::CallResponse response;
  ASSERT_TRUE(Call(CallOf("one", "f"), &response).ok());
  EXPECT_EQ(response.exception().type(), "ValueError");
  EXPECT_EQ(response.exception().message(), "the point");
  EXPECT_THAT(response.exception().formatted(), HasSubstr("ValueError: the point"));
}

TEST_F(InterpretersTest, ADeadlineInterruptsTheCode) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  v1::ExecRequest request;
  request.set_name("interpreters/one");
  request.set_source(kEndless);
  auto reader = interpreters_->Exec(&context, request);
  v1::ExecResponse message;
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(Exec("one", "print('free again')"), "free again\n");
}

TEST_F(InterpretersTest, AClientThatGoesInMidOutputFreesTheInterpreter) {
  {
    grpc::ClientContext context;
    v1::ExecRequest request;
    request.set_name("interpreters/one");
    request.set_source("while True: print('x' * 1000)");
    auto reader = interpreters_->Exec(&context, request);
    v1::ExecResponse message;
    ASSERT_TRUE(reader->Read(&message));
    context.TryCancel();
    EXPECT_FALSE(reader->Finish().ok());
  }
  EXPECT_EQ(Exec("one", "print('free again')"), "free again\n");
}

TEST_F(InterpretersTest, WorkThatWaitsIsDroppedWhenItsClientGivesUp) {
  std::unique_ptr<Endless> endless = StartEndless();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  v1::CallResponse response;
  EXPECT_EQ(interpreters_->Call(&context, CallOf("one", "sys:exit"), &response).error_code(), grpc::DEADLINE_EXCEEDED);
  Interrupt();
  v1::ExecResponse message;
  while (endless->reader->Read(&message)) {
  }
  EXPECT_EQ(message.result().exception().type(), "KeyboardInterrupt");
  EXPECT_TRUE(endless->reader->Finish().ok());
}

TEST_F(InterpretersTest, LogsFollowUntilTheEnd) {
  ASSERT_TRUE(Create("chatty").ok());
  Exec("chatty",
       "import threading\ngo = threading.Event()\n"
       "threading.Thread(target=lambda: (go.wait(), print('from behind', flush=True))).start()");
  grpc::ClientContext context;
  Patience(context);
  v1::LogsRequest request;
  request.set_name("interpreters/chatty");
  request.set_follow(true);
  auto reader = interpreters_->Logs(&context, request);
  v1::CallResponse response;
  Exec("chatty", "import threading\nthreading.Timer(0.1, go.set).start()");
  v1::LogsResponse message;
  std::string log;
  while (log.find("from behind\n") == std::string::npos && reader->Read(&message)) log += message.output().data();
  EXPECT_THAT(log, HasSubstr("from behind\n"));
  EXPECT_EQ(Close("chatty"), v1::Interpreter::CLOSED);
  while (reader->Read(&message)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(InterpretersTest, GetInfoCounts) {
  grpc::ClientContext context;
  v1::Info info;
  ASSERT_TRUE(admin_->GetInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.pid(), getpid());
  EXPECT_EQ(info.interpreter_count(), 1);
  EXPECT_GT(info.rss_bytes(), 1 << 20);
  EXPECT_GT(info.open_fds(), 3);
  EXPECT_GE(info.threads(), 4);
  EXPECT_THAT(info.python_version(), HasSubstr("3.14"));
  EXPECT_EQ(info.limits().max_value_depth(), 64);
  EXPECT_THAT(info.listen_addresses(), ElementsAre("unix:" + directory_ + "/s"));
}

TEST_F(InterpretersTest, ReflectionDescribesTheServices) {
  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
  auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(channel_);
  grpc::ClientContext context;
  Patience(context);
  auto stream = stub->ServerReflectionInfo(&context);
  Request request;
  Response response;
  request.set_list_services("*");
  ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
  std::set<std::string> names;
  for (const auto& service : response.list_services_response().service()) names.insert(service.name());
  EXPECT_TRUE(names.contains("interpd.v1.Interpreters"));
  EXPECT_TRUE(names.contains("grpc.health.v1.Health"));
  for (const std::string& name : names) {
    request.set_file_containing_symbol(name);
    ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
    EXPECT_GE(response.file_descriptor_response().file_descriptor_proto_size(), 1) << name;
  }
  request.set_file_by_filename("no.proto");
  ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
  EXPECT_EQ(response.error_response().error_code(), grpc::NOT_FOUND);
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

class SmallMessagesTest : public ServerTest {};

TEST_F(SmallMessagesTest, WhatIsTooLargeSaysSoAndHarmsNothing) {
  ServerOptions options;
  options.max_message_bytes = 100'000;
  Start(options);
  ASSERT_TRUE(Create("one").ok());
  Exec("one", "def give(n): return b'x' * n\ndef take(b): return len(b)");
  auto give = [this](int64_t size) {
    v1::CallRequest request = CallOf("one", "give");
    request.add_args()->set_int_(size);
    v1::CallResponse response;
    return Call(request, &response);
  };
  auto take = [this](size_t size) {
    v1::CallRequest request = CallOf("one", "take");
    request.add_args()->set_bytes(std::string(size, 'x'));
    v1::CallResponse response;
    return Call(request, &response);
  };
  for (const grpc::Status& status : {give(100'001), take(100'001)}) {
    EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
    EXPECT_EQ(InfoOf(status).reason(), "MESSAGE_TOO_LARGE") << status.error_message();
    EXPECT_EQ(InfoOf(status).metadata().at("limit"), "100000");
  }
  EXPECT_EQ(take(10'000'000).error_code(), grpc::RESOURCE_EXHAUSTED);  // gRPC's own
  EXPECT_TRUE(give(99'000).ok());
  EXPECT_TRUE(take(99'000).ok());
  Close("one");
}

}  // namespace
}  // namespace interpd::daemon
