// The configuration file that is installed: every key is in it, and what it shows as defaults are the defaults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "daemon/config.h"

namespace interpd::daemon {
namespace {

std::string Installed() {
  std::ifstream stream("deploy/interpd.conf");
  std::ostringstream text;
  text << stream.rdbuf();
  EXPECT_FALSE(text.str().empty());
  return text.str();
}

// The lines that are commented out, without their '#'. What is no comment and what explains is left out.
std::string CommentedOut(absl::string_view text) {
  std::string result;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') absl::StrAppend(&result, line.substr(1), "\n");
  }
  return result;
}

TEST(ConfigFileTest, ShowsTheDefaults) {
  Config shown;
  std::string defaults = CommentedOut(Installed());
  ASSERT_TRUE(ParseConfig(defaults, "interpd.conf", &shown).ok()) << ParseConfig(defaults, "interpd.conf", &shown);
  EXPECT_THAT(ChangedKeys(Config{}, shown), testing::IsEmpty());
}

TEST(ConfigFileTest, HasEveryKey) {
  std::string defaults = CommentedOut(Installed());
  std::vector<std::string> missing;
  for (const std::string& key : ConfigKeys()) {
    std::vector<std::string> parts = absl::StrSplit(key, '.');
    std::string table = parts.size() == 1 ? "" : absl::StrCat("[", parts[0], "]");
    std::string in_table;
    bool found = false;
    for (absl::string_view line : absl::StrSplit(defaults, '\n')) {
      if (absl::StartsWith(line, "[")) in_table = line;
      found = found || (in_table == table && absl::StartsWith(line, absl::StrCat(parts.back(), " = ")));
    }
    if (!found) missing.push_back(key);
  }
  EXPECT_THAT(missing, testing::IsEmpty());
}

TEST(ConfigFileTest, IsRight) {
  Config config;
  EXPECT_TRUE(ReadConfigFile("deploy/interpd.conf", &config).ok());
  EXPECT_EQ(config.constants_dir, "/var/lib/interpd/constants");
}

}  // namespace
}  // namespace interpd::daemon
