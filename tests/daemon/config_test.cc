// The configuration file: what is read, what is printed, and what a mistake is answered with.
#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string ErrorOf(const std::string& toml) {
  Config config;
  absl::Status status = ParseConfig(toml, "f.toml", &config);
  EXPECT_FALSE(status.ok()) << toml;
  return std::string(status.message());
}

TEST(ConfigTest, ReadsEveryKey) {
  Config config;
  absl::Status status = ParseConfig(R"(
listen = ["unix:/tmp/a", "127.0.0.1:7878"]
insecure = true
socket_mode = "0660"
max_interpreters = 7
max_message_bytes = 1_000_000
max_constant_bytes = 2_000_000
constants_dir = "/var/lib/constants"
grace_period_seconds = 1.5
log_level = "warning"
[tls]
cert = "c.pem"
key = "k.pem"
client_ca = "ca.pem"
[interpreter]
path = ["/srv/lib"]
venv = "/srv/venv"
site = true
may_publish = true
cwd = "/srv"
queue_limit = 9
log_limit_bytes = 10
)",
                                    "f.toml", &config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(config.listen, testing::ElementsAre("unix:/tmp/a", "127.0.0.1:7878"));
  EXPECT_TRUE(config.insecure);
  EXPECT_EQ(config.socket_mode, 0660u);
  EXPECT_EQ(config.max_interpreters, 7);
  EXPECT_EQ(config.max_message_bytes, 1'000'000);
  EXPECT_EQ(config.max_constant_bytes, 2'000'000);
  EXPECT_EQ(config.constants_dir, "/var/lib/constants");
  EXPECT_EQ(config.grace_period_seconds, 1.5);
  EXPECT_EQ(config.log_level, "warning");
  EXPECT_EQ(config.tls.cert, "c.pem");
  EXPECT_EQ(config.tls.key, "k.pem");
  EXPECT_EQ(config.tls.client_ca, "ca.pem");
  EXPECT_THAT(config.interpreter.path, testing::ElementsAre("/srv/lib"));
  EXPECT_EQ(config.interpreter.venv, "/srv/venv");
  EXPECT_TRUE(config.interpreter.site);
  EXPECT_TRUE(config.interpreter.may_publish);
  EXPECT_EQ(config.interpreter.cwd, "/srv");
  EXPECT_EQ(config.interpreter.queue_limit, 9u);
  EXPECT_EQ(config.interpreter.log_limit_bytes, 10u);

  // What is printed reads back to the same, strange characters included.
  config.interpreter.cwd = "/a \"b\" \\ \n\xc3\xa4";
  std::string printed = PrintConfig(config);
  Config again;
  status = ParseConfig(printed, "printed", &again);
  ASSERT_TRUE(status.ok()) << status << "\n" << printed;
  EXPECT_EQ(PrintConfig(again), printed);
  EXPECT_EQ(again.interpreter.cwd, config.interpreter.cwd);
  EXPECT_EQ(again.socket_mode, config.socket_mode);
  EXPECT_EQ(again.listen, config.listen);
}

