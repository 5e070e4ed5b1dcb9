// Streams of values: credit, acknowledgements, back-pressure, and clients that go.
#include <gmock/gmock.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/daemon/channel_client.h"

namespace interpd::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- Receive -------------------------------------------------------------------------------------------------------

TEST_F(ChannelsTest, AReceiverGetsWhatItHasAskedForAndNoMore) {
  ASSERT_TRUE(Create("c").ok());
  int64_t sent = 0;
  ASSERT_TRUE(SendMany("channels/c", {Ints(1, 100)}, &sent).ok());
  auto receiver = Receive("channels/c");
  receiver->Attached();
  EXPECT_EQ(Get("channels/c").length(), 100);
  EXPECT_EQ(receiver->Ask(3).Take(3), Range(1, 3));
  EXPECT_EQ(Get("channels/c").length(), 97);
  EXPECT_EQ(receiver->Ask(10).Take(10), Range(4, 13));
  // Credit that is left is for what comes later.
  receiver->Ask(100);
  EXPECT_EQ(receiver->Take(87), Range(14, 100));
  WaitFor([](const v1::Channel& channel) { return channel.waiting_receivers() == 1; });
  ASSERT_TRUE(Send("channels/c", 101).ok());
  EXPECT_THAT(receiver->Take(1), ElementsAre(101));
  receiver->DoneWriting();
  for (int64_t i = 102; i <= 113; ++i) ASSERT_TRUE(Send("channels/c", i).ok());
  std::vector<int64_t> rest;
  EXPECT_TRUE(receiver->End(&rest).ok());
  EXPECT_EQ(rest, Range(102, 113));
}

TEST_F(ChannelsTest, AReceiverCanGiveUpWithoutLosingAnything) {
  ASSERT_TRUE(Create("c").ok());
  auto receiver = Receive("channels/c");
  receiver->Ask(1000);
  WaitFor([](const v1::Channel& channel) { return channel.waiting_receivers() == 1; });
  ASSERT_TRUE(Send("channels/c", 1).ok());
  receiver->Stop();
  std::vector<int64_t> came;
  EXPECT_TRUE(receiver->End(&came).ok());
  ASSERT_TRUE(Send("channels/c", 2).ok());
  std::vector<int64_t> left = Drain("channels/c");
  came.insert(came.end(), left.begin(), left.end());
  EXPECT_THAT(came, ElementsAre(1, 2));
}

TEST_F(ChannelsTest, AReceiverIsToldOfTheEnd) {
  ASSERT_TRUE(Create("c").ok());
  auto receiver = Receive("channels/c");
  receiver->Ask(1000);
  ASSERT_TRUE(Send("channels/c", 1).ok());
  Close("channels/c");
  std::vector<int64_t> came;
  EXPECT_TRUE(receiver->End(&came).ok());
  EXPECT_THAT(came, ElementsAre(1));
  EXPECT_EQ(Missing("channels/c"), "CHANNEL_NOT_FOUND");
}

TEST_F(ChannelsTest, MalformedStreamsFail) {
  ASSERT_TRUE(Create("c").ok());
  auto field = [](grpc::Status status) { return InfoOf(status).metadata().at("field"); };
  EXPECT_EQ(InfoOf(Receive("channels/nobody")->End()).reason(), "CHANNEL_NOT_FOUND");
  EXPECT_EQ(field(Receive("c")->End()), "options.name");
  EXPECT_EQ(field(Receive("channels/c")->Ask(-1).End()), "credit");
  EXPECT_EQ(field(Receive("channels/c")->Ask(1 << 20).Ask(1).End()), "credit");
  EXPECT_EQ(field(Receive("channels/c")->Acknowledge(1).End()), "acknowledged_number");
  EXPECT_EQ(field(Receive("channels/c", true)->Acknowledge(1).End()), "acknowledged_number");
  auto twice = Receive("channels/c");
  twice->next().mutable_options()->set_name("channels/c");
  EXPECT_EQ(field(twice->Say().End()), "options");
  Receiver none(&v1::Channels::Stub::Receive, *channels_);
  EXPECT_EQ(field(none.Ask(1).End()), "options");
  Receiver silent(&v1::Channels::Stub::Receive, *channels_);
  silent.DoneWriting();
  EXPECT_EQ(field(silent.End()), "options");
  EXPECT_EQ(field(Attach("", "")->Say().End()), "options");
  EXPECT_EQ(field(Attach("c", "")->Say().End()), "options.send_to");
  EXPECT_EQ(field(Attach("channels/c", "")->Ask(1).End()), "options.receive_from");
  auto deaf = Attach("", "channels/c");
  *deaf->next().mutable_values() = Ints(1, 1);
  EXPECT_EQ(field(deaf->Say().End()), "options.send_to");
  auto late = Attach("channels/c", "");
  late->Stop();
  *late->next().mutable_values() = Ints(1, 1);
  late->Say();
  grpc::Status status = late->End();
  EXPECT_TRUE(status.ok() || field(status) == "values");  // the stream may have ended before
}

