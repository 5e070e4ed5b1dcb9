// Who clients are: rules, tokens, their file.
#include "daemon/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/token_file.h"

namespace interpd::daemon {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr uid_t kStranger = 424242;

std::string Described(const PrincipalRef& principal) {
  return principal == nullptr ? "nobody" : absl::StrCat(principal->name, " ", RoleName(principal->role));
}

TEST(AccessTest, WithoutConfigurationRootAndTheDaemonsUser) {
  Access access;
  EXPECT_EQ(Described(access.OfUnixPeer({.uid = kStranger})), "nobody");
  EXPECT_EQ(Described(access.OfUnixPeer({.uid = 0})), "unix:root admin");
  EXPECT_EQ(access.OfUnixPeer({.uid = geteuid()})->role, Role::kAdmin);
  EXPECT_EQ(access.OfUnixPeer({.uid = 0}), access.OfUnixPeer({.uid = 0})) << "made once";
  EXPECT_EQ(access.OfUnixPeer({.uid = 0})->space, "");
  EXPECT_EQ(Described(access.OfTcpPeer({})), "tcp:anonymous admin");
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true})), "nobody");
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true, .authorization = "Bearer x"})), "nobody");
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true, .certificate_names = {"a"}})), "cert:a admin");
  // Without a common name, which gRPC says is "".
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true, .certificate_names = {"", "b", "c"}})), "cert:b admin");
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true, .certificate_names = {""}})), "nobody");
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true, .certificate_names = {"", ""}})), "nobody");
}

// Without file descriptors the system's books cannot be read. In a process of its own, whose limit it is.
TEST(AccessTest, AUserWhoseNameCannotBeLookedUpIsRefusedAndIsAskedForAgain) {
  pid_t child = fork();
  if (child == 0) {
    Access access;
    AccessConfig config;
    config.rules = {{.unix_user = "5", .role = "user"}, {.unix_user = "6", .role = "viewer"}};
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlim_t enough = limit.rlim_cur;
    limit.rlim_cur = 0;
    bool good = access.Configure(config).ok() && setrlimit(RLIMIT_NOFILE, &limit) == 0;
    good = good && !UserName(5).ok() && !absl::IsNotFound(UserName(5).status());
    good = good && absl::IsUnavailable(FindUser("games").status());
    good = good && access.OfUnixPeer({.uid = 5}) == nullptr;
    good = good && Described(access.OfUnixPeer({.uid = 6})) == "unix:6 viewer";
    limit.rlim_cur = enough;
    setrlimit(RLIMIT_NOFILE, &limit);
    good = good && Described(access.OfUnixPeer({.uid = 5})) == absl::StrCat("unix:", *UserName(5), " user");
    good = good && Described(access.OfUnixPeer({.uid = 6})) == absl::StrCat("unix:", *UserName(6), " viewer");
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(AccessTest, TheFirstRuleThatFits) {
  Access access;
  AccessConfig config;
  config.rules = {{.unix_user = absl::StrCat(kStranger), .role = "user", .limits = {.max_in_flight = 3}},
                  {.unix_group = "77", .role = "viewer"},
                  {.unix_user = "root", .role = "user"},
                  {.certificate = "build.example", .role = "user"},
                  {.certificate = "*", .role = "viewer"}};
  ASSERT_TRUE(access.Configure(config).ok());
  PrincipalRef stranger = access.OfUnixPeer({.uid = kStranger, .gid = 77});
  EXPECT_EQ(Described(stranger), "unix:424242 user");
  EXPECT_EQ(stranger->space, "unix:424242/");
  EXPECT_EQ(stranger->limits.max_in_flight, 3);
  EXPECT_EQ(Described(access.OfUnixPeer({.uid = 5, .gid = 77})), absl::StrCat("unix:", *UserName(5), " viewer"));
  EXPECT_EQ(access.OfUnixPeer({.uid = 5, .gid = 1, .groups = {3, 77}})->role, Role::kViewer);
  EXPECT_EQ(access.OfUnixPeer({.uid = 5, .gid = 1, .groups = {3}}), nullptr);
  EXPECT_EQ(access.OfUnixPeer({.uid = 0})->role, Role::kUser);
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true, .certificate_names = {"cn", "build.example"}})), "cert:cn user");
  EXPECT_EQ(Described(access.OfTcpPeer({.tls = true, .certificate_names = {"x y/z%"}})), "cert:x%20y%2fz%25 viewer");

  // A change counts at once, and what is wrong changes nothing.
  config.rules[0].role = "admin";
  ASSERT_TRUE(access.Configure(config).ok());
  EXPECT_EQ(Described(access.OfUnixPeer({.uid = kStranger})), "unix:424242 admin");
  config.rules[0].unix_user = "no such user here";
  EXPECT_THAT(std::string(access.Configure(config).message()), HasSubstr("there is no user 'no such user here'"));
  EXPECT_EQ(Described(access.OfUnixPeer({.uid = kStranger})), "unix:424242 admin");
  // With rules, a certificate that none fits is refused.
  config.rules = {{.unix_user = "root", .role = "user"}};
  ASSERT_TRUE(access.Configure(config).ok());
  EXPECT_EQ(access.OfTcpPeer({.tls = true, .certificate_names = {"a"}}), nullptr);
  config.rules = {{.unix_group = "no such group", .role = "user"}};
  EXPECT_FALSE(access.Configure(config).ok());
}

