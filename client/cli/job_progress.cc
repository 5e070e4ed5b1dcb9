#include "client/cli/job_progress.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/bar_line.h"
#include "client/cli/job_print.h"
#include "client/cli/print.h"
#include "client/cli/restarts.h"
#include "client/cli/utf8.h"
#include "client/client.h"

namespace interpd::client {
namespace {

// A rate is that of the last seconds.
constexpr absl::Duration kWindow = absl::Seconds(10);
// A terminal is told so often, and a file.
constexpr absl::Duration kBarPause = absl::Milliseconds(100);
constexpr absl::Duration kLinePause = absl::Seconds(5);

int64_t Done(const v1::Job& job) { return job.succeeded_count() + job.failed_count(); }

// "abcdefghij (thumbnails)"
std::string Title(const v1::Job& job) {
  const std::string& name = job.spec().display_name();
  return absl::StrCat(JobId(job.name()), name.empty() ? "" : absl::StrCat(" (", Printable(name), ")"));
}

// What is said of a job that has ended: "succeeded, 1000 of 1000 tasks in 8.3s".
std::string EndText(const v1::Job& job) {
  std::string text = JobStateName(job.state());
  if (job.task_count() > 1) absl::StrAppend(&text, ", ", DoneOf(job), " tasks");
  if (job.failed_count() > 0) absl::StrAppend(&text, ", ", job.failed_count(), " failed");
  if (job.has_start_time() && job.has_end_time()) {
    const absl::Duration took = absl::Seconds(job.end_time().seconds() - job.start_time().seconds()) +
                                absl::Nanoseconds(job.end_time().nanos() - job.start_time().nanos());
    absl::StrAppend(&text, " in ", ShortDuration(took));
  }
  if (!job.error().message().empty()) absl::StrAppend(&text, ": ", Printable(job.error().message()));
  return text;
}

}  // namespace

void TaskCounts::Update(int64_t done, int64_t failed, int64_t total, absl::Time now) {
  done_ = done;
  failed_ = failed;
  total_ = total;
  recent_.emplace_back(now, done);
  while (recent_.size() > 2 && now - recent_[1].first > kWindow) recent_.pop_front();
}

std::string TaskCounts::Text() const {
  std::string text = total_ == 0 ? absl::StrCat(done_, " tasks") : absl::StrCat(done_, " of ", total_, " tasks");
  if (failed_ > 0) absl::StrAppend(&text, ", ", failed_, " failed");
  if (recent_.size() < 2) return text;
  const double seconds = absl::ToDoubleSeconds(recent_.back().first - recent_.front().first);
  const auto gained = static_cast<double>(recent_.back().second - recent_.front().second);
  if (seconds <= 0 || gained <= 0) return text;
  const double rate = gained / seconds;
  absl::StrAppendFormat(&text, rate < 10 ? ", %.1f/s" : ", %.0f/s", rate);
  if (total_ > done_) {
    absl::StrAppend(&text, ", ", ShortDuration(absl::Seconds(static_cast<double>(total_ - done_) / rate)), " left");
  }
  return text;
}

JobProgress::JobProgress(Session& session, bool on_terminal) : session_(session), on_terminal_(on_terminal) {}

JobProgress::~JobProgress() { Clear(); }

void JobProgress::Clear() {
  if (bar_shown_) session_.Err("\r\033[K");
  bar_shown_ = false;
}

void JobProgress::Update(const v1::Job& job, absl::Time now) {
  v1::Job& known = jobs_[job.name()];
  known = job;
  Line& line = lines_[job.name()];
  line.counts.Update(Done(job), job.failed_count(), job.task_count(), now);
  const bool ended = HasEnded(job.state());
  if (ended && line.shown_state != job.state()) {
    Clear();
    session_.Err(absl::StrCat(Title(job), ": ", EndText(job), "\n"));
    line.shown_state = job.state();
  } else if (!ended && !on_terminal_) {
    SayPlainly(job, line, now);
  }
}

void JobProgress::SayPlainly(const v1::Job& job, Line& line, absl::Time now) {
  const bool new_state = line.shown_state != job.state();
  if (!new_state && (Done(job) == line.shown_done || now - line.shown < kLinePause)) return;
  const bool counts = job.state() == v1::Job::RUNNING && job.task_count() != 1;
  session_.Err(absl::StrCat(Title(job), ": ", JobStateName(job.state()),
                            counts ? absl::StrCat(", ", line.counts.Text()) : "", "\n"));
  line.shown_state = job.state();
  line.shown_done = Done(job);
  line.shown = now;
}

void JobProgress::Show(absl::Time now) {
  if (!on_terminal_) return;
  int64_t done = 0;
  int64_t failed = 0;
  int64_t total = 0;
  bool total_known = true;
  std::map<v1::Job::State, int> states;
  for (const auto& [name, job] : jobs_) {
    done += Done(job);
    failed += job.failed_count();
    total += job.task_count();
    total_known = total_known && (job.task_count() > 0 || HasEnded(job.state()));
    ++states[job.state()];
  }
  all_.Update(done, failed, total_known ? total : 0, now);
  if (std::all_of(states.begin(), states.end(), [](const auto& state) { return HasEnded(state.first); }))
    return Clear();
  if (bar_shown_ && now - bar_time_ < kBarPause) return;
  bar_time_ = now;
  std::string text;
  if (jobs_.size() == 1) {
    text = absl::StrCat(JobId(jobs_.begin()->first), " ", JobStateName(jobs_.begin()->second.state()));
  } else {
    text = absl::StrCat(jobs_.size(), " jobs:");
    for (const auto& [state, count] : states) absl::StrAppend(&text, " ", count, " ", JobStateName(state));
  }
  session_.Err(absl::StrCat("\r\033[K", BarLine(text, all_.part(), all_.Text(), TerminalColumns())));
  bar_shown_ = true;
}

int ExitCodeOf(const std::map<std::string, v1::Job>& jobs) {
  int code = kOk;
  for (const auto& [name, job] : jobs) {
    if (job.state() == v1::Job::FAILED) return kPythonRaised;
    if (job.state() == v1::Job::CANCELLED) code = kJobCancelled;
  }
  return code;
}

int WatchJobs(Session& session, Client& client, const std::vector<std::string>& names) {
  JobProgress progress(session, isatty(STDERR_FILENO) != 0);
  absl::Status status = AcrossRestarts(session, client, [&](const RpcOptions& options) {
    absl::Status ended = client.WatchJobs(
        names,
        [&](const v1::WatchJobsResponse& response) {
          const absl::Time now = absl::Now();
          for (const v1::Job& job : response.jobs()) progress.Update(job, now);
          progress.Show(now);
        },
        options);
    progress.Clear();
    return ended;
  });
  if (!status.ok()) return session.Fail(status);
  if (session.json()) {
    std::vector<v1::Job> jobs;
    for (const std::string& name : names) {
      if (auto found = progress.jobs().find(name); found != progress.jobs().end()) jobs.push_back(found->second);
    }
    session.Out(jobs.size() == 1 ? JsonDocument(jobs[0]) : JobDocument(jobs));
  }
  return ExitCodeOf(progress.jobs());
}

}  // namespace interpd::client