// ---- acknowledgements ----------------------------------------------------------------------------------------------

TEST_F(ChannelsTest, WhatIsNotAcknowledgedGoesBackInOrder) {
  ASSERT_TRUE(Create("c").ok());
  int64_t sent = 0;
  ASSERT_TRUE(SendMany("channels/c", {Ints(1, 10)}, &sent).ok());
  auto receiver = Receive("channels/c", /*acknowledge=*/true);
  EXPECT_EQ(receiver->Ask(6).Take(6), Range(1, 6));
  receiver->Acknowledge(2);
  WaitFor([](const v1::Channel& channel) { return channel.unacknowledged_count() == 4; });
  EXPECT_EQ(Get("channels/c").length(), 4);
  EXPECT_EQ(Info().channel_value_count(), 8);
  EXPECT_EQ(receiver->Cancel().error_code(), grpc::CANCELLED);
  WaitForLength(8);
  v1::Channel now = Get("channels/c");
  EXPECT_EQ(now.unacknowledged_count(), 0);
  EXPECT_EQ(now.returned_count(), 4);
  EXPECT_EQ(Drain("channels/c"), Range(3, 10));
}

TEST_F(ChannelsTest, ClientsThatGoWhileMuchIsOnItsWayLoseNothing) {
  ASSERT_TRUE(Create("c", 4096).ok());
  int64_t sent = 0;
  ASSERT_TRUE(SendMany("channels/c", {Ints(1, 4000)}, &sent).ok());
  for (int round = 0; round < 20; ++round) {
    auto receiver = Receive("channels/c", /*acknowledge=*/true);
    receiver->Ask(1000 + 100 * round);
    std::vector<int64_t> some;
    // At most the first answer and one with values, which may have to come back from the receiver before.
    for (int i = (round / 3) % 3; i > 0; --i) ASSERT_TRUE(receiver->ReadOne(&some));
    if (round % 3 == 0) {
      receiver->Cancel();
    } else if (round % 3 == 1) {
      receiver->DoneWriting();
      EXPECT_TRUE(receiver->End().ok());
    }
    receiver.reset();  // and if it has done neither, the stream is cancelled
  }
  WaitForLength(4000);
  EXPECT_EQ(Drain("channels/c"), Range(1, 4000));
}

TEST_F(ChannelsTest, AfterAStopTheLastAcknowledgementsStillCount) {
  ASSERT_TRUE(Create("c").ok());
  int64_t sent = 0;
  ASSERT_TRUE(SendMany("channels/c", {Ints(1, 10)}, &sent).ok());
  auto receiver = Receive("channels/c", /*acknowledge=*/true);
  EXPECT_EQ(receiver->Ask(5).Take(5), Range(1, 5));
  receiver->Stop();
  std::vector<int64_t> none;
  while (!receiver->ended()) ASSERT_TRUE(receiver->ReadOne(&none));
  EXPECT_THAT(none, IsEmpty());
  receiver->Acknowledge(3).Acknowledge(5);
  EXPECT_TRUE(receiver->End().ok());
  EXPECT_EQ(Drain("channels/c"), Range(6, 10));
}

