// LogWriter: the daemon's log, on standard error, in one of three forms.
//
//   text      as Abseil prints it: for a terminal
//   journald  a priority in angle brackets before each line (sd-daemon(3)); time and process are the journal's to add
//   json      one object a line: time, level, message, source, thread, request_id
//
// Who includes this: main.cc.
//
// Lines are handed to a thread of the daemon's own and written there: a line may be logged on an interpreter's thread,
// whose file descriptor 2 is that interpreter's. What whoever reads standard error does not take is kept up to a limit,
// then dropped and counted; nobody waits, but for a fatal line and at the end.
//
// Thread safety: any thread, interpreters' threads included.
#ifndef INTERPD_DAEMON_LOG_WRITER_H_
#define INTERPD_DAEMON_LOG_WRITER_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "absl/base/log_severity.h"
#include "absl/base/thread_annotations.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace interpd::daemon {

enum class LogFormat { kText, kJournald, kJson };

// "text", "journald", "json"; "auto", and all else: journald if standard error leads to the journal, as systemd says in
// JOURNAL_STREAM, else text.
LogFormat LogFormatOf(std::string_view name);

// One line of a log, or several.
struct LogLine {
  absl::LogSeverity severity = absl::LogSeverity::kInfo;
  absl::Time time;
  std::string_view message;     // may have several lines
  std::string_view text;        // with the text form's prefix
  std::string_view source;      // "file.cc:12"; may be empty
  int64_t thread = 0;           // 0: none
  std::string_view request_id;  // empty: none
};

// As it is written, with a newline at its end.
std::string FormatLogLine(LogFormat format, const LogLine& line);

class LogWriter : public absl::LogSink {
 public:
  // Takes Abseil's log over. One a process, made with new and never deleted: its thread may be blocked for good. `fd`
  // must stay open.
  LogWriter(LogFormat format, absl::LogSeverityAtLeast level, int fd);

  // From now on a thread writes; until then, whoever logs, which must be the main thread. Not earlier than the host is
  // started: what that does to the table of file descriptors is cheap while there is one thread.
  void StartThread();

  void SetLevel(absl::LogSeverityAtLeast level);

  // A line for whoever has started the daemon, at any level: "interpd: MESSAGE" as text.
  void Say(absl::LogSeverity severity, std::string_view message);

  void Send(const absl::LogEntry& entry) override;
  // Waits until all is written, for a second at most.
  void Flush() override;

 private:
  void Push(std::string line);
  void WriteLines();
  // Returns what cannot be written.
  std::string_view WriteAll(std::string_view text);

  const LogFormat format_;
  const int fd_;
  std::atomic<absl::LogSeverityAtLeast> level_;
  absl::Mutex mutex_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  bool threaded_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_LOG_WRITER_H_
