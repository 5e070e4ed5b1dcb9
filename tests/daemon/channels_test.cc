// Channels over gRPC: how they are made and closed, what sends answer, and kinds of channels.
#include <gmock/gmock.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/daemon/channel_client.h"

namespace interpd::daemon {
namespace {

using ::testing::ElementsAre;

// ---- Create Get List Close -----------------------------------------------------------------------------------------

TEST_F(ChannelsTest, AreCreatedFoundListedAndClosed) {
  v1::Channel made;
  ASSERT_TRUE(Create("c", 8, &made).ok());
  EXPECT_EQ(made.name(), "channels/c");
  EXPECT_EQ(made.state(), v1::Channel::OPEN);
  EXPECT_EQ(made.config().capacity(), 8);
  EXPECT_EQ(Get("channels/c").ShortDebugString(), made.ShortDebugString());
  EXPECT_EQ(InfoOf(Create("c")).reason(), "CHANNEL_EXISTS");
  EXPECT_EQ(Info().channel_count(), 1);
  EXPECT_EQ(Close("channels/c").state(), v1::Channel::CLOSED);
  EXPECT_EQ(Missing("channels/c"), "CHANNEL_NOT_FOUND");
  ASSERT_TRUE(Create("", 1, &made).ok());
  EXPECT_EQ(Get(made.name()).config().capacity(), 1);
}

TEST_F(ChannelsTest, ListsComeInPages) {
  for (const char* id : {"e", "b", "d", "a", "c"}) ASSERT_TRUE(Create(id).ok());
  std::vector<std::string> names;
  v1::ListChannelsRequest request;
  request.set_page_size(2);
  do {
    v1::ListChannelsResponse page = List(request);
    EXPECT_LE(page.channels_size(), 2);
    for (const v1::Channel& channel : page.channels()) names.push_back(channel.name());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("channels/a", "channels/b", "channels/c", "channels/d", "channels/e"));
  for (auto [size, token] : {std::pair(-1, ""), std::pair(0, "nonsense")}) {
    grpc::ClientContext context;
    request.set_page_size(size);
    request.set_page_token(token);
    v1::ListChannelsResponse page;
    EXPECT_EQ(InfoOf(channels_->List(&context, request, &page)).reason(), "INVALID_FIELD");
  }
}

TEST_F(ChannelsTest, CreateIsSafeToRepeat) {
  v1::CreateChannelRequest request;
  request.set_request_id("one");
  v1::Channel first, second, third;
  auto create = [&](v1::Channel* channel) {
    grpc::ClientContext context;
    return channels_->Create(&context, request, channel);
  };
  ASSERT_TRUE(create(&first).ok());
  ASSERT_TRUE(Send(first.name(), 1).ok());
  ASSERT_TRUE(create(&second).ok());
  EXPECT_EQ(second.name(), first.name());
  EXPECT_EQ(second.length(), 1);
  Close(first.name(), /*discard=*/true);
  ASSERT_TRUE(create(&third).ok());
  EXPECT_EQ(third.state(), v1::Channel::CLOSED);
  request.mutable_config()->set_capacity(5);
  EXPECT_EQ(InfoOf(create(&third)).metadata().at("field"), "request_id");
}

TEST_F(ChannelsTest, MalformedRequestsSayWhatIsWrong) {
  EXPECT_EQ(InfoOf(Create("a b")).metadata().at("field"), "channel_id");
  EXPECT_EQ(InfoOf(Create("~1")).metadata().at("field"), "channel_id");
  EXPECT_EQ(InfoOf(Create("c", -1)).metadata().at("field"), "config.capacity");
  EXPECT_EQ(InfoOf(Create("c", (1 << 20) + 1)).metadata().at("field"), "config.capacity");
  EXPECT_EQ(InfoOf(Send("c", 1)).metadata().at("field"), "name");
  EXPECT_EQ(InfoOf(Send("channels/c", 1)).reason(), "CHANNEL_NOT_FOUND");
  EXPECT_EQ(Missing("interpreters/c"), "INVALID_FIELD");
  ASSERT_TRUE(Create("c").ok());
  grpc::ClientContext context;
  v1::SendRequest request;
  request.set_name("channels/c");
  v1::SendResponse response;
  EXPECT_EQ(InfoOf(channels_->Send(&context, request, &response)).metadata().at("path"), "value");
}

// ---- Send, SendMany ------------------------------------------------------------------------------------------------

TEST_F(ChannelsTest, ASendWaitsForRoomAsLongAsItIsTold) {
  ASSERT_TRUE(Create("c", 1).ok());
  ASSERT_TRUE(Send("channels/c", 1).ok());
  for (int milliseconds : {0, 30}) {
    grpc::Status full = Send("channels/c", 2, milliseconds);
    EXPECT_EQ(full.error_code(), grpc::RESOURCE_EXHAUSTED);
    EXPECT_EQ(InfoOf(full).reason(), "CHANNEL_FULL");
    EXPECT_EQ(InfoOf(full).metadata().at("capacity"), "1");
  }
  std::thread sender([this] { EXPECT_TRUE(Send("channels/c", 3).ok()); });
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  auto receiver = Receive("channels/c");
  EXPECT_THAT(receiver->Ask(2).Take(2), ElementsAre(1, 3));
  sender.join();
  EXPECT_TRUE(receiver->Stop().End().ok());
  EXPECT_EQ(Get("channels/c").waiting_senders(), 0);
}

TEST_F(ChannelsTest, AWaitingSendEndsWithTheChannelAndWithItsClient) {
  ASSERT_TRUE(Create("c", 1).ok());
  ASSERT_TRUE(Send("channels/c", 1).ok());
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
    v1::SendRequest request;
    request.set_name("channels/c");
    request.mutable_value()->set_int_(2);
    v1::SendResponse response;
    EXPECT_EQ(channels_->Send(&context, request, &response).error_code(), grpc::DEADLINE_EXCEEDED);
  }
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 0; });
  std::thread sender([this] {
    grpc::Status status = Send("channels/c", 3);
    EXPECT_EQ(InfoOf(status).reason(), "CHANNEL_CLOSED");
    EXPECT_EQ(InfoOf(status).metadata().at("sent"), "0");
  });
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  EXPECT_EQ(Close("channels/c").state(), v1::Channel::CLOSING);
  sender.join();
  EXPECT_THAT(Drain("channels/c"), ElementsAre(1));
  EXPECT_EQ(Missing("channels/c"), "CHANNEL_NOT_FOUND");
}

