// What the audit log says of RPCs: how they begin and end, what they are about, and how often it is said.
#include <gmock/gmock.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "daemon/audit_log.h"
#include "daemon/refusal_cap.h"
#include "tests/daemon/test_server.h"

namespace interpd::daemon {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class AuditTest : public ServerTest {
 protected:
  // This process's user is a user, so that it may be refused something.
  void StartWith(PrincipalLimits limits = {}, const std::string& role = "user") {
    char directory[] = "/tmp/interpd-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    audit_directory_ = directory;
    absl::StatusOr<std::unique_ptr<AuditLog>> log = AuditLog::Open(absl::StrCat(directory, "/audit"));
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
    ServerOptions options;
    options.audit = log_.get();
    options.access = {.rules = {{.unix_user = absl::StrCat(geteuid()), .role = role, .limits = limits}}};
    Start(std::move(options));
  }
  ~AuditTest() override {
    interpd::testing::Channels().DiscardAll();
    server_.reset();  // before the log
    std::filesystem::remove_all(audit_directory_);
  }

  // Those of that method.
  std::vector<std::string> Lines(const std::string& method) {
    log_->Flush(absl::InfiniteDuration());
    std::vector<std::string> lines;
    std::ifstream file(audit_directory_ + "/audit");
    for (std::string line; std::getline(file, line);) {
      if (absl::StrContains(line, method)) lines.push_back(line);
    }
    return lines;
  }

  grpc::Status Drain() {
    grpc::ClientContext context;
    Patience(context);
    v1::DrainResponse response;
    return admin_->Drain(&context, v1::DrainRequest(), &response);
  }
  grpc::Status GetInfo() {
    grpc::ClientContext context;
    Patience(context);
    v1::Info response;
    return admin_->GetInfo(&context, v1::GetInfoRequest(), &response);
  }
  std::string MakeChannel(const std::string& id) {
    grpc::ClientContext context;
    Patience(context);
    v1::CreateChannelRequest request;
    request.set_channel_id(id);
    v1::Channel made;
    EXPECT_TRUE(channels_->Create(&context, request, &made).ok());
    return made.name();
  }

