// The channels of the client library against a real daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/client.h"
#include "client/value_batch.h"
#include "tests/bench/child_process.h"

namespace interpd::client {
namespace {

using testing::IsEmpty;

v1::Value Int(int64_t number) {
  v1::Value value;
  value.set_int_(number);
  return value;
}

std::vector<v1::Value> Ints(int64_t first, int64_t last) {
  std::vector<v1::Value> values;
  for (int64_t i = first; i <= last; ++i) values.push_back(Int(i));
  return values;
}

std::vector<int64_t> Numbers(const std::vector<v1::Value>& values) {
  std::vector<int64_t> numbers;
  for (const v1::Value& value : values) numbers.push_back(value.int_());
  return numbers;
}

class ChannelClientTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto daemon = bench::ServerProcess::Start({bench::RunfilePath("daemon/interpd")});
    CHECK_OK(daemon);
    daemon_ = daemon->release();
  }
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
  }
  void TearDown() override {
    absl::StatusOr<std::vector<v1::Channel>> channels = client_->ListChannels();
    ASSERT_TRUE(channels.ok());
    for (const v1::Channel& channel : *channels) {
      v1::CloseChannelRequest close;
      close.set_name(channel.name());
      close.set_discard(true);
      EXPECT_TRUE(client_->CloseChannel(close).ok());
    }
  }

  std::string Create(int64_t capacity = 1024) {
    v1::CreateChannelRequest request;
    request.mutable_config()->set_capacity(capacity);
    absl::StatusOr<v1::Channel> channel = client_->CreateChannel(request);
    CHECK_OK(channel);
    return channel->name();
  }
  std::unique_ptr<ChannelStream> Open(ChannelStreamOptions options) { return client_->OpenChannelStream(options); }

  // Exactly so many, in as many pieces as they come in.
  static std::vector<int64_t> Take(ChannelStream& stream, size_t count) {
    std::vector<int64_t> numbers;
    while (numbers.size() < count) {
      absl::StatusOr<std::vector<v1::Value>> values = stream.Receive(count - numbers.size());
      EXPECT_TRUE(values.ok()) << values.status();
      if (!values.ok() || values->empty()) break;
      for (int64_t number : Numbers(*values)) numbers.push_back(number);
    }
    return numbers;
  }
  static std::vector<int64_t> Range(int64_t first, int64_t last) { return Numbers(Ints(first, last)); }

  v1::Channel Get(const std::string& name) {
    absl::StatusOr<v1::Channel> channel = client_->GetChannel(name);
    EXPECT_TRUE(channel.ok()) << channel.status();
    return *std::move(channel);
  }

  inline static bench::ServerProcess* daemon_ = nullptr;
  std::unique_ptr<Client> client_;
};

TEST_F(ChannelClientTest, MethodsOfOneRequest) {
  v1::CreateChannelRequest create;
  create.set_channel_id("jobs");
  absl::StatusOr<v1::Channel> made = client_->CreateChannel(create);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->name(), "channels/jobs");
  EXPECT_EQ(ErrorReason(client_->CreateChannel(create).status()), "CHANNEL_EXISTS");
  v1::SendRequest send;
  send.set_name("jobs");
  *send.mutable_value() = Int(7);
  EXPECT_TRUE(client_->Send(send).ok());
  EXPECT_TRUE(client_->SendMany("jobs", Ints(8, 1000)).ok());
  EXPECT_EQ(Get("jobs").length(), 994);
  EXPECT_EQ(client_->ListChannels()->size(), 1u);
  EXPECT_EQ(ErrorReason(client_->GetChannel("nobody").status()), "CHANNEL_NOT_FOUND");
}

