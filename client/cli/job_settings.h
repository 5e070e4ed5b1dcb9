// JobSettings: the options of a job as people write them: flags of `job submit` and `job run`, and keys of the block at
// the head of a script.
//
// Who includes this: the commands that submit jobs, and the reader of that block.
//
// There is one table of them, so that a key is the long name of its flag, always.
#ifndef INTERPD_CLIENT_CLI_JOB_SETTINGS_H_
#define INTERPD_CLIENT_CLI_JOB_SETTINGS_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/session.h"
#include "client/job_inputs.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::client {

struct JobOption {
  enum class Takes { kNothing, kOne, kMany };

  const char* name;  // without its dashes
  Takes takes;
  const char* type;  // what --help and completion call its value
  const char* help;
};

// All of them, in the order of --help.
std::span<const JobOption> JobOptions();

// What was said about one of them.
struct JobSetting {
  std::vector<std::string> values;  // of one that takes nothing: none
  std::string where;                // what errors begin with: "--retries", "a.py:3: retries"
  std::string directory;            // what relative paths are relative to; empty: our working directory
};

// By the option's name.
using JobSettings = std::map<std::string, JobSetting, std::less<>>;

// Those of `flags`, and of `header` what the flags leave open. Where inputs come from is one matter: a flag that says
// it replaces all that the header says about it.
JobSettings Merge(JobSettings header, const JobSettings& flags);

// A job that is ready to be submitted, but for its script.
struct JobPlan {
  v1::JobSpec spec;
  std::unique_ptr<JobInputs> inputs;  // null: there are none, or they are in the spec
  bool watch = false;
};

// Does what the settings say to the plan. Errors begin with the setting's `where`. Ranges of numbers are the daemon's
// to check. `now` is for times that are given relative to it.
absl::Status Apply(const JobSettings& settings, Session& session, absl::Time now, JobPlan* plan);

// "A:B"
std::optional<v1::JobSpec::Range> ParseRange(std::string_view text);

// Without a bound, unlike SetDuration of files.h.
google::protobuf::Duration ToProtoDuration(absl::Duration duration);
google::protobuf::Timestamp ToProtoTimestamp(absl::Time time);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_SETTINGS_H_
