// Job files: YAML and JSON in the words of the API, and where errors are.
#include "client/cli/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "client/cli/interrupts.h"
#include "client/cli/value_json.h"
#include "client/value_batch.h"

namespace interpd::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class JobFileTest : public testing::Test {
 protected:
  JobFileTest() {
    std::filesystem::create_directories(directory_);
    session_.options.address = "unix:/nowhere";
  }

  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(directory_ / name) << content;
    return directory_ / name;
  }

  absl::StatusOr<JobFile> Read(const std::string& content) {
    return ReadJobFile(session_, Write("jobs.yaml", content), absl::UnixEpoch());
  }
  JobFile Jobs(const std::string& content) {
    absl::StatusOr<JobFile> file = Read(content);
    EXPECT_TRUE(file.ok()) << file.status() << "\n" << content;
    return file.ok() ? *std::move(file) : JobFile();
  }
  v1::JobSpec One(const std::string& content) {
    JobFile file = Jobs(content);
    return file.request.jobs_size() == 1 ? file.request.jobs(0) : v1::JobSpec();
  }
  // What is said behind the name of the file.
  std::string ErrorOf(const std::string& content) {
    absl::StatusOr<JobFile> file = Read(content);
    EXPECT_FALSE(file.ok()) << content;
    const std::string prefix = absl::StrCat((directory_ / "jobs.yaml").string(), ":");
    const std::string message(file.status().message());
    EXPECT_THAT(message, StartsWith(prefix));
    return message.substr(prefix.size());
  }
  static std::vector<std::string> Values(v1::JobSpec spec) {
    std::vector<v1::Value> values;
    TakeValues(spec.mutable_values(), &values);
    std::vector<std::string> json;
    for (const v1::Value& value : values) json.push_back(ValueToJson(value));
    return json;
  }

  const std::filesystem::path directory_ = std::filesystem::path(testing::TempDir()) / "job_file";
  Interrupts interrupts_;
  Session session_{interrupts_};
};

