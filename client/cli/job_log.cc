#include "client/cli/job_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/foreground.h"
#include "client/cli/print.h"
#include "client/cli/restarts.h"
#include "client/client.h"

namespace interpd::client {
namespace {

// Of a line that does not end.
constexpr size_t kMaxKept = size_t{1} << 16;

}  // namespace

std::string LinePrefixer::Take(const std::string& prefix, std::string_view text) {
  std::string out;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
    absl::StrAppend(&out, prefix, std::exchange(kept_, ""), text.substr(0, end + 1));
  }
  kept_.append(text);
  if (kept_.size() > kMaxKept) out += Rest(prefix);
  return out;
}

std::string LinePrefixer::Rest(const std::string& prefix) {
  return kept_.empty() ? "" : absl::StrCat(prefix, std::exchange(kept_, ""), "\n");
}

void JobLog::Show(const v1::JobLogsResponse& entry) {
  const Writer writer = {entry.task_index(), entry.attempt(), static_cast<int32_t>(entry.output().stream())};
  std::string_view text = entry.output().data();
  shown_[writer] += static_cast<int64_t>(text.size());
  if (auto again = skip_.find(writer); again != skip_.end()) {
    const size_t skipped = std::min(static_cast<size_t>(again->second), text.size());
    text.remove_prefix(skipped);
    again->second -= static_cast<int64_t>(skipped);
    if (again->second == 0) skip_.erase(again);
    if (text.empty()) return;
  }
  Write(writer, text);
  if (entry.dropped_bytes() > 0) {
    Flush();
    session_.Err(absl::StrCat("interpctl: task ", entry.task_index(), " wrote ", entry.dropped_bytes(),
                              " bytes more than are kept\n"));
  }
}

void JobLog::Write(const Writer& writer, std::string_view text) {
  v1::Output output;
  output.set_stream(static_cast<v1::Output::Stream>(std::get<2>(writer)));
  if (prefix_) {
    LinePrefixer& lines = lines_[writer];
    output.set_data(lines.Take(absl::StrCat("[task ", std::get<0>(writer), "] "), text));
  } else {
    output.set_data(std::string(text));
  }
  ShowOutput(session_, output);
}

void JobLog::BeginAgain() {
  for (const auto& [writer, bytes] : skip_) shown_[writer] = std::max(shown_[writer], bytes);
  skip_ = std::exchange(shown_, {});
}

void JobLog::Flush() {
  for (auto& [writer, lines] : lines_) {
    v1::Output output;
    output.set_stream(static_cast<v1::Output::Stream>(std::get<2>(writer)));
    output.set_data(lines.Rest(absl::StrCat("[task ", std::get<0>(writer), "] ")));
    if (!output.data().empty()) ShowOutput(session_, output);
  }
  lines_.clear();
}

absl::Status ShowJobLog(Session& session, Client& client, const std::string& name, std::optional<int64_t> task,
                        bool follow, bool prefix) {
  v1::JobLogsRequest request;
  request.set_name(name);
  request.set_follow(follow);
  if (task.has_value()) request.set_task_index(*task);
  JobLog log(session, prefix);
  const auto attempt = [&](const RpcOptions& options) {
    log.BeginAgain();
    return client.JobLogs(
        request,
        [&](const v1::JobLogsResponse& entry) {
          if (session.json()) {
            session.Out(MessageToJson(entry) + "\n");
          } else {
            log.Show(entry);
          }
        },
        options);
  };
  // What is there is there at once; only who waits for more waits for a daemon.
  return follow && !session.json() ? AcrossRestarts(session, client, attempt) : attempt(session.rpc());
}

}  // namespace interpd::client