class TokenTest : public testing::Test {
 protected:
  TokenTest() {
    char directory[] = "/tmp/interpd-XXXXXX";
    EXPECT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    file_ = directory_ + "/tokens";
  }
  ~TokenTest() override { std::filesystem::remove_all(directory_); }

  std::string Add(const std::string& principal, const std::string& role, absl::Time expires = absl::InfiniteFuture()) {
    std::string token = MakeToken();
    absl::Status added =
        AddToken(file_, {.hash = HashToken(token), .principal = principal, .role = role, .expires = expires});
    EXPECT_TRUE(added.ok()) << added;
    return token;
  }
  std::string Text() const {
    std::ostringstream text;
    text << std::ifstream(file_).rdbuf();
    return text.str();
  }

  std::string directory_;
  std::string file_;
};

TEST_F(TokenTest, SayWhoTheirOwnerIs) {
  std::string ci = Add("ci", "user");
  std::string old = Add("old", "admin", absl::Now() - absl::Seconds(2));
  std::string later = Add("later", "viewer", absl::Now() + absl::Hours(1));
  Access access;
  AccessConfig config{.token_file = file_};
  ASSERT_TRUE(access.Configure(config).ok());
  auto who = [&access](const std::string& authorization) {
    return Described(
        access.OfTcpPeer({.tls = true, .certificate_names = {"some.cert"}, .authorization = authorization}));
  };
  EXPECT_EQ(who("Bearer " + ci), "token:ci user");
  EXPECT_EQ(who("bearer " + ci), "token:ci user");
  EXPECT_EQ(who("Bearer " + later), "token:later viewer");
  // Who shows a token that does not hold is refused, whatever else it shows.
  for (const std::string& bad :
       {"Bearer " + old, "Bearer " + MakeToken(), std::string("Bearer "), std::string("Bearer"), ci, "Basic " + ci,
        "Bearer " + ci + " ", "Bearer " + HashToken(ci), "Bearer " + std::string(1 << 20, 'x'),
        std::string("Bearer \0", 8)}) {
    EXPECT_EQ(who(bad), "nobody") << absl::CHexEscape(bad.substr(0, 80));
  }
  // Tokens are for TLS.
  EXPECT_EQ(Described(access.OfTcpPeer({.authorization = ci})), "tcp:anonymous admin");

  // Limits, and a role that the operator prefers.
  config.rules = {{.token = "ci", .role = "viewer"}, {.token = "*", .limits = {.max_in_flight = 1}}};
  ASSERT_TRUE(access.Configure(config).ok());
  EXPECT_EQ(who("Bearer " + ci), "token:ci viewer");
  EXPECT_EQ(who("Bearer " + later), "token:later viewer");

  absl::StatusOr<int> removed = RemoveTokens(file_, "ci");
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(*removed, 1);
  EXPECT_EQ(who("Bearer " + ci), "token:ci viewer") << "until it is read again";
  ASSERT_TRUE(access.Configure(config).ok());
  EXPECT_EQ(who("Bearer " + ci), "nobody");
  EXPECT_EQ(who("Bearer " + later), "token:later viewer");
}

TEST_F(TokenTest, UntilWhenTheyHold) {
  const absl::Time end = absl::FromUnixSeconds(1893456000);
  std::string later = Add("later", "viewer", end);
  std::string ci = Add("ci", "user");
  Access access;
  ASSERT_TRUE(access.Configure({.token_file = file_}).ok());
  absl::Time expires;
  EXPECT_NE(access.OfTcpPeer({.tls = true, .authorization = "Bearer " + later}, &expires), nullptr);
  EXPECT_EQ(expires, end);
  EXPECT_NE(access.OfTcpPeer({.tls = true, .authorization = "Bearer " + ci}, &expires), nullptr);
  EXPECT_EQ(expires, absl::InfiniteFuture());
}

// What is gone holds nothing; what is damaged changes nothing.
TEST_F(TokenTest, AFileThatGoes) {
  Access fresh;
  EXPECT_FALSE(fresh.Configure({.token_file = file_}).ok()) << "there must be one to begin with";
  std::string authorization = "Bearer " + Add("ci", "user");
  Access access;
  const TcpPeer peer = {.tls = true, .authorization = authorization};
  ASSERT_TRUE(access.Configure({.token_file = file_}).ok());
  std::filesystem::rename(file_, file_ + ".away");
  std::ofstream(file_) << "half a li";
  EXPECT_FALSE(access.Configure({.token_file = file_}).ok());
  EXPECT_EQ(Described(access.OfTcpPeer(peer)), "token:ci user");
  std::filesystem::remove(file_);
  EXPECT_TRUE(access.Configure({.token_file = file_}).ok());
  EXPECT_EQ(Described(access.OfTcpPeer(peer)), "nobody");
  std::filesystem::rename(file_ + ".away", file_);
  EXPECT_TRUE(access.Configure({.token_file = file_}).ok());
  EXPECT_EQ(Described(access.OfTcpPeer(peer)), "token:ci user");
}

