#include "daemon/log_writer.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <thread>
#include <utility>

#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "daemon/request_id.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

// Bytes of lines that wait to be written.
constexpr size_t kMaxWaiting = size_t{8} << 20;

constexpr absl::Duration kFlushTime = absl::Seconds(1);

// Whether standard error is the stream that systemd has connected to the journal.
bool LeadsToJournal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat there;
  if (stream == nullptr || fstat(STDERR_FILENO, &there) != 0) return false;
  return absl::StrCat(there.st_dev, ":", there.st_ino) == stream;
}

// syslog(3)'s numbers.
int PriorityOf(absl::LogSeverity severity) {
  switch (severity) {
    case absl::LogSeverity::kInfo: return 6;
    case absl::LogSeverity::kWarning: return 4;
    case absl::LogSeverity::kError: return 3;
    default: return 2;
  }
}

std::string_view LevelOf(absl::LogSeverity severity) {
  switch (severity) {
    case absl::LogSeverity::kInfo: return "info";
    case absl::LogSeverity::kWarning: return "warning";
    case absl::LogSeverity::kError: return "error";
    default: return "fatal";
  }
}

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (char c : ToValidUtf8(text)) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(out, "\\u%04x", c);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

std::string JsonLine(const LogLine& line) {
  std::string out = "{\"time\":";
  AppendJsonString(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", line.time, absl::UTCTimeZone()), &out);
  absl::StrAppend(&out, ",\"level\":\"", LevelOf(line.severity), "\",\"message\":");
  AppendJsonString(line.message, &out);
  if (!line.source.empty()) {
    out.append(",\"source\":");
    AppendJsonString(line.source, &out);
  }
  if (line.thread != 0) absl::StrAppend(&out, ",\"thread\":", line.thread);
  if (!line.request_id.empty()) {
    out.append(",\"request_id\":");
    AppendJsonString(line.request_id, &out);
  }
  out.append("}\n");
  return out;
}

}  // namespace

LogFormat LogFormatOf(std::string_view name) {
  if (name == "text") return LogFormat::kText;
  if (name == "journald") return LogFormat::kJournald;
  if (name == "json") return LogFormat::kJson;
  return LeadsToJournal() ? LogFormat::kJournald : LogFormat::kText;
}

std::string FormatLogLine(LogFormat format, const LogLine& line) {
  if (format == LogFormat::kJson) return JsonLine(line);
  std::string request = line.request_id.empty() ? "" : absl::StrCat(" [request ", line.request_id, "]");
  if (format == LogFormat::kText) return absl::StrCat(line.text, request, "\n");
  std::string out;
  for (std::string_view part : absl::StrSplit(absl::StripSuffix(line.message, "\n"), '\n')) {
    absl::StrAppend(&out, "<", PriorityOf(line.severity), ">", part, request, "\n");
    request.clear();
  }
  return out;
}

LogWriter::LogWriter(LogFormat format, absl::LogSeverityAtLeast level, int fd)
    : format_(format), fd_(fd), level_(level) {
  absl::InitializeLog();
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::AddLogSink(this);
}

void LogWriter::StartThread() {
  {
    absl::MutexLock lock(mutex_);
    threaded_ = true;
  }
  std::thread([this] {
    pthread_setname_np(pthread_self(), "interpd-log");
    WriteLines();
  }).detach();
}

void LogWriter::SetLevel(absl::LogSeverityAtLeast level) { level_.store(level, std::memory_order_relaxed); }

void LogWriter::Say(absl::LogSeverity severity, std::string_view message) {
  Push(FormatLogLine(
      format_,
      {.severity = severity, .time = absl::Now(), .message = message, .text = absl::StrCat("interpd: ", message)}));
}

void LogWriter::Send(const absl::LogEntry& entry) {
  if (entry.log_severity() < level_.load(std::memory_order_relaxed)) return;
  // A fatal line comes twice: the second time with the stack alone to be new.
  std::string_view message = entry.stacktrace().empty() ? entry.text_message() : entry.stacktrace();
  std::string_view text = entry.stacktrace().empty() ? entry.text_message_with_prefix() : entry.stacktrace();
  Push(FormatLogLine(format_, {.severity = entry.log_severity(),
                               .time = entry.timestamp(),
                               .message = message,
                               .text = text,
                               .source = absl::StrCat(entry.source_basename(), ":", entry.source_line()),
                               .thread = static_cast<int64_t>(entry.tid()),
                               .request_id = RequestScope::CurrentId()}));
}

void LogWriter::Push(std::string line) {
  absl::MutexLock lock(mutex_);
  if (!threaded_) {
    WriteAll(line);
    return;
  }
  if (bytes_ + line.size() > kMaxWaiting) {
    ++dropped_;
    return;
  }
  bytes_ += line.size();
  lines_.push_back(std::move(line));
}

void LogWriter::Flush() {
  absl::MutexLock lock(mutex_);
  auto written = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return lines_.empty() && !writing_; };
  mutex_.AwaitWithTimeout(absl::Condition(&written), kFlushTime);
}

void LogWriter::WriteLines() {
  std::string batch;
  for (;;) {
    batch.clear();
    {
      auto something = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !lines_.empty(); };
      absl::MutexLock lock(mutex_);
      writing_ = false;
      mutex_.Await(absl::Condition(&something));
      for (const std::string& line : lines_) batch.append(line);
      lines_.clear();
      bytes_ = 0;
      if (dropped_ != 0) {
        std::string lost = absl::StrCat(std::exchange(dropped_, 0), " log lines were lost: nobody took them in time");
        batch.append(FormatLogLine(format_, {.severity = absl::LogSeverity::kError,
                                             .time = absl::Now(),
                                             .message = lost,
                                             .text = absl::StrCat("interpd: ", lost)}));
      }
      writing_ = true;
    }
    const std::string_view lost = WriteAll(batch);
    if (lost.empty()) continue;
    absl::MutexLock lock(mutex_);
    dropped_ += static_cast<size_t>(std::count(lost.begin(), lost.end(), '\n'));
  }
}

std::string_view LogWriter::WriteAll(std::string_view text) {
  while (!text.empty()) {
    ssize_t count = write(fd_, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {  // whoever started the daemon shares it without blocking
      pollfd room = {.fd = fd_, .events = POLLOUT};
      poll(&room, 1, -1);
      continue;
    }
    if (count <= 0) break;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return text;
}

}  // namespace interpd::daemon
