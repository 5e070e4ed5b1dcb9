// The options of a job: how flags and a script's header go together, and what becomes of them.
#include "client/cli/job_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/interrupts.h"

namespace interpd::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;

JobSetting Flag(const std::string& name, std::vector<std::string> values) {
  return {.values = std::move(values), .where = "--" + name};
}

class JobSettingsTest : public testing::Test {
 protected:
  JobSettingsTest() { std::filesystem::create_directories(directory_); }
  // Bazel cannot clean up files whose names are no UTF-8.
  ~JobSettingsTest() override { std::filesystem::remove_all(directory_); }

  absl::Status Do(const JobSettings& settings) { return Apply(settings, session_, absl::UnixEpoch(), &plan_); }
  absl::Status Do(const std::string& name, std::vector<std::string> values) {
    return Do({{name, Flag(name, std::move(values))}});
  }

  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(directory_ / name) << content;
    return directory_ / name;
  }

  // The inputs of the plan, as many as there are before an error.
  std::vector<v1::Value> Inputs(absl::Status* status = nullptr) {
    std::vector<v1::Value> values;
    for (;;) {
      absl::StatusOr<std::optional<v1::Value>> value = plan_.inputs->Next();
      if (status != nullptr) *status = value.status();
      if (!value.ok() || !value->has_value()) return values;
      values.push_back(**value);
    }
  }

  const std::filesystem::path directory_ = std::filesystem::path(testing::TempDir()) / "job_settings";
  Interrupts interrupts_;
  Session session_{interrupts_};
  JobPlan plan_;
};

TEST_F(JobSettingsTest, FlagsComeBeforeTheHeader) {
  const JobSettings merged = Merge({{"retries", Flag("retries", {"1"})}, {"name", Flag("name", {"a"})}},
                                   {{"retries", Flag("retries", {"2"})}});
  EXPECT_THAT(merged.at("retries").values, ElementsAre("2"));
  EXPECT_THAT(merged.at("name").values, ElementsAre("a"));
}

TEST_F(JobSettingsTest, AFlagForInputsReplacesThoseOfTheHeader) {
  const JobSettings merged = Merge({{"glob", Flag("glob", {"*"})}}, {{"range", Flag("range", {"0:3"})}});
  ASSERT_TRUE(Do(merged).ok());
  EXPECT_EQ(plan_.spec.range().end(), 3);
}

TEST_F(JobSettingsTest, EveryOptionDoesSomething) {
  JobSettings settings;
  for (const auto& [name, values] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{{"name", {"n"}},
                                                                     {"range", {"-5:5"}},
                                                                     {"parallel", {"3"}},
                                                                     {"timeout", {"1.5"}},
                                                                     {"retries", {"4"}},
                                                                     {"backoff", {"2m"}},
                                                                     {"priority", {"-7"}},
                                                                     {"after", {"a", "jobs/b"}},
                                                                     {"at", {"+10"}},
                                                                     {"every", {"@daily"}},
                                                                     {"path", {"/x", "lib"}},
                                                                     {"venv", {"/v"}},
                                                                     {"site", {}},
                                                                     {"cwd", {"/c"}},
                                                                     {"watch", {}}}) {
    settings.emplace(name, Flag(name, values));
  }
  settings.at("path").directory = "/base";
  plan_.spec.mutable_interpreter()->add_path("/script");
  ASSERT_TRUE(Do(settings).ok());
  const v1::JobSpec& spec = plan_.spec;
  EXPECT_EQ(spec.display_name(), "n");
  EXPECT_EQ(spec.range().begin(), -5);
  EXPECT_EQ(spec.parallel(), 3);
  EXPECT_EQ(spec.timeout().seconds(), 1);
  EXPECT_EQ(spec.timeout().nanos(), 500'000'000);
  EXPECT_EQ(spec.retries(), 4);
  EXPECT_EQ(spec.backoff().seconds(), 120);
  EXPECT_EQ(spec.priority(), -7);
  EXPECT_THAT(spec.after(), ElementsAre("a", "jobs/b"));
  EXPECT_EQ(spec.start_time().seconds(), 10);
  EXPECT_EQ(spec.cron(), "@daily");
  EXPECT_THAT(spec.interpreter().path(), ElementsAre("/x", "/base/lib", "/script"));
  EXPECT_EQ(spec.interpreter().venv(), "/v");
  EXPECT_TRUE(spec.interpreter().site());
  EXPECT_EQ(spec.interpreter().cwd(), "/c");
  EXPECT_TRUE(plan_.watch);
}

