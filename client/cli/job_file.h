// Job files: jobs as YAML or JSON, in the words of the API.
//
// Who includes this: job submit, and tests.
//
//   jobs:                              # or one job a document, with --- between
//     - key: thumbnails                # what `after` of other jobs calls it
//       script_file: thumbnail.py      # or `script`, the text itself
//       values: [a.jpg, b.jpg]         # or range: {begin: 0, end: 10}, or results_of_after: true
//       parallel: 4
//       timeout: 30s
//     - script_file: report.py
//       after: [thumbnails]            # or jobs of the daemon, by their names
//
// The keys are the fields of v1::JobSpec, as the proto writes them or as its JSON form does (script_name, scriptName).
// Durations are "30s", "2m" or a number of seconds; times are as for `--at`. A script's own block of options holds
// where the file says nothing. Relative paths are relative to the file. Jobs may stand in any order.
#ifndef INTERPD_CLIENT_CLI_JOB_FILE_H_
#define INTERPD_CLIENT_CLI_JOB_FILE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/session.h"
#include "client/job_inputs.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::client {

struct JobFile {
  v1::SubmitJobsRequest request;
  std::vector<std::unique_ptr<JobInputs>> inputs;  // of jobs(i), or null
  // positions[i] is where the i-th job of the file is in the request, which has each behind those it waits for.
  std::vector<int> positions;
  // Of jobs(i): "FILE:LINE:COLUMN: jobs[1]", with its place in the file.
  std::vector<std::string> places;
};

// The daemon's error about a job of the request, which says "jobs[0].retries must be ...", as one about the file.
absl::Status InJobFile(const JobFile& file, const absl::Status& status);

// Errors say "FILE:LINE:COLUMN: jobs[1].retries: ...".
absl::StatusOr<JobFile> ReadJobFile(Session& session, const std::string& file, absl::Time now);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_FILE_H_