TEST_F(ChannelsTest, SendManySendsAllAndHoldsTheClientUp) {
  ASSERT_TRUE(Create("c", 4).ok());
  int64_t sent = 0;
  std::thread sender([&] { EXPECT_TRUE(SendMany("channels/c", {Ints(1, 10), {}, Ints(11, 100)}, &sent).ok()); });
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  EXPECT_EQ(Get("channels/c").length(), 4);
  auto receiver = Receive("channels/c");
  EXPECT_EQ(receiver->Ask(100).Take(100), Range(1, 100));
  sender.join();
  EXPECT_EQ(sent, 100);
  EXPECT_TRUE(receiver->Stop().End().ok());
}

TEST_F(ChannelsTest, SendManySaysHowFarItCame) {
  ASSERT_TRUE(Create("c", 4).ok());
  int64_t sent = 0;
  grpc::Status status;
  std::thread sender([&] { status = SendMany("channels/c", {Ints(1, 3), Ints(4, 9)}, &sent); });
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  Close("channels/c");
  sender.join();
  EXPECT_EQ(InfoOf(status).reason(), "CHANNEL_CLOSED");
  EXPECT_EQ(InfoOf(status).metadata().at("sent"), "4");
  EXPECT_EQ(Drain("channels/c"), Range(1, 4));
  ASSERT_TRUE(Create("c").ok());
  v1::ValueBatch bad = Ints(3, 4);
  bad.add_runs()->mutable_values()->add_items();
  status = SendMany("channels/c", {Ints(1, 2), bad}, &sent);
  EXPECT_EQ(InfoOf(status).metadata().at("path"), "values[2]");
  EXPECT_EQ(Drain("channels/c"), Range(1, 2));
  EXPECT_EQ(InfoOf(SendMany("channels/nobody", {Ints(1, 1)}, &sent)).reason(), "CHANNEL_NOT_FOUND");
  EXPECT_EQ(InfoOf(SendMany("channels/c", {}, &sent)).metadata().at("field"), "name");
}

// ---- other kinds ---------------------------------------------------------------------------------------------------

TEST_F(ChannelsTest, ARendezvousPassesFromHandToHand) {
  ASSERT_TRUE(Create("c", 0).ok());
  EXPECT_EQ(InfoOf(Send("channels/c", 0, 0)).reason(), "CHANNEL_FULL");
  int64_t sent = 0;
  std::thread sender([&] { EXPECT_TRUE(SendMany("channels/c", {Ints(1, 100)}, &sent).ok()); });
  auto receiver = Receive("channels/c");
  EXPECT_EQ(receiver->Ask(1000).Take(100), Range(1, 100));
  sender.join();
  EXPECT_EQ(sent, 100);
  EXPECT_TRUE(receiver->Stop().End().ok());
  EXPECT_EQ(InfoOf(Send("channels/c", 0, 0)).reason(), "CHANNEL_FULL");
}