TEST_F(JobFileTest, EveryFieldIsSetByItsName) {
  const v1::JobSpec spec = One(R"(
display_name: nightly
script: |
  def task(item):
      return item
script_name: work.py
args: [--seed, 7, "0x1"]
range: {begin: -1, end: 10}
parallel: 4
timeout: 1m30s
retries: 2
backoff: 0.25
priority: -10
after: [abcdefghij]
start_time: 1970-01-01T00:01:00Z
cron: '@daily'
interpreter: {path: [lib], venv: venv, site: true, cwd: ., queue_limit: 7}
max_interruptions: 3
log_limit_bytes: 5000000000
)");
  EXPECT_EQ(spec.display_name(), "nightly");
  EXPECT_EQ(spec.script(), "def task(item):\n    return item\n");
  EXPECT_EQ(spec.script_name(), "work.py");
  EXPECT_THAT(spec.args(), ElementsAre("--seed", "7", "0x1"));
  EXPECT_EQ(spec.range().begin(), -1);
  EXPECT_EQ(spec.range().end(), 10);
  EXPECT_EQ(spec.parallel(), 4);
  EXPECT_EQ(spec.timeout().seconds(), 90);
  EXPECT_EQ(spec.retries(), 2);
  EXPECT_EQ(spec.backoff().nanos(), 250'000'000);
  EXPECT_EQ(spec.priority(), -10);
  EXPECT_THAT(spec.after(), ElementsAre("abcdefghij"));
  EXPECT_EQ(spec.start_time().seconds(), 60);
  EXPECT_EQ(spec.cron(), "@daily");
  EXPECT_THAT(spec.interpreter().path(), ElementsAre((directory_ / "lib").string()));
  EXPECT_EQ(spec.interpreter().venv(), directory_ / "venv");
  EXPECT_TRUE(spec.interpreter().site());
  EXPECT_EQ(spec.interpreter().cwd(), directory_);
  EXPECT_EQ(spec.interpreter().queue_limit(), 7);
  EXPECT_EQ(spec.max_interruptions(), 3);
  EXPECT_EQ(spec.log_limit_bytes(), 5'000'000'000);
}

TEST_F(JobFileTest, JsonWithTheNamesOfProtoJsonIsReadToo) {
  const v1::JobSpec spec =
      One(R"({"jobs": [{"displayName": "a", "script": "pass", "maxInterruptions": 2, "startTime": "+5"}]})");
  EXPECT_EQ(spec.display_name(), "a");
  EXPECT_EQ(spec.max_interruptions(), 2);
  EXPECT_EQ(spec.start_time().seconds(), 5);
}

TEST_F(JobFileTest, InputsArePlainValues) {
  EXPECT_THAT(Values(One(R"(
script: pass
values:
  - 1
  - -0x1
  - 0x1f
  - 0o17
  - 123456789012345678901234567890
  - 1.5
  - .inf
  - .nan
  - true
  - null
  - ~
  - text
  - "1"
  - 'true'
  - !!str 2
  - 1e3
  - 1.2.3
  - 2030-01-31
  - [1, [2]]
  - {a: 1, "b": {c: null}}
  - {1: x}
  - {$tuple: [1]}
  - {$bytes: "aGk="}
  - "naïve \u20ac"
)")),
              ElementsAre("1", "\"-0x1\"", "31", "15", "123456789012345678901234567890", "1.5", "Infinity", "NaN",
                          "true", "null", "null", "\"text\"", "\"1\"", "\"true\"", "\"2\"", "1000.0", "\"1.2.3\"",
                          "\"2030-01-31\"", "[1, [2]]", R"({"a": 1, "b": {"c": null}})", R"({"$dict": [[1, "x"]]})",
                          "[1]", R"({"$bytes": "aGk="})", "\"naïve €\""));
}

TEST_F(JobFileTest, ManyInputsTravelBehindTheFirstMessage) {
  std::string content = "script: pass\nvalues:\n";
  for (int i = 0; i < 200'000; ++i) absl::StrAppend(&content, "- input number ", i, "\n");
  const JobFile file = Jobs(content);
  ASSERT_EQ(file.inputs.size(), 1);
  ASSERT_NE(file.inputs[0], nullptr);
  EXPECT_TRUE(file.request.jobs(0).has_values());
  EXPECT_LT(file.request.ByteSizeLong(), 1000);
  absl::StatusOr<std::optional<v1::Value>> first = file.inputs[0]->Next();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)->str(), "input number 0");
}

TEST_F(JobFileTest, DocumentsAndListsAreJobsAlike) {
  const JobFile file = Jobs(
      "display_name: a\nscript: pass\n---\njobs:\n- {display_name: b, script: pass}\n"
      "- {display_name: c, script: pass}\n---\n");
  std::vector<std::string> names;
  for (const v1::JobSpec& spec : file.request.jobs()) names.push_back(spec.display_name());
  EXPECT_THAT(names, ElementsAre("a", "b", "c"));
  EXPECT_THAT(file.positions, ElementsAre(0, 1, 2));
}

TEST_F(JobFileTest, JobsStandBehindThoseTheyWaitFor) {
  const JobFile file = Jobs(R"(
jobs:
  - {key: last, script: pass, after: [middle, first, elsewhere1]}
  - {key: first, script: pass}
  - {key: middle, script: pass, after: first}
  - {key: other, script: pass, after_submitted: [0]}
)");
  ASSERT_EQ(file.request.jobs_size(), 4);
  EXPECT_THAT(file.positions, ElementsAre(2, 0, 1, 3));
  EXPECT_EQ(file.request.jobs(0).display_name(), "first");
  EXPECT_THAT(file.request.jobs(1).after_submitted(), ElementsAre(0));
  EXPECT_THAT(file.request.jobs(2).after_submitted(), ElementsAre(0, 1));
  EXPECT_THAT(file.request.jobs(2).after(), ElementsAre("elsewhere1"));
  EXPECT_THAT(file.request.jobs(3).after_submitted(), ElementsAre(2));
}

TEST_F(JobFileTest, AScriptFileBringsItsOptions) {
  Write("work.py", "# /// interpd\n# range = '0:5'\n# retries = 3\n# parallel = 2\n# ///\ndef task(item): pass\n");
  const v1::JobSpec spec = One("script_file: work.py\nretries: 1\ninterpreter: {site: true}\n");
  EXPECT_EQ(spec.script_name(), directory_ / "work.py");
  EXPECT_THAT(spec.script(), HasSubstr("def task"));
  EXPECT_EQ(spec.display_name(), "work.py");
  EXPECT_EQ(spec.range().end(), 5);
  EXPECT_EQ(spec.retries(), 1);
  EXPECT_EQ(spec.parallel(), 2);
  EXPECT_TRUE(spec.interpreter().site());
  // Modules beside the script are found, and the interpreters work where we do.
  EXPECT_THAT(spec.interpreter().path(), ElementsAre(std::filesystem::canonical(directory_).string()));
  EXPECT_EQ(spec.interpreter().cwd(), std::filesystem::current_path());

  EXPECT_THAT(Values(One("script_file: work.py\nvalues: [7]\n")), ElementsAre("7"));
  EXPECT_EQ(One("script_file: work.py\nrange: 2:4\n").range().begin(), 2);
}

TEST_F(JobFileTest, ADaemonElsewhereIsToldNoPathsOfOurs) {
  Write("plain.py", "pass\n");
  session_.options.address = "example.com:1";
  const v1::JobSpec spec = One("script_file: plain.py\n");
  EXPECT_THAT(spec.interpreter().path(), IsEmpty());
  EXPECT_EQ(spec.interpreter().cwd(), "");
}

TEST_F(JobFileTest, ErrorsSayWhereAndWhich) {
  EXPECT_THAT(ErrorOf("script: pass\nretries: many\n"), StartsWith("2:10: jobs[0].retries: this must be an integer"));
  EXPECT_THAT(ErrorOf("script: pass\nretries: 3000000000\n"), HasSubstr("this must be from -2147483648"));
  EXPECT_THAT(ErrorOf("script: pass\nretires: 1\n"), StartsWith("2:1: jobs[0].retires: there is no such key"));
  EXPECT_THAT(ErrorOf("script: pass\ninterpreter:\n  sight: true\n"), StartsWith("3:3: jobs[0].interpreter.sight: "));
  EXPECT_THAT(ErrorOf("script: pass\nretries: 1\nretries: 2\n"), StartsWith("3:1: jobs[0].retries: said twice"));
  EXPECT_THAT(ErrorOf("script: pass\nscript_name: a\nscriptName: b\n"),
              StartsWith("3:1: jobs[0].scriptName: said twice"));
  EXPECT_THAT(ErrorOf("jobs:\n- script: pass\n- script: pass\n  timeout: soon\n"),
              StartsWith("4:12: jobs[1].timeout: "));
  EXPECT_THAT(ErrorOf("script: pass\nargs: [a, [b]]\n"), StartsWith("2:11: jobs[0].args[1]: this must be a string"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [1, {$bytes: 5}]\n"), StartsWith("2:13: jobs[0].values[1]: "));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: 5\n"), HasSubstr("this must be a list of values"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [1]\nrange: 0:1\n"), StartsWith("3:1: jobs[0].range: not beside values"));
  EXPECT_THAT(ErrorOf("script: pass\nrange: 5\n"), StartsWith("2:8: jobs[0].range: "));
  EXPECT_THAT(ErrorOf("script: pass\nscript_file: a.py\n"), StartsWith("1:1: jobs[0]: a job has a script"));
  EXPECT_THAT(ErrorOf("script_file: nowhere.py\n"), StartsWith("1:14: jobs[0].script_file: cannot read "));
  EXPECT_THAT(ErrorOf("- script: pass\n"), StartsWith("1:1: "));
  EXPECT_THAT(ErrorOf("jobs: []\n"), HasSubstr("there is no job"));
  EXPECT_THAT(ErrorOf("jobs: []\nretries: 1\n"), StartsWith("2:1: retries: "));
  EXPECT_THAT(ErrorOf("jobs:\n  - 5\n"), StartsWith("2:5: jobs[0]: "));
  EXPECT_THAT(ErrorOf("script: [\n"), testing::ContainsRegex("^[12]:[0-9]+: "));
  EXPECT_THAT(ErrorOf("jobs:\n- {key: a, script: pass}\n- {key: a, script: pass}\n"),
              StartsWith("3:9: jobs[1].key: \"a\" is the key of another job"));
}

TEST_F(JobFileTest, JobsThatWaitForEachOtherAreRefused) {
  EXPECT_THAT(ErrorOf("jobs:\n- {key: a, script: pass, after: b}\n- {key: b, script: pass, after: a}\n"),
              HasSubstr("jobs[0].after: this job waits for itself"));
  EXPECT_THAT(ErrorOf("{key: a, script: pass, after: a}\n"), HasSubstr("waits for itself"));
  EXPECT_THAT(ErrorOf("{script: pass, after_submitted: [3]}\n"), HasSubstr("there is no jobs[3]"));
}

TEST_F(JobFileTest, AJsonFileMayHoldEveryCharacterAsEscapes) {
  EXPECT_THAT(
      Values(
          One(R"({"script": "pass", "values": ["\ud83d\uDE00!", "\\ud83d\\ude00", "\u20ac", "a\/\"\ud83d\ude00"]})")),
      ElementsAre("\"😀!\"", R"("\\ud83d\\ude00")", "\"€\"", R"("a/\"😀")"));
}

TEST_F(JobFileTest, NothingIsLostInSilence) {
  EXPECT_THAT(ErrorOf("jobs:\n- script: pass\njobs:\n- script: pass\n"), StartsWith("3:1: jobs: said twice"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [1, 1e400]\n"),
              StartsWith("2:13: jobs[0].values[1]: 1e400 is too large for a float"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [[-1e400]]\n"), HasSubstr("too large"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [!!float abc]\n"), HasSubstr("\"abc\" is no float"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [!!int 1.5]\n"), HasSubstr("\"1.5\" is no int"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [!!bool maybe]\n"), HasSubstr("\"maybe\" is no bool"));
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [!!null x]\n"), HasSubstr("\"x\" is no null"));
  EXPECT_THAT(Values(One("script: pass\nvalues: [!!float 5, !!float 0x10, !!int '7', !!float .inf]\n")),
              ElementsAre("5.0", "16.0", "7", "Infinity"));
}

TEST_F(JobFileTest, ErrorsOfTheDaemonAreAboutTheFile) {
  const JobFile file = Jobs("jobs:\n- {key: b, script: pass, after: a}\n- {key: a, script: pass}\n");
  absl::Status status = absl::InvalidArgumentError("jobs[1].retries must be 0 to 1000");
  status.SetPayload("type", absl::Cord("reason"));
  const absl::Status said = InJobFile(file, status);
  EXPECT_EQ(said.message(),
            absl::StrCat((directory_ / "jobs.yaml").string(), ":2:3: jobs[0].retries must be 0 to 1000"));
  EXPECT_EQ(said.code(), status.code());
  EXPECT_EQ(said.GetPayload("type"), absl::Cord("reason"));
  EXPECT_THAT(std::string(InJobFile(file, absl::NotFoundError("jobs[0].after[0] x")).message()),
              HasSubstr("jobs.yaml:3:3: jobs[1].after[0] x"));
  EXPECT_EQ(InJobFile(file, absl::InternalError("jobs")).message(), "jobs");
}

TEST_F(JobFileTest, AValueWithinItselfIsRefused) {
  EXPECT_THAT(ErrorOf("script: pass\nvalues: [&a [*a]]\n"), HasSubstr("nested more deeply than 64"));
}

TEST_F(JobFileTest, AFileThatIsNotThereIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadJobFile(session_, directory_ / "none.yaml", absl::Now()).status()));
  absl::StatusOr<JobFile> script = Read("script_file: nowhere.py\n");
  EXPECT_TRUE(absl::IsNotFound(script.status())) << script.status();
}

}  // namespace
}  // namespace interpd::client
