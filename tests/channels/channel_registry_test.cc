#include "channels/channel_registry.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "channels/error.h"
#include "tests/channels/flavours.h"

namespace interpd::channels {
namespace {

std::string ReasonOf(const absl::Status& status) { return GetErrorInfo(status).reason; }

TEST(ChannelRegistryTest, ANameFindsItsChannel) {
  ChannelRegistry registry;
  auto made = registry.Create({.capacity = 5, .name = "jobs"});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)->name(), "jobs");
  EXPECT_EQ((*made)->capacity(), 5);
  auto found = registry.Get("jobs");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(*found, *made);
  auto opened = registry.OpenOrCreate({.capacity = 9, .name = "jobs"});
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(*opened, *made);
  EXPECT_EQ((*opened)->capacity(), 5);
  auto other = registry.OpenOrCreate({.name = "other"});
  ASSERT_TRUE(other.ok());
  EXPECT_NE(*other, *made);
}

TEST(ChannelRegistryTest, RefusesWithAReason) {
  ChannelRegistry registry;
  absl::Status status = registry.Get("jobs").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), "CHANNEL_NOT_FOUND");
  EXPECT_EQ(GetErrorInfo(status).metadata.at("channel"), "jobs");
  ASSERT_TRUE(registry.Create({.name = "jobs"}).ok());
  EXPECT_NE(registry.Get("job").status().message().find("there are: jobs"), std::string::npos);
  status = registry.Create({.name = "jobs"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(status), "CHANNEL_EXISTS");
  for (const char* name : {"-", "a b", "~1", "\xc3\xa9", "a/-", "a/b c"}) {
    status = registry.Create({.name = name}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(ReasonOf(status), "INVALID_FIELD");
    EXPECT_FALSE(registry.OpenOrCreate({.name = name}).ok());
  }
  EXPECT_FALSE(registry.Create({.name = std::string(64, 'a')}).ok());
  EXPECT_TRUE(registry.Create({.name = std::string(63, 'a')}).ok());
  status = registry.Create({.capacity = Channel::kMaxCapacity + 1, .name = "big"}).status();
  EXPECT_EQ(ReasonOf(status), "INVALID_FIELD");
  EXPECT_EQ(GetErrorInfo(status).metadata.at("field"), "capacity");
}

TEST(ChannelRegistryTest, SpacesKeepNamesApart) {
  ChannelRegistry registry;
  auto own = registry.Create({.name = "jobs"});
  auto alices = registry.Create({.name = "u:alice/jobs"});
  auto bobs = registry.OpenOrCreate({.name = "u:bob/jobs"});
  ASSERT_TRUE(own.ok() && alices.ok() && bobs.ok());
  EXPECT_NE(*own, *alices);
  EXPECT_NE(*alices, *bobs);
  EXPECT_EQ(*registry.Get("u:alice/jobs"), *alices);
  // Nothing is said of other spaces, and nothing of one's own space either.
  EXPECT_EQ(registry.Get("u:alice/x").status().message(), "there is no channel 'x'; there are: jobs");
  EXPECT_EQ(registry.Get("u:carol/x").status().message(),
            "there is no channel 'x'; there is none at all, make one first");
  EXPECT_EQ(registry.Get("x").status().message(), "there is no channel 'x'; there are: jobs");
  absl::Status status = registry.Create({.name = "u:alice/jobs"}).status();
  EXPECT_EQ(GetErrorInfo(status).metadata.at("channel"), "jobs");
  EXPECT_EQ(status.message().find("alice"), std::string::npos);
  // Fresh names are counted apart.
  EXPECT_EQ((*registry.Create({.name = "u:alice/"}))->name(), "u:alice/ch1");
  EXPECT_EQ((*registry.Create({.name = "u:bob/"}))->name(), "u:bob/ch1");
  EXPECT_EQ((*registry.Create({.name = ""}))->name(), "ch1");
  EXPECT_EQ((*registry.List("u:alice/", 1)[0]).name(), "u:alice/ch1");
}

TEST(ChannelRegistryTest, FreshNames) {
  ChannelRegistry registry;
  ASSERT_TRUE(registry.Create({.name = "ch2"}).ok());
  auto one = registry.Create({});
  auto two = registry.OpenOrCreate({});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ((*one)->name(), "ch1");
  EXPECT_EQ((*two)->name(), "ch3");
}

TEST(ChannelRegistryTest, ANameLastsUntilItsChannelIsDrained) {
  ChannelRegistry registry;
  Ref<Channel> channel = *registry.Create({.name = "jobs"});
  ASSERT_EQ(TrySendInt(*channel, 1), Outcome::kDone);
  ASSERT_TRUE(registry.Close("jobs", false).ok());
  absl::Status status = registry.Close("jobs", false);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), "CHANNEL_CLOSED");
  EXPECT_EQ(*registry.OpenOrCreate({.name = "jobs"}), channel);
  EXPECT_EQ(ReasonOf(registry.Create({.name = "jobs"}).status()), "CHANNEL_EXISTS");
  EXPECT_EQ(TryRecvInt(*channel), 1);
  EXPECT_EQ(ReasonOf(registry.Get("jobs").status()), "CHANNEL_NOT_FOUND");
  EXPECT_TRUE(registry.List("", 10).empty());
  EXPECT_NE(*registry.OpenOrCreate({.name = "jobs"}), channel);
}

TEST(ChannelRegistryTest, DiscardTakesNameAndContents) {
  const int64_t before = Shared::live_count();
  ChannelRegistry registry;
  Ref<Channel> channel = *registry.Create({.name = "jobs"});
  for (bool closed : {false, true}) {
    Value value = Counted::Make();
    ASSERT_EQ(channel->TrySend(value), Outcome::kDone);
    if (closed) channel->Close();
    ASSERT_TRUE(registry.Close("jobs", true).ok());
    EXPECT_TRUE(channel->drained());
    EXPECT_EQ(ReasonOf(registry.Close("jobs", true)), "CHANNEL_NOT_FOUND");
    channel = *registry.Create({.name = "jobs"});
  }
  Value value = Counted::Make();
  ASSERT_EQ(channel->TrySend(value), Outcome::kDone);
  registry.DiscardAll();
  channel = nullptr;
  EXPECT_EQ(Shared::live_count(), before);
}

TEST(ChannelRegistryTest, ListsByPages) {
  ChannelRegistry registry;
  for (const char* name : {"b", "d", "a", "c"}) ASSERT_TRUE(registry.Create({.name = name}).ok());
  std::string seen, after;
  while (true) {
    auto page = registry.List(after, 3);
    if (page.empty()) break;
    for (const auto& channel : page) seen += channel->name();
    after = page.back()->name();
    seen += '|';
  }
  EXPECT_EQ(seen, "abc|d|");
}

TEST(ChannelRegistryTest, AChannelWithoutAnyoneElseLivesByItsName) {
  ChannelRegistry registry;
  ASSERT_EQ(TrySendInt(**registry.Create({.name = "jobs"}), 3), Outcome::kDone);
  EXPECT_EQ(TryRecvInt(**registry.Get("jobs")), 3);
}

TEST(ChannelRegistryTest, OneOfManyMakesIt) {
  for (int round = 0; round < 50; ++round) {
    ChannelRegistry registry;
    std::vector<Ref<Channel>> got(4);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        got[i] = *registry.OpenOrCreate({.name = "jobs"});
        EXPECT_EQ(TrySendInt(*got[i], i), Outcome::kDone);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& channel : got) ASSERT_EQ(channel, got[0]);
    EXPECT_EQ(got[0]->SizeGuess(), 4);
  }
}

}  // namespace
}  // namespace interpd::channels
