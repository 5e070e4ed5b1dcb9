// Numbers of connections: whose they are, when they are used again, limits.
#include "daemon/connections.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

using testing::HasSubstr;

absl::Time g_now;
absl::Time Now() { return g_now; }

class ConnectionsTest : public testing::Test {
 protected:
  ConnectionsTest() { g_now = absl::UnixEpoch() + absl::Hours(1); }
  ~ConnectionsTest() override {
    for (int fd : open_) close(fd);
  }

  // One end of a connection; the other is closed with the test.
  int Socket() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    open_.push_back(ends[0]);
    return ends[1];
  }
  static PrincipalRef Who(const std::string& name) {
    return std::make_shared<const Principal>(Principal{.name = name});
  }

  static std::string NameOf(const Connections& connections, int number) {
    PrincipalRef principal = connections.Find(absl::StrCat("fd:", number));
    return principal == nullptr ? "" : principal->name;
  }

  std::vector<int> open_;
};

constexpr Connections::Range kFour = {400, 404};

TEST_F(ConnectionsTest, EachHasANumberOfItsOwn) {
  Connections connections(ConnectionLimits(), kFour, Now);
  int taken = Socket();
  absl::StatusOr<int> a = connections.Add(taken, PeerCredentials{.uid = 1}, Who("a"));
  EXPECT_EQ(fcntl(taken, F_GETFD), -1) << "it is closed";
  absl::StatusOr<int> b = connections.Add(Socket(), PeerCredentials{.uid = 2}, Who("b"));
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(*a, 400);
  EXPECT_EQ(*b, 401);
  EXPECT_EQ(NameOf(connections, *a), "a");
  EXPECT_EQ(NameOf(connections, *b), "b");
  EXPECT_EQ(connections.count(), 2);
  for (const char* peer : {"fd:402", "fd:", "fd:x", "fd:-400", "", "ipv4:127.0.0.1:400", "fd:400x"}) {
    EXPECT_EQ(connections.Find(peer), nullptr) << peer;
  }
  close(*a);
  close(*b);
}

// Whoever is asked for the principals may take long.
TEST_F(ConnectionsTest, FindGoesOnWhileTheyAreRenewed) {
  Connections connections(ConnectionLimits(), kFour, Now);
  absl::StatusOr<int> a = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("a"));
  ASSERT_TRUE(a.ok());
  std::string found;
  connections.Renew([&](const PeerCredentials& peer) {
    // On another thread, as the event loop is.
    std::thread([&] { found = NameOf(connections, *a); }).join();
    return Who(absl::StrCat("user ", peer.uid));
  });
  EXPECT_EQ(found, "a");
  EXPECT_EQ(NameOf(connections, *a), "user 1");
  close(*a);
}

TEST_F(ConnectionsTest, ANumberRestsBeforeItIsUsedAgain) {
  Connections connections(ConnectionLimits(), kFour, Now);
  std::vector<int> numbers;
  for (int i = 0; i < 4; ++i) {
    absl::StatusOr<int> number = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who(absl::StrCat(i)));
    ASSERT_TRUE(number.ok()) << number.status();
    numbers.push_back(*number);
  }
  // gRPC has closed it; an RPC of it may be handled yet.
  close(numbers[1]);
  EXPECT_THAT(std::string(connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("early")).status().message()),
              HasSubstr("or rest"));
  EXPECT_EQ(NameOf(connections, numbers[1]), "1");

  g_now += Connections::kBetweenSweeps;  // found closed now
  EXPECT_FALSE(connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("early")).ok());
  EXPECT_EQ(connections.count(), 3);
  g_now += Connections::kQuarantine - absl::Milliseconds(1);
  EXPECT_FALSE(connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("early")).ok());
  EXPECT_EQ(NameOf(connections, numbers[1]), "1");

  g_now += Connections::kBetweenSweeps;
  absl::StatusOr<int> again = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("late"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, numbers[1]);
  EXPECT_EQ(NameOf(connections, *again), "late");
  for (int number : numbers) close(number);
}

// A number that is closed and used by something else of the process is a closed connection too.
TEST_F(ConnectionsTest, ANumberThatSomethingElseTook) {
  Connections connections(ConnectionLimits(), kFour, Now);
  absl::StatusOr<int> number = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("a"));
  ASSERT_TRUE(number.ok());
  int other = Socket();
  ASSERT_EQ(dup2(other, *number), *number);
  g_now += absl::Seconds(1);
  absl::StatusOr<int> next = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("b"));
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(connections.count(), 1);
  close(other);
  close(*number);
  close(*next);
}

TEST_F(ConnectionsTest, Limits) {
  Connections connections({.total = 3, .per_user = 2}, {400, 420}, Now);
  absl::StatusOr<int> first = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("a"));
  absl::StatusOr<int> second = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("a"));
  EXPECT_THAT(std::string(connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("a")).status().message()),
              HasSubstr("user 1 has 2 connections"));
  absl::StatusOr<int> third = connections.Add(Socket(), PeerCredentials{.uid = 2}, Who("b"));
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  EXPECT_THAT(std::string(connections.Add(Socket(), PeerCredentials{.uid = 3}, Who("c")).status().message()),
              HasSubstr("there are 3 connections"));
  close(*first);
  g_now += Connections::kBetweenSweeps;
  absl::StatusOr<int> fourth = connections.Add(Socket(), PeerCredentials{.uid = 1}, Who("a"));
  ASSERT_TRUE(fourth.ok()) << fourth.status();
  for (int fd : {*second, *third, *fourth}) close(fd);
}

}  // namespace
}  // namespace interpd::daemon
