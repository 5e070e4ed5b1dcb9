// Names of channels that have none.
#include "daemon/channel_names.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "channels/error.h"

namespace interpd::daemon {
namespace {

using channels::Channel;
using channels::Ref;

absl::Time g_now = absl::FromUnixSeconds(1'000'000);

class ChannelNamesTest : public testing::Test {
 protected:
  std::string Reason(const std::string& name) {
    return channels::GetErrorInfo(names_.Find(name, "field").status()).reason;
  }

  channels::ChannelRegistry registry_;
  ChannelNames names_{registry_, "", [] { return g_now; }};
};

TEST_F(ChannelNamesTest, ANamedChannelKeepsItsName) {
  Ref<Channel> channel = *registry_.Create({.name = "jobs"});
  EXPECT_EQ(names_.NameOf(channel), "channels/jobs");
  EXPECT_EQ(*names_.Find("channels/jobs", "field"), channel);
  EXPECT_EQ(names_.held_count(), 0u);
  // Once the name belongs to another, the old one needs a new name.
  channel->Close();
  Ref<Channel> younger = *registry_.Create({.name = "jobs"});
  EXPECT_EQ(names_.NameOf(younger), "channels/jobs");
  const std::string name = names_.NameOf(channel);
  EXPECT_NE(name, "channels/jobs");
  EXPECT_EQ(*names_.Find(name, "field"), channel);
}

TEST_F(ChannelNamesTest, AnAnonymousChannelHasOneNameForAWhile) {
  Ref<Channel> channel = Channel::Make({});
  Ref<Channel> other = Channel::Make({});
  const std::string name = names_.NameOf(channel);
  EXPECT_TRUE(name.starts_with("channels/~")) << name;
  EXPECT_EQ(names_.NameOf(channel), name);
  EXPECT_NE(names_.NameOf(other), name);
  EXPECT_EQ(*names_.Find(name, "field"), channel);
  // Each use makes it last.
  g_now += ChannelNames::kHeld - absl::Seconds(1);
  EXPECT_TRUE(names_.Find(name, "field").ok());
  g_now += absl::Seconds(2);
  EXPECT_TRUE(names_.Find(name, "field").ok());
  EXPECT_EQ(names_.held_count(), 1u);
  g_now += ChannelNames::kHeld;
  EXPECT_EQ(Reason(name), "CHANNEL_NOT_FOUND");
  EXPECT_EQ(names_.held_count(), 0u);
  EXPECT_TRUE(channel->IsOnlyOwner());
  EXPECT_NE(names_.NameOf(channel), name);
}

TEST_F(ChannelNamesTest, TheOldestGiveWay) {
  std::vector<std::string> names;
  for (size_t i = 0; i <= ChannelNames::kMaxHeld; ++i) names.push_back(names_.NameOf(Channel::Make({.capacity = 1})));
  EXPECT_LE(names_.held_count(), ChannelNames::kMaxHeld);
  EXPECT_EQ(Reason(names.front()), "CHANNEL_NOT_FOUND");
  EXPECT_EQ(Reason(names.back()), "");
}

TEST_F(ChannelNamesTest, WhatIsNoNameIsRefused) {
  for (const char* name : {"", "jobs", "channels/", "channels/~", "channels/a b", "interpreters/a", "channels/~~1"}) {
    EXPECT_EQ(Reason(name), "INVALID_FIELD") << name;
  }
  for (const char* name : {"channels/nobody", "channels/~7", "channels/~x"}) {
    EXPECT_EQ(Reason(name), "CHANNEL_NOT_FOUND") << name;
  }
}

}  // namespace
}  // namespace interpd::daemon
