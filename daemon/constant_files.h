// ConstantFiles: the directory in which constants outlive the daemon (--constants-dir), one file each.
//
// Who includes this: ConstantStore.
//
// ID.constant holds one line of text, "interpd-constant 1 SIZE CRC32C", and the content, a serialized interpd.v1.Value
// of SIZE bytes. A file is written aside, under a name that begins with a dot, synced and then renamed: under its own
// name it is always whole. Directories and names that begin with a dot are no constants; any other file is an error, as
// is a damaged one.
//
// One daemon at a time owns a directory: it holds a lock on the file .lock in it.
//
// Errors name the file. Thread safety: all methods, any thread that belongs to no interpreter.
#ifndef INTERPD_DAEMON_CONSTANT_FILES_H_
#define INTERPD_DAEMON_CONSTANT_FILES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace interpd::daemon {

class ConstantFiles {
 public:
  // Makes the directory if it is missing, takes the lock, and removes what a daemon that died has left half written.
  static absl::StatusOr<std::unique_ptr<ConstantFiles>> Open(std::string directory);
  ConstantFiles(const ConstantFiles&) = delete;
  ConstantFiles& operator=(const ConstantFiles&) = delete;
  // Lets go of the lock.
  ~ConstantFiles();

  // The IDs of all constants in it, in their order. Errors: a file that is none.
  absl::StatusOr<std::vector<std::string>> List() const;

  // The content of one. Errors: damaged, or not to be read.
  absl::StatusOr<std::string> Read(std::string_view id) const;

  // Writes the content aside, syncs it and returns its name; then it is either made the file of that ID, or dropped.
  absl::StatusOr<std::string> WriteAside(std::string_view id, std::string_view content);
  absl::Status Commit(const std::string& aside, std::string_view id) const;
  void Drop(const std::string& aside) const;

  // No error if there is none.
  absl::Status Remove(std::string_view id) const;

  std::string PathOf(std::string_view id) const;

 private:
  ConstantFiles(std::string directory, int directory_fd, int lock_fd)
      : directory_(std::move(directory)), directory_fd_(directory_fd), lock_fd_(lock_fd) {}

  const std::string directory_;
  const int directory_fd_;
  const int lock_fd_;
  std::atomic<uint64_t> last_aside_{0};
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONSTANT_FILES_H_
