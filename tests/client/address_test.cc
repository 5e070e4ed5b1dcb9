// Addresses: what is read, what is refused, and what is used when nothing is said.
#include "client/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace interpd::client {
namespace {

using testing::HasSubstr;

TEST(AddressTest, UnixPaths) {
  EXPECT_EQ(ParseAddress("unix:/run/a b.sock")->path, "/run/a b.sock");
  EXPECT_EQ(ParseAddress("unix:relative.sock")->path, "relative.sock");
  EXPECT_EQ(ParseAddress("unix:///run/x")->path, "/run/x");
  EXPECT_TRUE(ParseAddress("unix:/x")->is_local());
  EXPECT_EQ(ParseAddress("unix:/x")->ToString(), "unix:/x");
}

TEST(AddressTest, HostsAndPorts) {
  EXPECT_EQ(ParseAddress("example.org:50051")->host, "example.org");
  EXPECT_EQ(ParseAddress("example.org:50051")->port, 50051);
  EXPECT_EQ(ParseAddress("tcp:[::1]:1")->ToString(), "[::1]:1");
  EXPECT_FALSE(ParseAddress("example.org:50051")->is_local());
  for (const char* local : {"localhost:1", "LocalHost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1"}) {
    EXPECT_TRUE(ParseAddress(local)->is_local()) << local;
  }
}

TEST(AddressTest, BadOnesSayWhy) {
  for (auto [text, why] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "neither"},
           {"unix:", "path is empty"},
           {"/run/x.sock", "neither"},
           {"host:", "not a port"},
           {"host:0", "not a port"},
           {"host:65536", "not a port"},
           {"host:http", "not a port"},
           {":80", "host is empty"},
           {"::1:80", "brackets"},
       }) {
    absl::Status status = ParseAddress(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(status.message(), HasSubstr(why)) << text;
    EXPECT_THAT(status.message(), HasSubstr("unix:PATH or HOST:PORT"));
  }
  EXPECT_TRUE(ParseAddress("unix:" + std::string(107, 'x')).ok());
  EXPECT_THAT(ParseAddress("unix:" + std::string(108, 'x')).status().message(), HasSubstr("at most 107"));
}

TEST(AddressTest, TheDefaultIsWhereInterpdListens) {
  setenv("INTERPD_ADDRESS", "unix:/somewhere", 1);
  EXPECT_EQ(*DefaultAddress(), "unix:/somewhere");
  setenv("INTERPD_ADDRESS", "", 1);
  setenv("XDG_RUNTIME_DIR", "/run/user/77", 1);
  EXPECT_EQ(*DefaultAddress(), geteuid() == 0 ? "unix:/run/interpd/interpd.sock" : "unix:/run/user/77/interpd.sock");
  unsetenv("XDG_RUNTIME_DIR");
  if (geteuid() != 0) {
    EXPECT_THAT(DefaultAddress().status().message(), HasSubstr("INTERPD_ADDRESS"));
  }
}

TEST(AddressTest, AFailureIsExplainedWithTheWayOut) {
  std::string path = testing::TempDir() + "/none.sock";
  EXPECT_THAT(ExplainUnixFailure(path), HasSubstr("interpd --listen unix:" + path));
}

}  // namespace
}  // namespace interpd::client