TEST(ConfigTest, RulesOfAccess) {
  Config config;
  absl::Status status = ParseConfig(R"(
max_connections = 100
max_connections_per_user = 10
[audit]
file = "/var/log/audit"
[tls]
cert = "c.pem"
key = "k.pem"
[access]
token_file = "/etc/tokens"
[[access.rule]]
unix_user = "alice"
role = "user"
max_interpreters = 3
max_in_flight = 4
requests_per_second = 5.5
max_message_bytes = 100000
[[access.rule]]
token = "*"
requests_per_second = 1
)",
                                    "f.toml", &config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(config.connections.total, 100);
  EXPECT_EQ(config.connections.per_user, 10);
  EXPECT_EQ(config.audit_file, "/var/log/audit");
  EXPECT_EQ(config.access.token_file, "/etc/tokens");
  EXPECT_THAT(config.access.rules,
              testing::ElementsAre(AccessGrant{.unix_user = "alice",
                                               .role = "user",
                                               .limits = {.max_interpreters = 3,
                                                          .max_in_flight = 4,
                                                          .requests_per_second = 5.5,
                                                          .max_message_bytes = 100'000}},
                                   AccessGrant{.token = "*", .limits = {.requests_per_second = 1}}));
  Config again;
  status = ParseConfig(PrintConfig(config), "printed", &again);
  ASSERT_TRUE(status.ok()) << status << "\n" << PrintConfig(config);
  EXPECT_EQ(again.access.rules, config.access.rules);
  EXPECT_EQ(PrintConfig(again), PrintConfig(config));

  EXPECT_EQ(ErrorOf("[[access.rule]]\nrole = 'user'"),
            "f.toml:1:1: 'access.rule' must have one of unix_user, unix_group, certificate and token");
  EXPECT_THAT(ErrorOf("[[access.rule]]\nrole = 'user'\nunix_user = 'a'\ntoken = 'b'"), HasSubstr("must have one of"));
  EXPECT_THAT(ErrorOf("[[access.rule]]\nunix_user = 'a'"), HasSubstr("must have a role: viewer, user or admin"));
  EXPECT_THAT(ErrorOf("[[access.rule]]\nunix_user = 'a'\nrole = 'root'"), HasSubstr("must have a role"));
  EXPECT_THAT(ErrorOf("[[access.rule]]\nunix_user = 'a'\nrole = 'user'\nmax_in_flight = -1"), HasSubstr("below 0"));
  EXPECT_EQ(ErrorOf("[[access.rule]]\nunix_usr = 'a'"),
            "f.toml:2:1: unknown key 'unix_usr' (did you mean 'unix_user'?)");
  EXPECT_EQ(ErrorOf("[access]\nrule = 5"), "f.toml:2:8: 'access.rule' must be given as [[access.rule]] tables");
  EXPECT_THAT(ErrorOf("[access]\ntoken_file = 'x'"), HasSubstr("needs tls.cert and tls.key too"));
  EXPECT_THAT(ErrorOf("max_connections = 0"), HasSubstr("must be 1 to 1000000"));
}

TEST(ConfigTest, DefaultsReadBack) {
  Config config, again;
  again.max_interpreters = 1;
  ASSERT_TRUE(ParseConfig(PrintConfig(config), "printed", &again).ok());
  EXPECT_EQ(PrintConfig(again), PrintConfig(config));
}

TEST(ConfigTest, WhatTheFileLeavesOutStaysAsItWas) {
  Config config;
  config.max_interpreters = 5;
  ASSERT_TRUE(ParseConfig("insecure = true", "f.toml", &config).ok());
  EXPECT_EQ(config.max_interpreters, 5);
  EXPECT_TRUE(config.insecure);
}

TEST(ConfigTest, MistakesAreNamedWithTheirPlace) {
  EXPECT_EQ(ErrorOf("insecure = true\nmax_interpreter = 5"),
            "f.toml:2:1: unknown key 'max_interpreter' (did you mean 'max_interpreters'?)");
  EXPECT_EQ(ErrorOf("[tls]\ncret = 'x'"), "f.toml:2:1: unknown key 'tls.cret' (did you mean 'tls.cert'?)");
  EXPECT_EQ(ErrorOf("whatever_is_this = 1"), "f.toml:1:1: unknown key 'whatever_is_this'");
  EXPECT_EQ(ErrorOf("whatever_is_this = 1\nanother_such = 2"), "f.toml:1:1: unknown key 'whatever_is_this'");
  EXPECT_EQ(ErrorOf("\ninsecure = 1"), "f.toml:2:12: 'insecure' must be true or false");
  EXPECT_EQ(ErrorOf("listen = 'unix:/x'"), "f.toml:1:10: 'listen' must be an array of strings");
  EXPECT_EQ(ErrorOf("listen = ['unix:/x', 1]"), "f.toml:1:10: 'listen' must be an array of strings");
  EXPECT_EQ(ErrorOf("max_interpreters = '5'"), "f.toml:1:20: 'max_interpreters' must be an integer");
  EXPECT_EQ(ErrorOf("grace_period_seconds = 'x'"), "f.toml:1:24: 'grace_period_seconds' must be a number");
  EXPECT_EQ(ErrorOf("tls = 1"), "f.toml:1:7: 'tls' must be a table, as in [tls]");
  EXPECT_EQ(ErrorOf("max_interpreters = 0"), "f.toml:1:20: 'max_interpreters' must be 1 to 1000000");
  EXPECT_EQ(ErrorOf("grace_period_seconds = nan"), "f.toml:1:24: 'grace_period_seconds' must be 0 to 3600");
  EXPECT_EQ(ErrorOf("log_level = 'loud'"), "f.toml:1:13: 'log_level' must be one of info, warning, error");
  EXPECT_THAT(ErrorOf("socket_mode = '0999'"), StartsWith("f.toml:1:15: 'socket_mode' must be octal digits"));
  for (const char* wrong : {"9464", ":9464", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:1,127.0.0.1:2"}) {
    EXPECT_EQ(ErrorOf(absl::StrCat("[metrics]\nlisten = '", wrong, "'")),
              "f.toml:2:10: 'metrics.listen' must be HOST:PORT");
  }
  EXPECT_THAT(ErrorOf("[tls]\nkey = 'k'"), HasSubstr("needs both tls.cert and tls.key"));
  EXPECT_EQ(ErrorOf("[interpreter]\npath = ['lib']"), "f.toml:2:8: 'interpreter.path' must hold absolute paths");
  EXPECT_EQ(ErrorOf("[interpreter]\nqueue_limit = -1"),
            "f.toml:2:15: 'interpreter.queue_limit' must be an integer that is not negative");
  EXPECT_THAT(ErrorOf("insecure = true\ninsecure = false"), StartsWith("f.toml:2:"));
  EXPECT_THAT(ErrorOf("a = = 1"), StartsWith("f.toml:1:"));
}

TEST(ConfigTest, AMistakeChangesNothing) {
  Config config;
  EXPECT_FALSE(ParseConfig("max_interpreters = 5\nnonsense = 1", "f.toml", &config).ok());
  EXPECT_EQ(PrintConfig(config), PrintConfig(Config()));
}

TEST(ConfigTest, AMissingFileIsNamed) {
  Config config;
  EXPECT_THAT(ReadConfigFile("/nowhere/f.toml", &config).message(), StartsWith("/nowhere/f.toml: cannot read it"));
  // Empty it is not.
  EXPECT_THAT(ReadConfigFile("/tmp", &config).message(), StartsWith("/tmp: cannot read it: Is a directory"));
}

TEST(ConfigTest, SocketModes) {
  EXPECT_EQ(*ParseSocketMode("0600"), 0600u);
  EXPECT_EQ(*ParseSocketMode("777"), 0777u);
  for (const char* wrong : {"", "8", "1777", "0x1", "-1", "00600"}) EXPECT_FALSE(ParseSocketMode(wrong).ok()) << wrong;
}

}  // namespace
}  // namespace interpd::daemon
