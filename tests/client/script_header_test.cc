// The block of options at the head of a script.
#include "client/cli/script_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace interpd::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

absl::StatusOr<JobSettings> Read(const std::string& script) { return ReadScriptHeader(script, "a.py", "/scripts"); }

TEST(ScriptHeaderTest, AByteOrderMarkIsNoPartOfTheFirstLine) {
  absl::StatusOr<JobSettings> settings = Read("\xEF\xBB\xBF# /// interpd\r\n# retries = 2\r\n# ///\r\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->at("retries").values, ElementsAre("2"));
}

std::string ErrorOf(const std::string& script) {
  absl::StatusOr<JobSettings> settings = Read(script);
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument) << script;
  return std::string(settings.status().message());
}

TEST(ScriptHeaderTest, KeysAreTheLongOptions) {
  absl::StatusOr<JobSettings> settings = Read(
      "#!/usr/bin/env -S interpctl job run\n"
      "\"\"\"What it is.\"\"\"\n"
      "# /// interpd\n"
      "# name = \"thumbnails\"  # of photos\n"
      "# glob = 'photos/*.jpg'\n"
      "#\n"
      "# parallel = 4\n"
      "# backoff = 0.5\n"
      "# timeout = \"30s\"\n"
      "# after = [\"abc\", 'def']\n"
      "# path = \"lib\"\n"
      "# at = 2030-01-31T12:00:00Z\n"
      "# site = true\n"
      "# watch = false\n"
      "# ///\n"
      "import sys\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  const auto values = [&](const char* name) { return settings->at(name).values; };
  EXPECT_THAT(values("name"), ElementsAre("thumbnails"));
  EXPECT_THAT(values("glob"), ElementsAre("photos/*.jpg"));
  EXPECT_THAT(values("parallel"), ElementsAre("4"));
  EXPECT_THAT(values("backoff"), ElementsAre("0.5"));
  EXPECT_THAT(values("timeout"), ElementsAre("30s"));
  EXPECT_THAT(values("after"), ElementsAre("abc", "def"));
  EXPECT_THAT(values("path"), ElementsAre("lib"));
  EXPECT_THAT(values("at"), ElementsAre("2030-01-31T12:00:00Z"));
  EXPECT_THAT(values("site"), IsEmpty());
  EXPECT_THAT(*settings, SizeIs(9));
  EXPECT_EQ(settings->at("parallel").where, "a.py:7: parallel");
  EXPECT_EQ(settings->at("parallel").directory, "/scripts");
}

TEST(ScriptHeaderTest, ScriptsWithoutABlockSayNothing) {
  for (const char* script : {"", "print(1)\n", "# /// script\n# dependencies = []\n# ///\n", "#/// interpd\n",
                             "  # /// interpd\n", "# /// interpd-like\n# a = 1\n# ///\n"}) {
    absl::StatusOr<JobSettings> settings = Read(script);
    ASSERT_TRUE(settings.ok()) << script << settings.status();
    EXPECT_THAT(*settings, IsEmpty()) << script;
  }
}

TEST(ScriptHeaderTest, LineEndsMayBeThoseOfWindows) {
  absl::StatusOr<JobSettings> settings = Read("# /// interpd\r\n# retries = 3\r\n# ///\r\nprint(1)\r\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->at("retries").values, ElementsAre("3"));
}

TEST(ScriptHeaderTest, ErrorsSayTheLine) {
  EXPECT_THAT(ErrorOf("\n# /// interpd\n# retires = 3\n# ///\n"), StartsWith("a.py:3: there is no option \"retires\""));
  EXPECT_THAT(ErrorOf("# /// interpd\n# watch = true\n# request-id = 'x'\n# ///\n"), StartsWith("a.py:3: "));
  EXPECT_THAT(ErrorOf("# /// interpd\n# name = \"a\n# ///\n"), StartsWith("a.py:2: "));
  EXPECT_THAT(ErrorOf("# /// interpd\n# retries = 1\n# retries = 2\n# ///\n"), StartsWith("a.py:3: "));
  EXPECT_THAT(ErrorOf("# /// interpd\n# site = 1\n# ///\n"), HasSubstr("a.py:2: site: this must be true or false"));
  EXPECT_THAT(ErrorOf("# /// interpd\n# name = []\n# ///\n"), HasSubstr("a.py:2: name: this must be a string"));
  EXPECT_THAT(ErrorOf("# /// interpd\n# after = [true]\n# ///\n"), HasSubstr("a.py:2: after: this must be an array"));
  EXPECT_THAT(ErrorOf("# /// interpd\n# [interpreter]\n# ///\n"), HasSubstr("there is no option \"interpreter\""));
}

TEST(ScriptHeaderTest, ABlockHasAnEndAndNoDouble) {
  EXPECT_THAT(ErrorOf("# /// interpd\n# retries = 1\nprint(1)\n# ///\n"), StartsWith("a.py:1: "));
  EXPECT_THAT(ErrorOf("# /// interpd\n# ///\n\n# /// interpd\n# ///\n"), StartsWith("a.py:4: a second block"));
  // What looks like an end within comments is none if another follows.
  absl::StatusOr<JobSettings> settings = Read("# /// interpd\n# name = '''\n# ///\n# x'''\n# ///\n");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->at("name").values, ElementsAre("///\nx"));
}

}  // namespace
}  // namespace interpd::client
