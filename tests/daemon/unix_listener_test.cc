// Connections over unix sockets of a server: who may, on whose behalf, and how they end.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <atomic>
#include <cstring>
#include <optional>

#include "absl/log/globals.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "daemon/unix_socket.h"
#include "tests/daemon/test_server.h"

namespace interpd::daemon {
namespace {

class UnixListenerTest : public ServerTest {
 protected:
  std::string path() const { return absl::StrCat(directory_, "/s"); }

  static int Connect(const std::string& path) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {.sun_family = AF_UNIX};
    std::strcpy(address.sun_path, path.c_str());
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
    close(fd);
    return -1;
  }

  // Whether somebody of that user gets the server's first bytes, its settings. In a process of its own.
  static bool IsServed(const std::string& path, uid_t uid) {
    pid_t child = fork();
    if (child == 0) {
      if (setuid(uid) != 0) _exit(2);
      int fd = Connect(path);
      char byte;
      _exit(fd >= 0 && read(fd, &byte, 1) == 1 ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2) << status;
    return WEXITSTATUS(status) == 0;
  }

  grpc::Status GetInfo(const std::string& address, v1::Info* info) {
    grpc::ClientContext context;
    Patience(context);
    auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    return v1::Admin::NewStub(channel)->GetInfo(&context, v1::GetInfoRequest(), info);
  }
};

TEST_F(UnixListenerTest, TheSocketsModeAndGroup) {
  Start();
  struct stat made;
  ASSERT_EQ(stat(path().c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 07777, 0600u);
  mode_t before = umask(077);
  for (uint32_t mode : {0600u, 0660u, 0777u}) {
    const std::string other = absl::StrCat(directory_, "/", mode);
    std::optional<gid_t> group;
    if (geteuid() == 0) group = 4242;
    absl::StatusOr<int> fd = ListenOnUnixSocket(other, mode, group);
    ASSERT_TRUE(fd.ok()) << fd.status();
    ASSERT_EQ(stat(other.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 07777, mode);
    if (group) {
      EXPECT_EQ(made.st_gid, *group);
    }
    EXPECT_FALSE(ListenOnUnixSocket(other, mode, group).ok()) << "taken";
    close(*fd);
  }
  umask(before);
}

TEST_F(UnixListenerTest, OthersAreRefusedThoughTheSocketIsOpenToThem) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become others";
  Start();
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(chmod(path().c_str(), 0777), 0);
  EXPECT_TRUE(IsServed(path(), 0));
  EXPECT_FALSE(IsServed(path(), 4242));
  EXPECT_TRUE(IsServed(path(), 0));
}

TEST_F(UnixListenerTest, ASocketThatThereIsAlready) {
  Start();
  const std::string path = absl::StrCat(directory_, "/inherited");
  absl::StatusOr<int> fd = ListenOnUnixSocket(path, 0600, std::nullopt);
  ASSERT_TRUE(fd.ok());
  // The manager keeps the socket, so that connections wait while nobody serves.
  int managers = dup(*fd);
  int waiting = Connect(path);
  ASSERT_GE(waiting, 0);
  auto server = Server::Start(interpd::testing::Host(), interpd::testing::Channels(), {{.inherited_fd = *fd}}, {});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->addresses(), std::vector<std::string>{"unix:" + path});
  char byte;
  EXPECT_EQ(read(waiting, &byte, 1), 1);
  v1::Info info;
  EXPECT_TRUE(GetInfo("unix:" + path, &info).ok());
  server->reset();
  EXPECT_EQ(access(path.c_str(), F_OK), 0) << "it is not ours to remove";
  EXPECT_GE(Connect(path), 0) << "it waits for the next server";
  close(waiting);
  close(managers);
}

TEST_F(UnixListenerTest, WhatIsNoListeningUnixSocketIsRefused) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  int tcp = socket(AF_INET, SOCK_STREAM, 0);
  int unbound = socket(AF_UNIX, SOCK_STREAM, 0);
  int datagrams = socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  ASSERT_EQ(bind(tcp, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(tcp, 1), 0);
  for (int fd : {pipes[0], tcp, unbound, datagrams, 99999}) EXPECT_FALSE(AdoptUnixSocket(fd).ok()) << fd;
  for (int fd : {pipes[0], pipes[1], tcp, unbound, datagrams}) close(fd);
}

TEST_F(UnixListenerTest, ManyConnectionsComeAndGo) {
  Start();
  v1::Info before;
  ASSERT_TRUE(GetInfo("unix:" + path(), &before).ok());
  for (int i = 0; i < 300; ++i) {
    int fd = Connect(path());
    ASSERT_GE(fd, 0);
    // Some are gone before they are accepted.
    char byte;
    if (i % 3 != 0) {
      ASSERT_EQ(read(fd, &byte, 1), 1);
    }
    close(fd);
  }
  // gRPC closes them when it sees that they have gone.
  v1::Info after;
  for (absl::Time until = absl::Now() + absl::Seconds(30); absl::Now() < until;) {
    ASSERT_TRUE(GetInfo("unix:" + path(), &after).ok());
    if (after.open_fds() <= before.open_fds() + 4) break;
  }
  EXPECT_LE(after.open_fds(), before.open_fds() + 4);
}

TEST_F(UnixListenerTest, AServerEndsWithOpenConnectionsAndWithSomeOnTheirWay) {
  Start();
  std::vector<int> idle;
  for (int i = 0; i < 20; ++i) idle.push_back(Connect(path()));
  std::atomic<bool> stop = false;
  std::thread storm([&] {
    while (!stop) {
      int fd = Connect(path());
      if (fd >= 0) close(fd);
    }
  });
  v1::Info info;
  EXPECT_TRUE(GetInfo("unix:" + path(), &info).ok());
  server_->Shutdown();
  stop = true;
  storm.join();
  for (int fd : idle) {
    char bytes[256];
    while (read(fd, bytes, sizeof(bytes)) > 0) {
    }
    close(fd);
  }
  EXPECT_EQ(Connect(path()), -1);
}

}  // namespace
}  // namespace interpd::daemon