TEST_F(ChannelsTest, ABroadcastReachesEverySubscriber) {
  ASSERT_TRUE(CreateBroadcast("c").ok());
  EXPECT_EQ(Get("channels/c").config().kind(), v1::ChannelConfig::BROADCAST);
  ASSERT_TRUE(Send("channels/c", 0).ok());  // nobody hears it
  auto one = Receive("channels/c");
  auto two = Receive("channels/c");
  one->Attached();
  two->Attached();
  EXPECT_EQ(Get("channels/c").subscriber_count(), 2);
  int64_t sent = 0;
  ASSERT_TRUE(SendMany("channels/c", {Ints(1, 100)}, &sent).ok());
  EXPECT_EQ(one->Ask(100).Take(100), Range(1, 100));
  EXPECT_EQ(two->Ask(50).Take(50), Range(1, 50));
  two->Cancel();
  WaitFor([](const v1::Channel& channel) { return channel.subscriber_count() == 1; });
  Close("channels/c");
  EXPECT_TRUE(one->Ask(1).End().ok());
  EXPECT_EQ(InfoOf(Receive("channels/c", true)->End()).reason(), "CHANNEL_NOT_FOUND");
}

TEST_F(ChannelsTest, ASubscriberSaysHowItWantsToBeServed) {
  ASSERT_TRUE(CreateBroadcast("c").ok());
  auto subscribe = [this](v1::Subscription::Slow slow, int64_t capacity) {
    auto receiver = std::make_unique<Receiver>(&v1::Channels::Stub::Receive, *channels_);
    receiver->next().mutable_options()->set_name("channels/c");
    receiver->next().mutable_options()->mutable_subscription()->set_slow(slow);
    receiver->next().mutable_options()->mutable_subscription()->set_capacity(capacity);
    receiver->Say();
    return receiver;
  };
  auto forgetful = subscribe(v1::Subscription::DROP_OLDEST, 4);
  auto strict = subscribe(v1::Subscription::DISCONNECT, 4);
  forgetful->Attached();
  strict->Attached();
  int64_t sent = 0;
  ASSERT_TRUE(SendMany("channels/c", {Ints(1, 10)}, &sent).ok());
  EXPECT_EQ(forgetful->Ask(10).Take(4), Range(7, 10));
  std::vector<int64_t> came;
  grpc::Status status = strict->Ask(10).End(&came);
  EXPECT_EQ(InfoOf(status).reason(), "SUBSCRIBER_TOO_SLOW");
  EXPECT_EQ(came, Range(1, 4));
  EXPECT_TRUE(forgetful->Stop().End().ok());
  auto field = [](grpc::Status refused) { return InfoOf(refused).metadata().at("field"); };
  EXPECT_EQ(field(subscribe(v1::Subscription::BLOCK, -1)->End()), "options.subscription.capacity");
  EXPECT_EQ(field(subscribe(static_cast<v1::Subscription::Slow>(9), 1)->End()), "options.subscription.slow");
  EXPECT_EQ(field(Receive("channels/c", true)->End()), "options.acknowledge");
  Close("channels/c");
  ASSERT_TRUE(Create("c").ok());
  EXPECT_EQ(field(subscribe(v1::Subscription::BLOCK, 1)->End()), "options.subscription");
}

// ---- values that do not fit ----------------------------------------------------------------------------------------

class SmallMessagesTest : public ChannelsTest {
 protected:
  SmallMessagesTest() : ChannelsTest({.max_message_bytes = 100'000}) {}
};

TEST_F(SmallMessagesTest, AValueThatIsTooLargeForAMessageStaysInTheChannel) {
  ASSERT_TRUE(Create("c").ok());
  channels::Ref<channels::Channel> channel = *interpd::testing::Channels().Get("c");
  for (size_t size : {60'000, 60'000, 200'000}) {
    channels::Value value = channels::Value::Bytes(std::string(size, 'x'));
    ASSERT_EQ(channel->TrySend(value), channels::Outcome::kDone);
  }
  // The two that fit one by one, but not together, come in messages of their own.
  grpc::ClientContext context;
  auto stream = channels_->Receive(&context);
  v1::ReceiveRequest request;
  request.mutable_options()->set_name("channels/c");
  request.set_credit(10);
  stream->Write(request);
  v1::ReceiveResponse answer;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(stream->Read(&answer));
    if (i > 0) {
      EXPECT_EQ(answer.values().runs(0).bytes().items(0).size(), 60'000u);
    }
  }
  EXPECT_FALSE(stream->Read(&answer));
  grpc::Status status = stream->Finish();
  EXPECT_EQ(InfoOf(status).reason(), "MESSAGE_TOO_LARGE");
  EXPECT_EQ(Get("channels/c").length(), 1);
}

}  // namespace
}  // namespace interpd::daemon
