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
  const int64_t begin = come_[writer];
  const int64_t end = come_[writer] += static_cast<int64_t>(text.size());
  int64_t& shown = shown_[writer];
  text.remove_prefix(std::min(static_cast<size_t>(std::max(shown - begin, int64_t{0})), text.size()));
  shown = std::max(shown, end);
  const int64_t dropped =
      entry.dropped_bytes() > 0 && told_of_dropped_.insert(writer).second ? entry.dropped_bytes() : 0;
  if (text.empty() && dropped == 0) return;
  if (form_ == LogForm::kJson) {
    v1::JobLogsResponse rest = entry;
    rest.mutable_output()->set_data(std::string(text));
    rest.set_dropped_bytes(dropped);
    session_.Out(MessageToJson(rest) + "\n");
    return;
  }
  if (!text.empty()) Write(writer, text);
  if (dropped > 0) {
    Flush();
    session_.Err(
        absl::StrCat("interpctl: task ", entry.task_index(), " wrote ", dropped, " bytes more than are kept\n"));
  }
}

void JobLog::Write(const Writer& writer, std::string_view text) {
  v1::Output output;
  output.set_stream(static_cast<v1::Output::Stream>(std::get<2>(writer)));
  if (form_ == LogForm::kPrefixed) {
    LinePrefixer& lines = lines_[writer];
    output.set_data(lines.Take(absl::StrCat("[task ", std::get<0>(writer), "] "), text));
  } else {
    output.set_data(std::string(text));
  }
  ShowOutput(session_, output);
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
                        bool follow, LogForm form) {
  v1::JobLogsRequest request;
  request.set_name(name);
  request.set_follow(follow);
  if (task.has_value()) request.set_task_index(*task);
  JobLog log(session, form);
  const auto attempt = [&](const RpcOptions& options) {
    log.BeginAgain();
    return client.JobLogs(request, [&](const v1::JobLogsResponse& entry) { log.Show(entry); }, options);
  };
  // What is there is there at once; only who waits for more waits for a daemon.
  return follow ? AcrossRestarts(session, client, attempt) : attempt(session.rpc());
}

}  // namespace interpd::client