TEST_F(ChannelClientTest, MethodsThatCallBack) {
  absl::Notification done;
  v1::CreateChannelRequest create;
  create.set_channel_id("jobs");
  create.mutable_config()->set_capacity(1);
  v1::SendRequest send;
  send.set_name("jobs");
  *send.mutable_value() = Int(7);
  client_->CreateChannelAsync(create, [&](absl::StatusOr<v1::Channel> made) {
    EXPECT_TRUE(made.ok()) << made.status();
    client_->SendAsync(send, [&](absl::StatusOr<v1::SendResponse> first) {
      EXPECT_TRUE(first.ok()) << first.status();
      send.mutable_timeout();
      client_->SendAsync(send, [&](absl::StatusOr<v1::SendResponse> second) {
        EXPECT_EQ(ErrorReason(second.status()), "CHANNEL_FULL");
        client_->GetChannelAsync("jobs", [&](absl::StatusOr<v1::Channel> now) {
          EXPECT_EQ(now->length(), 1);
          v1::CloseChannelRequest close;
          close.set_name("jobs");
          client_->CloseChannelAsync(close, [&](absl::StatusOr<v1::Channel> closed) {
            EXPECT_EQ(closed->state(), v1::Channel::CLOSING);
            done.Notify();
          });
        });
      });
    });
  });
  done.WaitForNotification();
}

TEST_F(ChannelClientTest, AStreamSendsAndReceivesAtOnce) {
  const std::string name = Create(64);
  auto stream = Open({.send_to = name, .receive_from = name, .window = 100});
  ASSERT_TRUE(stream->WaitAttached().ok());
  std::thread sender([&] {
    for (int64_t i = 1; i <= 50'000; ++i) ASSERT_TRUE(stream->Send(Int(i)).ok());
    EXPECT_TRUE(stream->Flush().ok());
    EXPECT_EQ(stream->sent_count(), 50'000);
  });
  EXPECT_EQ(Take(*stream, 50'000), Range(1, 50'000));
  sender.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Get(name).length(), 0);
}

TEST_F(ChannelClientTest, ValuesOfEveryKindComeBackInOrder) {
  const std::string name = Create();
  std::vector<v1::Value> values = Ints(1, 3);
  values.emplace_back().set_str("text");
  values.emplace_back().set_float_(1.5);
  values.emplace_back().set_bytes("bytes");
  values.emplace_back().set_none(v1::NONE);
  values.emplace_back().set_channel(name);
  values.push_back(Int(4));
  ASSERT_TRUE(client_->SendMany(name, values).ok());
  auto stream = Open({.receive_from = name, .limit = static_cast<int64_t>(values.size())});
  std::vector<v1::Value> came;
  while (true) {
    absl::StatusOr<std::vector<v1::Value>> some = stream->Receive(2);
    ASSERT_TRUE(some.ok()) << some.status();
    if (some->empty()) break;  // the limit
    for (v1::Value& value : *some) came.push_back(std::move(value));
  }
  ASSERT_EQ(came.size(), values.size());
  for (size_t i = 0; i < came.size(); ++i) EXPECT_EQ(came[i].SerializeAsString(), values[i].SerializeAsString());
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ChannelClientTest, AWindowBoundsWhatIsTakenAhead) {
  const std::string name = Create();
  ASSERT_TRUE(client_->SendMany(name, Ints(1, 1000)).ok());
  auto stream = Open({.receive_from = name, .window = 10});
  EXPECT_EQ(Take(*stream, 100), Range(1, 100));
  EXPECT_GE(Get(name).length(), 1000 - 110);
  stream->Stop();
  std::vector<int64_t> rest;
  while (true) {
    absl::StatusOr<std::vector<v1::Value>> some = stream->Receive(1000);
    ASSERT_TRUE(some.ok()) << some.status();
    if (some->empty()) break;
    for (int64_t number : Numbers(*some)) rest.push_back(number);
  }
  EXPECT_TRUE(stream->Finish().ok());
  const int64_t last = 100 + static_cast<int64_t>(rest.size());
  EXPECT_EQ(rest, Range(101, last));
  EXPECT_EQ(Get(name).length(), 1000 - last);
}

TEST_F(ChannelClientTest, WhatIsNotAcknowledgedGoesBack) {
  const std::string name = Create();
  ASSERT_TRUE(client_->SendMany(name, Ints(1, 100)).ok());
  {
    auto stream = Open({.receive_from = name, .acknowledge = true, .window = 50});
    EXPECT_EQ(Take(*stream, 20), Range(1, 20));
    stream->Acknowledge();
    EXPECT_EQ(Take(*stream, 10), Range(21, 30));
    EXPECT_TRUE(stream->Finish().ok());
  }
  EXPECT_EQ(Get(name).length(), 80);
  EXPECT_EQ(Get(name).unacknowledged_count(), 0);
  auto stream = Open({.receive_from = name, .acknowledge = true});
  EXPECT_EQ(Take(*stream, 80), Range(21, 100));
  stream->Acknowledge();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Get(name).length(), 0);
}

