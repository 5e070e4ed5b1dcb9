// Completion scripts and the man page know every command and option of the program.
#include "client/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/app.h"

namespace interpd::client {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

std::vector<const CLI::App*> Commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// Those of groups too, each with the words that lead to it.
std::vector<std::pair<std::vector<std::string>, const CLI::App*>> AllCommands(const CLI::App& app) {
  std::vector<std::pair<std::vector<std::string>, const CLI::App*>> all;
  for (const CLI::App* command : Commands(app)) {
    all.push_back({{command->get_name()}, command});
    for (const CLI::App* one : Commands(*command)) all.push_back({{command->get_name(), one->get_name()}, one});
  }
  return all;
}

std::vector<std::string> OptionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->nonpositional(); })) {
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

class CompletionTest : public testing::Test {
 protected:
  // What bash offers for a command line whose last word is being typed. Interpreters are called alpha and beta, a
  // channel is called jobs, a constant prices, jobs photos and nightly.
  std::vector<std::string> Complete(const std::vector<std::string>& words) {
    const std::string path = testing::TempDir() + "/completion.bash";
    std::ofstream script(path);
    script << "interpctl() { case \" $* \" in *' channel '*) echo jobs ;; *' constant '*) echo prices ;; "
              "*' job '*) printf 'photos\\nnightly\\n' ;; "
              "*) printf 'alpha\\nbeta\\n' ;; esac; }\n"
           << BashCompletion(*app_);
    script << "COMP_WORDS=(interpctl";
    for (const std::string& word : words) script << " '" << word << "'";
    script << ")\nCOMP_CWORD=" << words.size() << "\n_interpctl 2>/dev/null\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    script.close();
    FILE* pipe = popen(absl::StrCat("bash ", path).c_str(), "r");
    std::string out;
    char buffer[4096];
    while (size_t got = fread(buffer, 1, sizeof(buffer), pipe)) out.append(buffer, got);
    EXPECT_EQ(pclose(pipe), 0) << out;
    return absl::StrSplit(out, '\n', absl::SkipEmpty());
  }

  Interrupts interrupts_;
  Session session_{interrupts_};
  std::unique_ptr<CLI::App> app_ = BuildApp(session_);
};

TEST_F(CompletionTest, BashOffersCommands) {
  std::vector<std::string> offered = Complete({""});
  for (const CLI::App* command : Commands(*app_)) EXPECT_THAT(offered, Contains(command->get_name()));
  EXPECT_EQ(offered.size(), Commands(*app_).size());
  EXPECT_THAT(Complete({"-o", "json", "in"}), UnorderedElementsAre("interrupt", "info"));
}

TEST_F(CompletionTest, BashOffersEveryOption) {
  for (const std::string& name : OptionNames(*app_)) EXPECT_THAT(Complete({"-"}), Contains(name));
  for (auto [words, command] : AllCommands(*app_)) {
    words.push_back("-");
    std::vector<std::string> offered = Complete(words);
    for (const std::string& name : OptionNames(*command)) EXPECT_THAT(offered, Contains(name)) << command->get_name();
  }
}

TEST_F(CompletionTest, BashOffersTheCommandsOfAGroupAndChannels) {
  EXPECT_THAT(Complete({"channel", ""}),
              UnorderedElementsAre("create", "list", "get", "send", "recv", "close", "stats"));
  EXPECT_THAT(Complete({"-q", "channel", "s"}), UnorderedElementsAre("send", "stats"));
  for (const char* command : {"get", "send", "recv", "close", "stats"}) {
    EXPECT_THAT(Complete({"channel", command, ""}), UnorderedElementsAre("jobs")) << command;
  }
  EXPECT_THAT(Complete({"channel", "send", "jobs", ""}), testing::IsEmpty());
  EXPECT_THAT(Complete({"channel", "recv", "-n", "5", ""}), UnorderedElementsAre("jobs"));
  EXPECT_THAT(Complete({"channel", "recv", "jobs", "--policy", "d"}),
              UnorderedElementsAre("drop-oldest", "disconnect"));
  EXPECT_THAT(Complete({"get", ""}), UnorderedElementsAre("alpha", "beta"));
}

TEST_F(CompletionTest, BashOffersConstantsAndTheirForms) {
  EXPECT_THAT(Complete({"constant", ""}), UnorderedElementsAre("put", "get", "list", "delete"));
  for (const char* command : {"put", "get", "delete"}) {
    EXPECT_THAT(Complete({"constant", command, ""}), UnorderedElementsAre("prices")) << command;
  }
  EXPECT_THAT(Complete({"constant", "put", "prices", "--as", ""}), UnorderedElementsAre("json", "npy", "bytes"));
}

TEST_F(CompletionTest, BashOffersJobs) {
  EXPECT_THAT(Complete({"job", ""}), UnorderedElementsAre("submit", "run", "list", "get", "wait", "logs", "results",
                                                          "cancel", "retry", "delete"));
  for (const char* command : {"get", "wait", "logs", "results", "cancel", "retry", "delete"}) {
    EXPECT_THAT(Complete({"job", command, ""}), UnorderedElementsAre("nightly", "photos")) << command;
  }
  EXPECT_THAT(Complete({"job", "wait", "photos", "n"}), UnorderedElementsAre("nightly"));
  EXPECT_THAT(Complete({"job", "submit", "--after", "p"}), UnorderedElementsAre("photos"));
  EXPECT_THAT(Complete({"job", "list", "--state", "s"}), UnorderedElementsAre("scheduled", "succeeded"));
  // An option of its own, whose values are others than those of the global one.
  EXPECT_THAT(Complete({"job", "results", "photos", "-o", ""}), UnorderedElementsAre("table", "json", "jsonl"));
}

TEST_F(CompletionTest, BashOffersWhatIsToBeDoneWithTokens) {
  EXPECT_THAT(Complete({"token", ""}), UnorderedElementsAre("create", "list", "revoke"));
  EXPECT_THAT(Complete({"token", "create", "--role", ""}), UnorderedElementsAre("viewer", "user", "admin"));
  EXPECT_THAT(Complete({"token", "revoke", ""}), testing::IsEmpty());
}

TEST_F(CompletionTest, BashOffersInterpretersWhereANameStands) {
  for (const char* command : {"get", "close", "exec", "call", "interrupt", "logs", "repl"}) {
    EXPECT_THAT(Complete({command, ""}), UnorderedElementsAre("alpha", "beta")) << command;
    EXPECT_THAT(Complete({"--address", "unix:/x", command, "b"}), UnorderedElementsAre("beta")) << command;
  }
  EXPECT_THAT(Complete({"close", "alpha", "b"}), UnorderedElementsAre("beta"));
  EXPECT_THAT(Complete({"call", "alpha", ""}), testing::IsEmpty());
}

TEST_F(CompletionTest, BashOffersValuesOfOptions) {
  EXPECT_THAT(Complete({"-o", ""}), UnorderedElementsAre("table", "json"));
  EXPECT_THAT(Complete({"list", "--output", "j"}), UnorderedElementsAre("json"));
  EXPECT_THAT(Complete({"completion", ""}), UnorderedElementsAre("bash", "zsh", "fish"));
}

TEST_F(CompletionTest, TheOtherShellsKnowEveryCommandAndOption) {
  const std::string zsh = ZshCompletion(*app_);
  const std::string fish = FishCompletion(*app_);
  for (const auto& [words, command] : AllCommands(*app_)) {
    EXPECT_THAT(zsh, HasSubstr(absl::StrCat("    ", command->get_name(), ") _arguments")));
    EXPECT_THAT(fish, HasSubstr(absl::StrCat("-a ", command->get_name(), " -d ")));
    for (const std::string& name : OptionNames(*command)) {
      EXPECT_THAT(zsh, HasSubstr(absl::StrCat("'*", name, "[")));
      const bool is_long = absl::StartsWith(name, "--");
      EXPECT_THAT(
          fish, HasSubstr(is_long ? absl::StrCat(" -l ", name.substr(2), " ") : absl::StrCat(" -s ", name.substr(1))));
    }
  }
}

TEST_F(CompletionTest, TheManPageNamesEveryCommandAndOption) {
  std::ifstream file("docs/man/interpctl.1");
  ASSERT_TRUE(file.is_open());
  std::ostringstream text;
  text << file.rdbuf();
  const std::string page = absl::StrReplaceAll(text.str(), {{"\\-", "-"}});
  // A word that is set in bold, alone or before its arguments.
  auto names = [&page](const std::string& word) {
    for (std::string_view line : absl::StrSplit(page, '\n')) {
      for (std::string_view macro : {".B ", ".BI ", ".BR "}) {
        if (!absl::StartsWith(line, macro)) continue;
        std::vector<std::string_view> parts = absl::StrSplit(line.substr(macro.size()), ' ');
        for (std::string_view part : parts) {
          if (part == word) return true;
        }
      }
    }
    return false;
  };
  EXPECT_FALSE(names("--no-such-option"));
  for (const std::string& name : OptionNames(*app_)) EXPECT_TRUE(names(name)) << name;
  for (const auto& [words, command] : AllCommands(*app_)) {
    if (words.size() == 1) {
      EXPECT_TRUE(names(words[0])) << words[0];
    } else {
      EXPECT_THAT(page, HasSubstr(absl::StrJoin(words, " "))) << command->get_name();
    }
    for (const std::string& name : OptionNames(*command)) {
      EXPECT_TRUE(names(name)) << absl::StrJoin(words, " ") << " " << name;
    }
  }
}

TEST_F(CompletionTest, EveryCommandHasHelpWithAnExample) {
  for (const auto& [words, command] : AllCommands(*app_)) {
    const std::string line = absl::StrCat("interpctl ", absl::StrJoin(words, " "));
    EXPECT_FALSE(command->get_description().empty()) << line;
    EXPECT_THAT(command->get_footer(), HasSubstr(line));
    EXPECT_THAT(command->get_usage(), HasSubstr(line));
  }
}

}  // namespace
}  // namespace interpd::client
