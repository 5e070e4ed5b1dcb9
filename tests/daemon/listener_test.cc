// Sockets: who may listen where.
#include "daemon/listener.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace interpd::daemon {
namespace {

using testing::HasSubstr;

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    // Short, since a socket's path may have 107 bytes.
    char directory[] = "/tmp/interpd-XXXXXX";
    EXPECT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    path_ = directory_ + "/s";
  }
  ~ListenerTest() override { std::filesystem::remove_all(directory_); }

  // A socket that is bound and, if `serve`, listened on. Closed by the caller.
  int Bind(bool serve) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {.sun_family = AF_UNIX};
    std::strcpy(address.sun_path, path_.c_str());
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    if (serve) {
      EXPECT_EQ(listen(fd, 1), 0);
    }
    return fd;
  }

  static Config At(const std::string& address) {
    Config config;
    config.listen = {address};
    return config;
  }

  static std::string ErrorOf(const Config& config) {
    absl::StatusOr<Listener> listener = Listener::Prepare(config);
    EXPECT_FALSE(listener.ok());
    return std::string(listener.status().message());
  }

  std::string directory_;
  std::string path_;
};

TEST_F(ListenerTest, TheLockKeepsOthersOut) {
  std::optional<absl::StatusOr<Listener>> first = Listener::Prepare(At("unix:" + path_));
  ASSERT_TRUE(first->ok()) << first->status();
  EXPECT_EQ((*first)->endpoints()[0].address, "unix:" + path_);
  EXPECT_THAT(ErrorOf(At("unix:" + path_)), HasSubstr("another daemon listens on unix:" + path_));
  first.reset();
  EXPECT_FALSE(std::filesystem::exists(path_ + ".lock"));
  EXPECT_TRUE(Listener::Prepare(At("unix:" + path_)).ok());
}

TEST_F(ListenerTest, ALiveSocketWithoutALockIsRefusedAndLeftAlone) {
  int fd = Bind(/*serve=*/true);
  EXPECT_THAT(ErrorOf(At("unix:" + path_)), HasSubstr("another daemon listens"));
  EXPECT_TRUE(std::filesystem::is_socket(path_));
  close(fd);
}

TEST_F(ListenerTest, AStaleSocketIsReplaced) {
  close(Bind(/*serve=*/false));
  std::ofstream(path_ + ".lock") << "left behind";
  EXPECT_TRUE(Listener::Prepare(At("unix:" + path_)).ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ListenerTest, WhatIsNoSocketIsLeftAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(ErrorOf(At("unix:" + path_)), HasSubstr("is no socket"));
  EXPECT_TRUE(std::filesystem::is_regular_file(path_));
}

TEST_F(ListenerTest, TheSocketIsRemovedIfItIsOurs) {
  {
    absl::StatusOr<Listener> listener = Listener::Prepare(At("unix:" + path_));
    ASSERT_TRUE(listener.ok());
    close(Bind(/*serve=*/true));
    ASSERT_TRUE(listener->Bound().ok());
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  {
    absl::StatusOr<Listener> listener = Listener::Prepare(At("unix:" + path_));
    ASSERT_TRUE(listener.ok());
    close(Bind(/*serve=*/true));
    ASSERT_TRUE(listener->Bound().ok());
    // Somebody else's in its place. The old one lives on under another name, so that its inode is not used again.
    std::filesystem::rename(path_, path_ + ".old");
    close(Bind(/*serve=*/true));
  }
  EXPECT_TRUE(std::filesystem::is_socket(path_));
}

TEST_F(ListenerTest, ModeAndGroupOfTheSocket) {
  Config config = At("unix:" + path_);
  config.socket_mode = 0660;
  config.socket_group = "4242";
  absl::StatusOr<Listener> listener = Listener::Prepare(config);
  ASSERT_TRUE(listener.ok());
  EXPECT_EQ(listener->endpoints()[0].mode, 0660u);
  EXPECT_EQ(listener->endpoints()[0].group, gid_t{4242});
  config.socket_group = "root";
  config.listen = {"unix:" + path_ + "2"};
  listener = Listener::Prepare(config);
  ASSERT_TRUE(listener.ok());
  EXPECT_EQ(listener->endpoints()[0].group, gid_t{0});
  config.socket_group = "nobody has such a group";
  EXPECT_THAT(ErrorOf(config), HasSubstr("socket_group: there is no group"));
}

TEST_F(ListenerTest, SocketsThatWeWereStartedWith) {
  absl::StatusOr<Listener> listener = Listener::Prepare(Config(), {7});
  ASSERT_TRUE(listener.ok()) << listener.status();
  ASSERT_EQ(listener->endpoints().size(), 1u);
  EXPECT_EQ(listener->endpoints()[0].inherited_fd, 7);
  listener = Listener::Prepare(At("unix:" + path_), {7});
  ASSERT_TRUE(listener.ok());
  EXPECT_EQ(listener->endpoints().size(), 2u);
}

TEST_F(ListenerTest, PathsThatLinuxDoesNotTake) {
  std::string name(107 - directory_.size() - 1, 'x');
  EXPECT_TRUE(Listener::Prepare(At("unix:" + directory_ + "/" + name)).ok());
  EXPECT_THAT(ErrorOf(At("unix:" + directory_ + "/" + name + "x")), HasSubstr("has 108 bytes"));
  EXPECT_THAT(ErrorOf(At("unix:")), HasSubstr("needs a path"));
  EXPECT_THAT(ErrorOf(At("unix:" + directory_ + "/missing/s")), HasSubstr("cannot open the lock file"));
}

TEST_F(ListenerTest, TcpNeedsTlsOrInsecureLoopback) {
  Config config = At("127.0.0.1:0");
  EXPECT_THAT(ErrorOf(config), HasSubstr("without TLS"));
  config.insecure = true;
  EXPECT_TRUE(Listener::Prepare(config).ok());
  for (const char* address : {"0.0.0.0:1", "[::]:1", "example.test:1", "127.0.0.1.example.test:1", "192.0.2.1:1"}) {
    config.listen = {address};
    EXPECT_THAT(ErrorOf(config), HasSubstr("without TLS")) << address;
  }
  for (const char* address : {"localhost:1", "[::1]:1", "127.1.2.3:1"}) {
    config.listen = {address};
    EXPECT_TRUE(Listener::Prepare(config).ok()) << address;
  }
  for (const char* address : {"7878", ":7878", "host:", "host:x", "host:70000", "unx:/x"}) {
    config.listen = {address};
    EXPECT_THAT(ErrorOf(config), HasSubstr("no address to listen on")) << address;
  }
}

TEST_F(ListenerTest, TlsFilesMustBeThere) {
  Config config = At("0.0.0.0:0");
  config.tls.cert = directory_ + "/cert.pem";
  config.tls.key = directory_ + "/key.pem";
  EXPECT_THAT(ErrorOf(config), HasSubstr("tls.cert: cannot read " + config.tls.cert));
}

TEST(DefaultAddressTest, IsWhereSystemdHasMadeADirectory) {
  setenv("RUNTIME_DIRECTORY", "/run/interpd:/run/other", 1);
  EXPECT_EQ(DefaultAddress().value(), "unix:/run/interpd/interpd.sock");
  unsetenv("RUNTIME_DIRECTORY");
  setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
  EXPECT_EQ(DefaultAddress().value(),
            geteuid() == 0 ? "unix:/run/interpd/interpd.sock" : "unix:/run/user/1000/interpd.sock");
  unsetenv("XDG_RUNTIME_DIR");
}

}  // namespace
}  // namespace interpd::daemon