TEST_F(ChannelClientTest, TimeoutsLoseNothing) {
  const std::string name = Create(4);
  auto receiver = Open({.receive_from = name});
  EXPECT_TRUE(absl::IsDeadlineExceeded(receiver->Receive(1, absl::Milliseconds(20)).status()));
  auto sender = Open({.send_to = name});
  ASSERT_TRUE(sender->Send(Int(1)).ok());
  EXPECT_EQ(Take(*receiver, 1), Range(1, 1));
  receiver->Stop();
  EXPECT_THAT(*receiver->Receive(10), IsEmpty());
  EXPECT_TRUE(receiver->Finish().ok());
  for (int64_t i = 2; i <= 20; ++i) ASSERT_TRUE(sender->Send(Int(i)).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(sender->Flush(absl::Milliseconds(50))));
  sender->Stop();
  EXPECT_TRUE(sender->Finish().ok());
  EXPECT_EQ(sender->sent_count(), 5);
  EXPECT_EQ(Get(name).length(), 4);
}

TEST_F(ChannelClientTest, ErrorsReachEveryMethod) {
  auto nobody = Open({.send_to = "nobody", .receive_from = "nobody"});
  for (const absl::Status& status :
       {nobody->WaitAttached(), nobody->Receive(1).status(), nobody->Send(Int(1)), nobody->Finish()}) {
    EXPECT_EQ(ErrorReason(status), "CHANNEL_NOT_FOUND") << status;
  }
  const std::string name = Create(4);
  auto sender = Open({.send_to = name});
  for (int64_t i = 1; i <= 10; ++i) ASSERT_TRUE(sender->Send(Int(i)).ok());
  while (Get(name).waiting_senders() == 0) std::this_thread::yield();
  v1::CloseChannelRequest close;
  close.set_name(name);
  ASSERT_TRUE(client_->CloseChannel(close).ok());
  EXPECT_EQ(ErrorReason(sender->Flush()), "CHANNEL_CLOSED");
  EXPECT_EQ(ErrorReason(sender->Finish()), "CHANNEL_CLOSED");
  EXPECT_EQ(sender->sent_count(), 4);
  absl::Status many = client_->SendMany(name, Ints(1, 3));
  EXPECT_EQ(ErrorReason(many), "CHANNEL_CLOSED");
  EXPECT_EQ(ErrorMetadata(many)["sent"], "0");
}

TEST_F(ChannelClientTest, AStreamThatIsDroppedIsCancelled) {
  const std::string name = Create();
  {
    auto stream = Open({.receive_from = name, .acknowledge = true});
    ASSERT_TRUE(client_->SendMany(name, Ints(1, 10)).ok());
    EXPECT_EQ(Take(*stream, 10), Range(1, 10));
  }
  while (Get(name).length() != 10) std::this_thread::yield();
  auto stream = Open({.receive_from = name});
  EXPECT_EQ(Take(*stream, 10), Range(1, 10));
}

TEST(ValueBatchTest, RunsFormByThemselves) {
  v1::ValueBatch batch;
  for (int i = 0; i < 3; ++i) AppendValue(Int(i), &batch);
  v1::Value text;
  text.set_str("a");
  AppendValue(text, &batch);
  AppendValue(Int(3), &batch);
  EXPECT_EQ(batch.runs_size(), 3);
  EXPECT_EQ(BatchSize(batch), 5u);
  std::vector<v1::Value> values;
  TakeValues(&batch, &values);
  ASSERT_EQ(values.size(), 5u);
  EXPECT_EQ(values[3].str(), "a");
  EXPECT_EQ(values[4].int_(), 3);
}

}  // namespace
}  // namespace interpd::client