  std::string audit_directory_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditTest, WhatRunsCodeIsSaidToHaveBegun) {
  StartWith();
  ASSERT_TRUE(Create("one").ok());
  grpc::ClientContext context;
  Patience(context);
  v1::ExecRequest request;
  request.set_name("interpreters/one");
  request.set_source(kEndless);
  auto exec = interpreters_->Exec(&context, request);
  v1::ExecResponse message;
  ASSERT_TRUE(exec->Read(&message));
  EXPECT_THAT(Lines("/Exec"), ElementsAre(AllOf(HasSubstr("\"resource\":\"interpreters/one\""),
                                                HasSubstr("\"status\":\"BEGUN\""), Not(HasSubstr("seconds")))));
  context.TryCancel();
  while (exec->Read(&message)) {
  }
  Close("one");
  while (Lines("/Exec").size() < 2) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_THAT(Lines("/Exec"), ElementsAre(HasSubstr("BEGUN"), HasSubstr("\"status\":\"CANCELLED\"")));
  EXPECT_THAT(Lines("/Close"), ElementsAre(HasSubstr("\"status\":\"OK\""))) << "runs nothing";
}

TEST_F(AuditTest, ACallIsAboutAllThatItNames) {
  StartWith();
  for (const char* id : {"one", "two"}) ASSERT_TRUE(Create(id).ok());
  v1::CallStreamRequest request;
  request.mutable_options()->set_name("interpreters/one");
  for (const char* id : {"", "two", "one", "two"}) {
    *request.add_calls()->mutable_call() = CallOf(id, "os:getpid");
  }
  for (int i = 0; i < 9; ++i) *request.add_calls()->mutable_call() = CallOf(absl::StrCat("none", i), "os:getpid");
  {
    grpc::ClientContext context;
    Patience(context);
    auto stream = interpreters_->CallStream(&context);
    ASSERT_TRUE(stream->Write(request));
    stream->WritesDone();
    v1::CallStreamResponse response;
    while (stream->Read(&response)) {
    }
    ASSERT_TRUE(stream->Finish().ok());
  }
  EXPECT_THAT(
      Lines("/CallStream"),
      ElementsAre(HasSubstr("\"status\":\"BEGUN\""),
                  AllOf(HasSubstr("\"resource\":\"interpreters/one\""),
                        HasSubstr("\"resources\":[\"interpreters/one\",\"interpreters/two\",\"interpreters/none0\","),
                        HasSubstr("\"interpreters/none5\"],\"more_resources\":3"), HasSubstr("\"status\":\"OK\""))));
  for (const char* id : {"one", "two"}) Close(id);

  // Both ends of a stream.
  MakeChannel("to");
  MakeChannel("from");
  {
    grpc::ClientContext context;
    Patience(context);
    auto stream = channels_->Attach(&context);
    v1::AttachRequest attach;
    attach.mutable_options()->set_send_to("channels/to");
    attach.mutable_options()->set_receive_from("channels/from");
    attach.set_stop(true);
    ASSERT_TRUE(stream->Write(attach));
    stream->WritesDone();
    v1::AttachResponse response;
    while (stream->Read(&response)) {
    }
    ASSERT_TRUE(stream->Finish().ok());
  }
  EXPECT_THAT(Lines("/Attach"), ElementsAre(HasSubstr("\"resources\":[\"channels/to\",\"channels/from\"]")));

  // A fresh name.
  const std::string name = MakeChannel("");
  EXPECT_THAT(Lines("Channels/Create").back(), HasSubstr(absl::StrCat("\"resource\":\"", name, "\"")));
}

TEST_F(AuditTest, RefusalsDoNotFillTheDisk) {
  StartWith();
  constexpr int kMany = 100;
  int64_t sent = 0;
  for (; sent < kMany; ++sent) ASSERT_EQ(Drain().error_code(), grpc::PERMISSION_DENIED);
  // There is one again after a while, and it says how many have none.
  std::vector<std::string> lines = Lines("/Drain");
  for (; !absl::StrContains(lines.back(), "left_out"); lines = Lines("/Drain")) {
    ASSERT_EQ(Drain().error_code(), grpc::PERMISSION_DENIED);
    ++sent;
  }
  EXPECT_THAT(lines.front(), AllOf(HasSubstr("\"reason\":\"NOT_PERMITTED\""), Not(HasSubstr("left_out"))));
  EXPECT_LT(lines.size(), static_cast<size_t>(sent));
}

TEST(RefusalCapTest, CountsWhatItLeavesOutOfEachPrincipal) {
  RefusalCap cap;
  const absl::Time now = absl::FromUnixSeconds(1'900'000'000);
  const int kLines = static_cast<int>(RefusalCap::kLines);
  for (int i = 0; i < kLines; ++i) EXPECT_EQ(cap.Take("a", now), 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(cap.Take("a", now), std::nullopt);
  EXPECT_EQ(cap.Take("", now), 0) << "others have their own";
  EXPECT_EQ(cap.Take("a", now + absl::Seconds(1)), 5);
  EXPECT_EQ(cap.Take("a", now + absl::Seconds(1)), 0);
}

TEST_F(AuditTest, LimitsHoldForRefusedAndEmptyCallsAndHaveLines) {
  StartWith({.requests_per_second = 0.001});  // one, at first
  EXPECT_EQ(Drain().error_code(), grpc::PERMISSION_DENIED);
  EXPECT_EQ(InfoOf(Drain()).reason(), "RATE_LIMITED");
  EXPECT_EQ(InfoOf(GetInfo()).reason(), "RATE_LIMITED");
  // A stream without a message.
  grpc::ClientContext context;
  Patience(context);
  auto stream = interpreters_->CallStream(&context);
  stream->WritesDone();
  EXPECT_EQ(InfoOf(stream->Finish()).reason(), "RATE_LIMITED");
  EXPECT_THAT(Lines("/GetInfo"), ElementsAre(HasSubstr("\"reason\":\"RATE_LIMITED\"")));
}

TEST_F(AuditTest, AFullAccountHasALineForAReadToo) {
  StartWith({.max_in_flight = 1});
  grpc::ClientContext context;
  Patience(context);
  auto stream = interpreters_->CallStream(&context);
  v1::CallStreamRequest request;
  request.add_calls()->mutable_call()->set_name("interpreters/none");
  ASSERT_TRUE(stream->Write(request));
  v1::CallStreamResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(InfoOf(GetInfo()).reason(), "TOO_MANY_IN_FLIGHT");
  EXPECT_THAT(Lines("/GetInfo"), ElementsAre(HasSubstr("\"reason\":\"TOO_MANY_IN_FLIGHT\"")));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace interpd::daemon
