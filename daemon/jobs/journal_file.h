// The journal's file: where it is, who may write it, which version it has.
//
// Who includes this: the journal and its readers.
#ifndef INTERPD_DAEMON_JOBS_JOURNAL_FILE_H_
#define INTERPD_DAEMON_JOBS_JOURNAL_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "daemon/jobs/database.h"

namespace interpd::daemon {

// Of the tables. One more for each change; the one before is migrated.
inline constexpr int kJournalVersion = 4;

// The right to write the journal of a directory, for one process at a time, as long as this lives.
class JournalLock {
 public:
  // Makes the directory, with mode 0700, if its parent exists. Errors: it cannot be made or written, or another daemon
  // uses it.
  static absl::StatusOr<JournalLock> Acquire(const std::string& directory);

  JournalLock(JournalLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  JournalLock& operator=(JournalLock&&) = delete;
  ~JournalLock();

 private:
  explicit JournalLock(int fd) : fd_(fd) {}
  int fd_;
};

std::string JournalPath(const std::string& directory);

// Opens the journal for its one writer, making or migrating it; the lock must be held. Errors name the file: it is of a
// newer version, of another program, or damaged; nothing was changed then.
absl::StatusOr<std::unique_ptr<Database>> OpenJournal(const std::string& directory);

// Opens it for reading, once the writer has.
absl::StatusOr<std::unique_ptr<Database>> OpenJournalToRead(const std::string& directory);

// Brings an empty or older database to `version`, at most kJournalVersion. For tests of migration; else OpenJournal.
absl::Status MigrateJournal(Database& database, int version);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_JOURNAL_FILE_H_