TEST_F(ChannelsTest, AClosedChannelIsNotEmptyWhileValuesMayComeBack) {
  ASSERT_TRUE(Create("c").ok());
  int64_t sent = 0;
  ASSERT_TRUE(SendMany("channels/c", {Ints(1, 5)}, &sent).ok());
  auto first = Receive("channels/c", /*acknowledge=*/true);
  EXPECT_EQ(first->Ask(10).Take(5), Range(1, 5));
  EXPECT_EQ(Close("channels/c").state(), v1::Channel::CLOSING);
  // The channel is empty by itself; but its name stands, and who receives waits for what may come.
  EXPECT_EQ(List().channels_size(), 1);
  auto heir = Receive("channels/c");
  heir->Ask(10);
  heir->Attached();
  first->Acknowledge(2);
  WaitFor([](const v1::Channel& channel) { return channel.unacknowledged_count() == 3; });
  first->Cancel();
  std::vector<int64_t> came;
  EXPECT_TRUE(heir->End(&came).ok());
  EXPECT_EQ(came, Range(3, 5));
  EXPECT_EQ(Missing("channels/c"), "CHANNEL_NOT_FOUND");
}

TEST_F(ChannelsTest, WhatGoesBackToAClosedChannelWaitsThere) {
  ASSERT_TRUE(Create("c").ok());
  ASSERT_TRUE(Send("channels/c", 1).ok());
  auto first = Receive("channels/c", /*acknowledge=*/true);
  EXPECT_THAT(first->Ask(1).Take(1), ElementsAre(1));
  Close("channels/c");
  EXPECT_EQ(List().channels_size(), 1);  // and the registry has looked, and let the name go
  first->Cancel();
  WaitForLength(1);
  EXPECT_THAT(Drain("channels/c"), ElementsAre(1));
  EXPECT_EQ(Missing("channels/c"), "CHANNEL_NOT_FOUND");
}

// ---- Attach --------------------------------------------------------------------------------------------------------

TEST_F(ChannelsTest, AttachSendsAndReceives) {
  ASSERT_TRUE(Create("c", 16).ok());
  ASSERT_TRUE(Create("d", 16).ok());
  auto client = Attach("channels/c", "channels/d");
  auto worker = Attach("channels/d", "channels/c");
  client->Ask(1000);
  worker->Ask(1000);
  std::vector<int64_t> doubled;
  for (int64_t first = 1; first <= 1000; first += 100) {
    *client->next().mutable_values() = Ints(first, first + 99);
    client->Say();
    for (int64_t number : worker->Take(100)) {
      *worker->next().mutable_values() = Ints(2 * number, 2 * number);
      worker->Say();
    }
    for (int64_t number : client->Take(100)) doubled.push_back(number);
  }
  client->DoneWriting();
  EXPECT_EQ(Get("channels/c").sent_count(), 1000);
  worker->DoneWriting();
  EXPECT_TRUE(client->End().ok());
  EXPECT_TRUE(worker->End().ok());
  EXPECT_EQ(client->sent(), 1000);
  ASSERT_EQ(doubled.size(), 1000u);
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(doubled[i], 2 * (i + 1));
}

TEST_F(ChannelsTest, AStopDropsWhatIsNotInTheChannelYet) {
  ASSERT_TRUE(Create("c", 4).ok());
  auto sender = Attach("channels/c", "");
  for (int64_t first : {1, 11, 21}) {
    *sender->next().mutable_values() = Ints(first, first + 9);
    sender->Say();
  }
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  EXPECT_TRUE(sender->Stop().End().ok());
  EXPECT_EQ(sender->sent(), 4);
  EXPECT_EQ(Drain("channels/c"), Range(1, 4));
}

