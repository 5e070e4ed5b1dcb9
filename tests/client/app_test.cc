// The command line of interpctl: what belongs to a script, what is passed to CLI11, what is refused.
#include "client/cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/cli/interrupts.h"

namespace interpd::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Args = std::vector<std::string>;

class AppTest : public testing::Test {
 protected:
  Args Cut(Args args) {
    script_args_ = CutScriptArgs(*app_, args);
    return args;
  }

  Interrupts interrupts_;
  Session session_{interrupts_};
  std::unique_ptr<CLI::App> app_ = BuildApp(session_);
  Args script_args_;
};

TEST_F(AppTest, WhatStandsBehindAFileBelongsToTheScript) {
  EXPECT_THAT(Cut({"exec", "worker", "a.py", "-q", "--address", "x"}), ElementsAre("exec", "worker", "a.py"));
  EXPECT_THAT(script_args_, ElementsAre("-q", "--address", "x"));
  EXPECT_THAT(Cut({"run", "a.py", "--", "-c", "1"}), ElementsAre("run", "a.py"));
  EXPECT_THAT(script_args_, ElementsAre("--", "-c", "1"));
  EXPECT_THAT(Cut({"run", "-", "-x"}), ElementsAre("run", "-"));
  EXPECT_THAT(script_args_, ElementsAre("-x"));
}

TEST_F(AppTest, WhatStandsBehindCodeBelongsToTheScript) {
  EXPECT_THAT(Cut({"exec", "worker", "-c", "code", "--help"}), ElementsAre("exec", "worker", "-c", "code"));
  EXPECT_THAT(script_args_, ElementsAre("--help"));
  EXPECT_THAT(Cut({"run", "-ccode", "-c"}), ElementsAre("run", "-ccode"));
  EXPECT_THAT(script_args_, ElementsAre("-c"));
  EXPECT_THAT(Cut({"run", "--code=code", "x"}), ElementsAre("run", "--code=code"));
  EXPECT_THAT(script_args_, ElementsAre("x"));
  EXPECT_THAT(Cut({"exec", "-c", "code", "worker", "x"}), ElementsAre("exec", "-c", "code", "worker"));
  EXPECT_THAT(script_args_, ElementsAre("x"));
}

TEST_F(AppTest, OptionsOfOursAndTheirValuesAreNotTakenForTheFile) {
  EXPECT_THAT(Cut({"--address", "run", "-qo", "json", "exec", "--timeout", "5", "exec", "list", "-o"}),
              ElementsAre("--address", "run", "-qo", "json", "exec", "--timeout", "5", "exec", "list"));
  EXPECT_THAT(script_args_, ElementsAre("-o"));
  EXPECT_THAT(Cut({"run", "--path", "lib", "--timeout=5", "a.py", "b"}),
              ElementsAre("run", "--path", "lib", "--timeout=5", "a.py"));
  EXPECT_THAT(script_args_, ElementsAre("b"));
}

TEST_F(AppTest, WhatStandsBehindTheFileOfAJobBelongsToTheScript) {
  EXPECT_THAT(Cut({"job", "submit", "a.py", "--map", "x", "-q"}), ElementsAre("job", "submit", "a.py"));
  EXPECT_THAT(script_args_, ElementsAre("--map", "x", "-q"));
  EXPECT_THAT(Cut({"-q", "job", "--timeout", "5", "run", "--range", "0:3", "--site", "--after=x", "-", "--range"}),
              ElementsAre("-q", "job", "--timeout", "5", "run", "--range", "0:3", "--site", "--after=x", "-"));
  EXPECT_THAT(script_args_, ElementsAre("--range"));
  EXPECT_THAT(Cut({"job", "submit", "-f", "jobs.yaml", "--watch"}),
              ElementsAre("job", "submit", "-f", "jobs.yaml", "--watch"));
  EXPECT_THAT(script_args_, IsEmpty());
  EXPECT_THAT(Cut({"job", "wait", "run", "-q"}), ElementsAre("job", "wait", "run", "-q"));
  EXPECT_THAT(Cut({"channel", "run", "-q"}), ElementsAre("channel", "run", "-q"));
}

TEST_F(AppTest, AJobsTimeoutIsAnotherThanThatOfTheRequest) {
  ASSERT_EQ(ParseCommandLine(*app_, session_, {"--timeout", "7", "job", "submit", "--timeout", "5", "a.py", "x"}),
            std::nullopt);
  EXPECT_EQ(session_.options.timeout, "7");
  EXPECT_THAT(app_->get_subcommand("job")->get_subcommand("submit")->get_option("--timeout")->results(),
              ElementsAre("5"));
  EXPECT_THAT(session_.script_args, ElementsAre("x"));
}

TEST_F(AppTest, OtherCommandsKeepTheirArguments) {
  EXPECT_THAT(Cut({"call", "exec", "run", "-c"}), ElementsAre("call", "exec", "run", "-c"));
  EXPECT_THAT(script_args_, IsEmpty());
  EXPECT_THAT(Cut({"exec", "--help"}), ElementsAre("exec", "--help"));
  EXPECT_THAT(Cut({"exec", "worker"}), ElementsAre("exec", "worker"));
  EXPECT_THAT(script_args_, IsEmpty());
}

