// JobLog: shows what the tasks of a job write.
//
// Who includes this: job logs and job run.
#ifndef INTERPD_CLIENT_CLI_JOB_LOG_H_
#define INTERPD_CLIENT_CLI_JOB_LOG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

#include "client/cli/session.h"
#include "interpd/v1/jobs.pb.h"

namespace interpd::client {

// Where text of several writers goes: whole lines, each with a prefix that says whose it is. Thread safety: none.
class LinePrefixer {
 public:
  // `text` as it may be shown now: what is no whole line yet is kept, unless it is long.
  std::string Take(const std::string& prefix, std::string_view text);
  // What was kept, as a line.
  std::string Rest(const std::string& prefix);

 private:
  std::string kept_;
};

enum class LogForm {
  kPlain,     // what tasks write is passed on as it is
  kPrefixed,  // lines begin with "[task N] "
  kJson,      // each entry is a document, on a line of standard output
};

// Thread safety: none.
class JobLog {
 public:
  JobLog(Session& session, LogForm form) : session_(session), form_(form) {}
  ~JobLog() { Flush(); }
  JobLog(const JobLog&) = delete;
  JobLog& operator=(const JobLog&) = delete;

  void Show(const v1::JobLogsResponse& entry);

  // The log is about to come from its beginning once more, which may happen often: what was shown is not shown again.
  void BeginAgain() { come_.clear(); }

  // Shows what tasks have written without a line end.
  void Flush();

 private:
  // Task, attempt and stream.
  using Writer = std::tuple<int64_t, int32_t, int32_t>;

  void Write(const Writer& writer, std::string_view text);

  Session& session_;
  const LogForm form_;
  // Bytes from the beginning of what each has written: so many were shown, and so many have come this time.
  std::map<Writer, int64_t> shown_;
  std::map<Writer, int64_t> come_;
  std::set<Writer> told_of_dropped_;
  std::map<Writer, LinePrefixer> lines_;
};

// Shows the log of a job, or of one of its tasks, and with `follow` goes on until the job has ended, across restarts of
// the daemon.
absl::Status ShowJobLog(Session& session, Client& client, const std::string& name, std::optional<int64_t> task,
                        bool follow, LogForm form);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JOB_LOG_H_