TEST_F(ChannelsTest, AttachHoldsUpAClientWhoseValuesWait) {
  ASSERT_TRUE(Create("c", 4).ok());
  auto sender = Attach("channels/c", "");
  // So many that the connection cannot hold them all.
  constexpr int64_t kMessages = 200, kEach = 50'000;
  std::thread writer([&] {
    for (int64_t i = 0; i < kMessages; ++i) {
      *sender->next().mutable_values() = Ints(i * kEach, (i + 1) * kEach - 1);
      sender->Say();
    }
    sender->DoneWriting();
  });
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  const int64_t before = Info().rss_bytes();
  auto receiver = Receive("channels/c");
  receiver->Ask(10).Take(10);
  EXPECT_LT(Info().rss_bytes(), before + 64'000'000);
  receiver->Stop();
  EXPECT_TRUE(receiver->End().ok());
  WaitFor([](const v1::Channel& channel) { return channel.length() == 4 && channel.waiting_senders() == 1; });
  Close("channels/c");
  EXPECT_EQ(InfoOf(sender->End()).reason(), "CHANNEL_CLOSED");
  EXPECT_EQ(sender->sent(), 14);
  writer.join();
  EXPECT_EQ(Drain("channels/c"), Range(10, 13));
}

TEST_F(ChannelsTest, CreditIsHeardWhileValuesWait) {
  // One that sends more into a channel than it holds, and receives from it too, does not stand in its own way.
  ASSERT_TRUE(Create("c", 4).ok());
  auto loop = Attach("channels/c", "channels/c");
  for (int64_t first : {1, 11, 21}) {
    *loop->next().mutable_values() = Ints(first, first + 9);
    loop->Say();
  }
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  EXPECT_EQ(loop->Ask(30).Take(30), Range(1, 30));
  loop->DoneWriting();
  EXPECT_TRUE(loop->End().ok());
}

TEST_F(ChannelsTest, AttachEndsWhenItsChannelIsClosedUnderIt) {
  ASSERT_TRUE(Create("c", 4).ok());
  auto sender = Attach("channels/c", "");
  *sender->next().mutable_values() = Ints(1, 10);
  sender->Say();
  WaitFor([](const v1::Channel& channel) { return channel.waiting_senders() == 1; });
  Close("channels/c");
  grpc::Status status = sender->End();
  EXPECT_EQ(InfoOf(status).reason(), "CHANNEL_CLOSED");
  EXPECT_EQ(InfoOf(status).metadata().at("sent"), "4");
  EXPECT_EQ(Drain("channels/c"), Range(1, 4));
}

TEST_F(ChannelsTest, ManyStreamsShareAChannelAndNothingIsLostOrDoubled) {
  constexpr int kStreams = 4;
  constexpr int64_t kEach = 5000;
  ASSERT_TRUE(Create("c", 64).ok());
  std::vector<std::thread> threads;
  std::vector<std::vector<int64_t>> came(kStreams);
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      std::vector<v1::ValueBatch> batches;
      for (int64_t j = 0; j < kEach; j += 100) batches.push_back(Ints(i * kEach + j, i * kEach + j + 99));
      int64_t sent = 0;
      EXPECT_TRUE(SendMany("channels/c", batches, &sent).ok());
      EXPECT_EQ(sent, kEach);
    });
    threads.emplace_back([&, i] {
      auto receiver = Receive("channels/c");
      receiver->Ask(1 << 20);
      EXPECT_TRUE(receiver->End(&came[i]).ok());
    });
  }
  for (int i = 0; i < kStreams; ++i) threads[2 * i].join();
  Close("channels/c");
  for (int i = 0; i < kStreams; ++i) threads[2 * i + 1].join();
  std::vector<int> times(kStreams * kEach);
  for (const std::vector<int64_t>& one : came) {
    std::vector<int64_t> last(kStreams, -1);
    for (int64_t number : one) {
      ++times[number];
      // Of each sender, in order.
      EXPECT_GT(number, last[number / kEach]);
      last[number / kEach] = number;
    }
  }
  for (int count : times) ASSERT_EQ(count, 1);
}

}  // namespace
}  // namespace interpd::daemon