TEST_F(AppTest, ArgumentsReachTheCommandAsTheyAreWritten) {
  const Args args = {"[]", "[1,2]", "[[1]]", "[[11]]", "[a, 'b']", "", "-5", "-1.5", "list", "a,b", "[x", "x]"};
  Args line = {"call", "worker", "f"};
  line.insert(line.end(), args.begin(), args.end());
  line.insert(line.end(), {"--kwarg", "k=[1,2]", "-k", "j=-1", "-q"});
  ASSERT_EQ(ParseCommandLine(*app_, session_, line), std::nullopt);
  const CLI::App* call = app_->get_subcommand("call");
  EXPECT_EQ(call->get_option("ARG")->results(), args);
  EXPECT_THAT(call->get_option("--kwarg")->results(), ElementsAre("k=[1,2]", "j=-1"));
  EXPECT_TRUE(session_.options.quiet);
}

TEST_F(AppTest, BehindTwoDashesNothingIsAnOption) {
  ASSERT_EQ(ParseCommandLine(*app_, session_, {"call", "worker", "f", "--", "-Infinity", "--kwarg"}), std::nullopt);
  EXPECT_THAT(app_->get_subcommand("call")->get_option("ARG")->results(), ElementsAre("-Infinity", "--kwarg"));
}

TEST_F(AppTest, GlobalOptionsMayStandOnEitherSide) {
  ASSERT_EQ(ParseCommandLine(*app_, session_, {"--address", "unix:/a", "list", "-o", "json"}), std::nullopt);
  EXPECT_EQ(session_.options.address, "unix:/a");
  EXPECT_TRUE(session_.json());
}

TEST_F(AppTest, ANameMayBeThatOfACommand) {
  ASSERT_EQ(ParseCommandLine(*app_, session_, {"close", "list", "close"}), std::nullopt);
  EXPECT_THAT(app_->get_subcommand("close")->get_option("NAME")->results(), ElementsAre("list", "close"));
}

TEST_F(AppTest, BadCommandLinesAreUsageErrors) {
  for (const Args& args :
       std::vector<Args>{{},
                         {"lsit"},
                         {"list", "extra"},
                         {"get"},
                         {"-o", "yaml", "list"},
                         {"--timeout", "soon", "list"},
                         {"--timeout=-1", "list"},
                         {"create", "--count", "0"},
                         {"create", "-c", "1", "--setup", "f"},
                         {"completion", "tcsh"},
                         {"channel"},
                         {"channel", "-q"},
                         {"channel", "snd", "jobs"},
                         {"channel", "send"},
                         {"channel", "create", "--capacity", "x"},
                         {"channel", "create", "--broadcast", "--capacity", "4"},
                         {"channel", "recv", "jobs", "-n", "1", "-f"},
                         {"constant"},
                         {"constant", "put", "prices"},
                         {"constant", "put", "prices", "f", "--as", "csv"},
                         {"constant", "delete"},
                         {"job"},
                         {"job", "sumbit", "a.py"},
                         {"job", "submit", "--name", "a", "--name", "b", "a.py"},
                         {"job", "submit", "--no-such-option", "a.py"},
                         {"job", "run", "--every", "@daily", "a.py"},
                         {"job", "wait"},
                         {"job", "get"},
                         {"job", "list", "--state", "done"},
                         {"job", "logs", "abc", "--task", "-1"},
                         {"job", "results", "abc", "-o", "yaml"},
                         {"job", "results", "abc", "--failed", "--all"},
                         {"job", "delete"},
                         {"token", "create", "--principal", "ci"},
                         {"token", "create", "--principal", "ci", "--role", "root"},
                         {"token", "create", "--principal", "ci", "--role", "user", "--expires", "x"},
                         {"token", "revoke"},
                         {"list", "--no-such-option"}}) {
    Interrupts interrupts;
    Session session(interrupts);
    EXPECT_EQ(ParseCommandLine(*BuildApp(session), session, args), std::optional<int>(kUsage))
        << testing::PrintToString(args);
  }
}

TEST_F(AppTest, CommandsOfAGroupAreReadLikeOthers) {
  ASSERT_EQ(
      ParseCommandLine(*app_, session_, {"-q", "channel", "--timeout", "5", "send", "jobs", "-1", "[2]", "-o", "json"}),
      std::nullopt);
  const CLI::App* send = app_->get_subcommand("channel")->get_subcommand("send");
  EXPECT_EQ(send->get_option("CHANNEL")->results(), Args{"jobs"});
  EXPECT_THAT(send->get_option("JSON")->results(), ElementsAre("-1", "[2]"));
  EXPECT_TRUE(session_.json() && session_.options.quiet);
}

TEST_F(AppTest, TheNearestCommandIsSuggested) {
  EXPECT_EQ(NearestCommand(*app_, "lsit"), "list");
  EXPECT_EQ(NearestCommand(*app_, "craete"), "create");
  EXPECT_EQ(NearestCommand(*app_, "exce"), "exec");
  EXPECT_EQ(NearestCommand(*app_, "interupt"), "interrupt");
  EXPECT_EQ(NearestCommand(*app_->get_subcommand("channel"), "snd"), "send");
  EXPECT_EQ(NearestCommand(*app_, "frobnicate"), "");
}

TEST(DurationTest, IsReadInSecondsOrWithAUnit) {
  EXPECT_EQ(*ParseDuration("5"), absl::Seconds(5));
  EXPECT_EQ(*ParseDuration("0.25"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("300ms"), absl::Milliseconds(300));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("inf"), absl::InfiniteDuration());
  for (const char* bad : {"", "x", "5 s", "-1", "-1s", "nan"}) EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
}

}  // namespace
}  // namespace interpd::client