// A file that may not grow stands for a full disk. In a process of its own, whose limit it is.
TEST_F(TokenTest, AFullDiskLeavesTheFileAsItWas) {
  std::string authorization = "Bearer " + Add("ci", "user");
  const std::string before = Text();
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = before.size() + 20;
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(AddToken(file_, {.hash = HashToken("x"), .principal = "more", .role = "user"}).ok() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Text(), before);
  Add("another", "user");
  EXPECT_THAT(ReadTokenFile(file_).value_or(std::vector<TokenEntry>()), SizeIs(2));
}

TEST_F(TokenTest, TheFileHoldsHashesAndWhatPeopleWroteToo) {
  std::ofstream(file_) << "# tokens of this machine\n\n";
  std::string token = Add("a@b.c", "user");
  std::string another = Add("a@b.c", "admin", absl::FromUnixSeconds(1893456000));
  EXPECT_THAT(Text(), testing::Not(HasSubstr(token.substr(0, 20))));
  EXPECT_THAT(token, testing::StartsWith("interpd_"));
  EXPECT_THAT(token, SizeIs(8 + 43));
  EXPECT_NE(token, another);
  EXPECT_EQ(absl::BytesToHexString(HashToken("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  absl::StatusOr<std::vector<TokenEntry>> entries = ReadTokenFile(file_);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_THAT(*entries, SizeIs(2));
  EXPECT_EQ((*entries)[1].expires, absl::FromUnixSeconds(1893456000));
  EXPECT_THAT(Text(), HasSubstr(" a@b.c admin 2030-01-01T00:00:00Z\n"));

  ASSERT_EQ(chmod(file_.c_str(), 0640), 0);
  EXPECT_EQ(RemoveTokens(file_, (*entries)[0].Id()).value_or(-1), 1);
  EXPECT_THAT(Text(), testing::StartsWith("# tokens of this machine\n\nsha256:"));
  struct stat there;
  ASSERT_EQ(stat(file_.c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777, 0640u);
  EXPECT_EQ(RemoveTokens(file_, "nobody").value_or(-1), 0);
  EXPECT_FALSE(RemoveTokens(file_ + "2", "nobody").ok());
}

TEST_F(TokenTest, AFileThatIsWrongIsSaidToBe) {
  auto error = [this](const std::string& text) { return std::string(ParseTokenFile(text, "f").status().message()); };
  const std::string hash = std::string(64, 'a');
  EXPECT_EQ(error("sha256:" + hash + " ci user never\n"), "");
  EXPECT_THAT(error("\nsha256:" + hash + " ci user"), HasSubstr("f:2: the line is not 'sha256:HASH"));
  EXPECT_THAT(error("sha256:" + hash + "0 ci user never"), HasSubstr("f:1: the line does not begin with sha256:"));
  EXPECT_THAT(error("md5:" + hash + " ci user never"), HasSubstr("does not begin with sha256:"));
  EXPECT_THAT(error("sha256:" + hash + " ci root never"), HasSubstr("'root' is no role"));
  EXPECT_THAT(error("sha256:" + hash + " c/i user never"), HasSubstr("'c/i' is no principal"));
  EXPECT_THAT(error("sha256:" + hash + " ci user tomorrow"), HasSubstr("'tomorrow' is neither"));
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a/b"), std::string("a\nb"),
                                  std::string("a\0b", 3), std::string(129, 'x')}) {
    EXPECT_FALSE(AddToken(file_, {.hash = HashToken("x"), .principal = name, .role = "user"}).ok()) << name;
  }
  std::ofstream(file_) << "nonsense\n";
  EXPECT_FALSE(AddToken(file_, {.hash = HashToken("x"), .principal = "a", .role = "user"}).ok());
  EXPECT_EQ(Text(), "nonsense\n");
  std::ofstream(file_) << "";
  ASSERT_EQ(chmod(file_.c_str(), 0602), 0);
  EXPECT_THAT(std::string(ReadTokenFile(file_).status().message()), HasSubstr("every user may write to it"));
  ASSERT_EQ(chmod(file_.c_str(), 0660), 0);
  EXPECT_THAT(std::string(ReadTokenFile(file_).status().message()), HasSubstr("its group may write to it"));
  Access access;
  EXPECT_FALSE(access.Configure({.token_file = file_}).ok());
}

}  // namespace
}  // namespace interpd::daemon
