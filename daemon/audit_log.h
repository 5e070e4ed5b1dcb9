// AuditLog: one line for each thing that was done or refused, in a file.
//
// Who includes this: rpc.cc, which says what; main.cc, which says where.
//
// A line is handed over in memory and written by a thread of its own, so nobody waits for the disk. When the disk does
// not keep up, or is full, lines are lost and the daemon goes on: how many is said in the file as soon as it takes
// lines again, and in the log. Lines are not synced.
//
// Thread safety: all methods, any thread; Reopen and Flush block on the file.
#ifndef INTERPD_DAEMON_AUDIT_LOG_H_
#define INTERPD_DAEMON_AUDIT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace interpd::daemon {

class AuditLog {
 public:
  // Lines that wait for the disk take no more memory than this.
  static constexpr size_t kMaxWaitingBytes = size_t{4} << 20;

  // Appends to the file; makes it, with mode 0600, if there is none. Errors: it cannot be opened.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(std::string file);

  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;
  // Writes what waits.
  ~AuditLog();

  // `line` is JSON, without a newline.
  void Write(std::string_view line);

  // Waits until what was handed over is written, or lost, but no longer than this.
  void Flush(absl::Duration timeout);

  // Opens the file of that name anew, as after it was renamed. On an error the one before goes on.
  absl::Status Reopen();

  // Lines that no file has.
  int64_t lost_count() const;

 private:
  AuditLog(std::string file, int fd);

  void Run();
  // Whole lines, at the end of the file. False: they are not in it, or not all.
  static bool Append(int fd, std::string_view lines);

  const std::string file_;
  mutable absl::Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_);
  std::string waiting_ ABSL_GUARDED_BY(mutex_);
  int64_t waiting_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // what waited before
  bool hurry_ ABSL_GUARDED_BY(mutex_) = false;    // somebody waits for it
  int64_t lost_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t told_lost_ ABSL_GUARDED_BY(mutex_) = 0;  // of these the file has told
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_AUDIT_LOG_H_