TEST_F(JobSettingsTest, ErrorsSayWhichOption) {
  EXPECT_THAT(Do("retries", {"many"}).message(), StartsWith("--retries: "));
  EXPECT_THAT(Do("parallel", {"0"}).message(), StartsWith("--parallel: "));
  EXPECT_THAT(Do("timeout", {"soon"}).message(), StartsWith("--timeout: "));
  EXPECT_THAT(Do("backoff", {"inf"}).message(), StartsWith("--backoff: "));
  EXPECT_THAT(Do("at", {"soon"}).message(), StartsWith("--at: "));
  for (const char* bad : {"", "5", "3:1", "a:b", "1:2:3"}) {
    EXPECT_THAT(Do("range", {bad}).message(), StartsWith("--range: ")) << bad;
  }
  EXPECT_THAT(Do("map-results", {}).message(), StartsWith("--map-results: "));
  EXPECT_THAT(Do({{"range", Flag("range", {"0:1"})}, {"glob", Flag("glob", {"*"})}}).message(),
              HasSubstr("--range and --glob"));
}

TEST_F(JobSettingsTest, LinesAreInputs) {
  ASSERT_TRUE(Do("map", {Write("inputs.jsonl", "1\n\n \t\n{\"a\": [null]}\n\"x\"")}).ok());
  EXPECT_TRUE(plan_.spec.has_values());
  for (int turn = 0; turn < 2; ++turn) {
    const std::vector<v1::Value> values = Inputs();
    ASSERT_EQ(values.size(), 3);
    EXPECT_EQ(values[0].int_(), 1);
    EXPECT_EQ(values[1].container(), v1::DICT);
    EXPECT_EQ(values[2].str(), "x");
    ASSERT_TRUE(plan_.inputs->Rewind());
  }
}

TEST_F(JobSettingsTest, ABadLineIsSaidWithItsNumber) {
  const std::string file = Write("bad.jsonl", "1\n2\n\n{oops}\n5\n");
  ASSERT_TRUE(Do("map", {file}).ok());
  absl::Status status;
  EXPECT_EQ(Inputs(&status).size(), 2);
  EXPECT_THAT(status.message(), StartsWith(file + ":4: "));
}

TEST_F(JobSettingsTest, AFileThatIsNotThereIsNotFound) {
  absl::Status status = Do("map", {directory_ / "nowhere"});
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(status.message(), StartsWith("--map: "));
}

TEST_F(JobSettingsTest, GlobGivesSortedAbsolutePaths) {
  std::filesystem::create_directories(directory_ / "photos");
  for (const char* name : {"photos/b.jpg", "photos/a.jpg", "photos/c.png", "photos/B.jpg"}) Write(name, "");
  JobSetting glob = Flag("glob", {"photos/../photos/*.jpg"});
  glob.directory = directory_;
  ASSERT_TRUE(Do({{"glob", glob}}).ok());
  std::vector<std::string> paths;
  for (const v1::Value& value : Inputs()) paths.push_back(value.str());
  EXPECT_THAT(paths,
              ElementsAre(directory_ / "photos/B.jpg", directory_ / "photos/a.jpg", directory_ / "photos/b.jpg"));
  absl::Status none = Do("glob", {directory_ / "*.gif"});
  EXPECT_TRUE(absl::IsNotFound(none));
  EXPECT_THAT(none.message(), HasSubstr("nothing matches"));
}

TEST_F(JobSettingsTest, GlobGivesFilesAndKnowsNoTwoStars) {
  std::filesystem::create_directories(directory_ / "mixed/directory");
  Write("mixed/file", "");
  ASSERT_TRUE(Do("glob", {directory_ / "mixed/*"}).ok());
  const std::vector<v1::Value> values = Inputs();
  ASSERT_EQ(values.size(), 1);
  EXPECT_EQ(values[0].str(), directory_ / "mixed/file");
  EXPECT_THAT(Do("glob", {directory_ / "mixed/dir*"}).message(), HasSubstr("only directories match"));
  absl::Status status = Do("glob", {"**/*.jpg"});
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(status.message(), StartsWith("--glob: \"**\" is not known"));
}

TEST_F(JobSettingsTest, StandardInputIsReadOnce) {
  ASSERT_TRUE(session_.TakeStdin("the script").ok());
  absl::Status status = Do("map", {"-"});
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(),
            "--map: standard input is read once: it is the script already, and cannot be the inputs of a job too");
}

TEST_F(JobSettingsTest, NamesOfFilesNeedNotBeUtf8) {
  std::filesystem::create_directories(directory_ / "odd");
  Write("odd/caf\xe9\xe2\x82\xac", "");
  ASSERT_TRUE(Do("glob", {directory_ / "odd/*"}).ok());
  const std::vector<v1::Value> values = Inputs();
  ASSERT_EQ(values.size(), 1);
  // As os.fsdecode has it: the byte E9 is U+DCE9.
  EXPECT_THAT(values[0].surrogate_str(), HasSubstr("/odd/caf\xed\xb3\xa9\xe2\x82\xac"));
}

}  // namespace
}  // namespace interpd::client
