// A server over this process's host, and a client of it.
//
// Who includes this: tests of the server.
#ifndef INTERPD_TESTS_DAEMON_TEST_SERVER_H_
#define INTERPD_TESTS_DAEMON_TEST_SERVER_H_

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/server.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "interpd/v1/admin.grpc.pb.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "interpd/v1/constants.grpc.pb.h"
#include "interpd/v1/interpreters.grpc.pb.h"
#include "tests/testing/host.h"

namespace interpd::daemon {

// Longer than anything here takes: a test that waits so long has failed.
inline void Patience(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
}

// The ErrorInfo of a status; its reason is empty when there is none.
inline google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() == 1)
    details.details(0).UnpackTo(&info);
  return info;
}

class ServerTest : public ::testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    char directory[] = "/tmp/interpd-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    std::string address = absl::StrCat("unix:", directory_, "/s");
    auto server = Server::Start(interpd::testing::Host(), interpd::testing::Channels(), {{.address = address}},
                                std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    interpreters_ = v1::Interpreters::NewStub(channel_);
    channels_ = v1::Channels::NewStub(channel_);
    constants_ = v1::Constants::NewStub(channel_);
    admin_ = v1::Admin::NewStub(channel_);
  }

  ~ServerTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  grpc::Status Create(const std::string& id, v1::InterpreterConfig config = {}) {
    grpc::ClientContext context;
    Patience(context);
    v1::CreateRequest request;
    request.set_interpreter_id(id);
    *request.mutable_config() = std::move(config);
    v1::Interpreter made;
    return interpreters_->Create(&context, request, &made);
  }

  v1::Interpreter::State Close(const std::string& id) {
    grpc::ClientContext context;
    Patience(context);
    v1::CloseRequest request;
    request.set_name("interpreters/" + id);
    v1::Interpreter closed;
    grpc::Status status = interpreters_->Close(&context, request, &closed);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return closed.state();
  }

  // Runs source to its end; what it wrote to stdout.
  std::string Exec(const std::string& id, const std::string& source) {
    grpc::ClientContext context;
    Patience(context);
    v1::ExecRequest request;
    request.set_name("interpreters/" + id);
    request.set_source(source);
    auto reader = interpreters_->Exec(&context, request);
    std::string out;
    v1::ExecResponse message;
    bool result = false;
    while (reader->Read(&message)) {
      EXPECT_FALSE(result) << "something came after the result";
      if (message.has_output() && message.output().stream() == v1::Output::STDOUT) out += message.output().data();
      result = message.has_result();
    }
    EXPECT_TRUE(result);
    EXPECT_EQ(message.result().exit_code(), 0) << message.result().exception().formatted();
    EXPECT_TRUE(reader->Finish().ok());
    return out;
  }

  static v1::CallRequest CallOf(const std::string& id, const std::string& target) {
    v1::CallRequest request;
    if (!id.empty()) request.set_name("interpreters/" + id);
    request.set_target(target);
    return request;
  }

  grpc::Status Call(const v1::CallRequest& request, v1::CallResponse* response) {
    grpc::ClientContext context;
    Patience(context);
    return interpreters_->Call(&context, request, response);
  }

  std::string directory_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Interpreters::Stub> interpreters_;
  std::unique_ptr<v1::Channels::Stub> channels_;
  std::unique_ptr<v1::Constants::Stub> constants_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

// Runs until it is interrupted.
inline constexpr char kEndless[] = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.001)";

// With an interpreter "one".
class InterpretersTest : public ServerTest {
 protected:
  InterpretersTest() {
    Start();
    EXPECT_TRUE(Create("one").ok());
  }
  ~InterpretersTest() override { Close("one"); }

  // An exec that runs until it is interrupted, and has begun.
  struct Endless {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::ExecResponse>> reader;
  };
  std::unique_ptr<Endless> StartEndless() {
    auto endless = std::make_unique<Endless>();
    Patience(endless->context);
    v1::ExecRequest request;
    request.set_name("interpreters/one");
    request.set_source(kEndless);
    endless->reader = interpreters_->Exec(&endless->context, request);
    v1::ExecResponse message;
    EXPECT_TRUE(endless->reader->Read(&message));
    EXPECT_EQ(message.output().data(), "begun\n");
    return endless;
  }

  void Interrupt() {
    grpc::ClientContext context;
    Patience(context);
    v1::InterruptRequest request;
    request.set_name("interpreters/one");
    v1::InterruptResponse response;
    EXPECT_TRUE(interpreters_->Interrupt(&context, request, &response).ok());
    EXPECT_TRUE(response.interrupted());
  }

  // Sends each request in turn, says that there are no more, and reads all answers.
  grpc::Status Stream(const std::vector<v1::CallStreamRequest>& requests,
                      std::vector<v1::CallStreamResponse::Item>* answers) {
    grpc::ClientContext context;
    Patience(context);
    auto stream = interpreters_->CallStream(&context);
    std::thread writer([&] {
      for (const auto& request : requests) {
        if (!stream->Write(request)) break;
      }
      stream->WritesDone();
    });
    v1::CallStreamResponse message;
    while (stream->Read(&message)) answers->insert(answers->end(), message.results().begin(), message.results().end());
    writer.join();
    return stream->Finish();
  }
};

}  // namespace interpd::daemon

#endif  // INTERPD_TESTS_DAEMON_TEST_SERVER_H_
