#include "daemon/constant_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/crc/crc32c.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "daemon/interpreter_proto.h"

namespace interpd::daemon {
namespace {

constexpr std::string_view kSuffix = ".constant";
constexpr std::string_view kAsideSuffix = ".new";
constexpr std::string_view kMagic = "interpd-constant";
constexpr std::string_view kVersion = "1";
constexpr size_t kMaxHeader = 80;

absl::Status SystemError(std::string_view what, std::string_view path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(what, " ", path));
}

absl::Status Bad(std::string_view path, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(path, " ", why));
}

std::string HeaderOf(std::string_view content) {
  return absl::StrFormat("%s %s %d %08x\n", kMagic, kVersion, content.size(),
                         static_cast<uint32_t>(absl::ComputeCrc32c(content)));
}

// 0, or the errno of what went wrong.
int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConstantFiles>> ConstantFiles::Open(std::string directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return SystemError("cannot make", directory, errno);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot open", directory, errno);
  const int lock = openat(fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  const int lock_error = lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0 ? errno : 0;
  // Owns both from here on.
  std::unique_ptr<ConstantFiles> files(new ConstantFiles(directory, fd, lock));
  if (lock_error == EWOULDBLOCK) {
    return absl::AlreadyExistsError(absl::StrCat("another daemon keeps its constants in ", directory,
                                                 "; stop it first, or choose another --constants-dir"));
  }
  if (lock_error != 0) return SystemError("cannot lock", absl::StrCat(directory, "/.lock"), lock_error);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, ".") && absl::EndsWith(name, kAsideSuffix)) files->Drop(name);
  }
  if (error) return SystemError("cannot read", directory, error.value());
  return files;
}

ConstantFiles::~ConstantFiles() {
  if (lock_fd_ >= 0) close(lock_fd_);
  close(directory_fd_);
}

std::string ConstantFiles::PathOf(std::string_view id) const { return absl::StrCat(directory_, "/", id, kSuffix); }

absl::StatusOr<std::vector<std::string>> ConstantFiles::List() const {
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (absl::StartsWith(name, ".") || entry.is_directory(ignored)) continue;
    std::string_view id = name;
    if (!absl::ConsumeSuffix(&id, kSuffix) || !IsValidId(id)) {
      return Bad(entry.path().string(), "is no file of a constant, as ID.constant is; move it elsewhere");
    }
    ids.emplace_back(id);
  }
  if (error) return SystemError("cannot read", directory_, error.value());
  std::sort(ids.begin(), ids.end());
  return ids;
}

absl::StatusOr<std::string> ConstantFiles::Read(std::string_view id) const {
  const std::string path = PathOf(id);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot read", path, errno);
  struct stat facts = {};
  std::string content;
  int error = fstat(fd, &facts) == 0 ? 0 : errno;
  if (error == 0) content.resize(static_cast<size_t>(facts.st_size));
  for (size_t at = 0; error == 0 && at < content.size();) {
    const ssize_t got = read(fd, content.data() + at, content.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = errno;
    if (got == 0) content.resize(at);
    if (got > 0) at += static_cast<size_t>(got);
  }
  close(fd);
  if (error != 0) return SystemError("cannot read", path, error);

  const size_t end = std::string_view(content).substr(0, kMaxHeader).find('\n');
  const std::vector<std::string_view> words =
      absl::StrSplit(std::string_view(content).substr(0, end == std::string::npos ? 0 : end), ' ');
  uint64_t size = 0;
  uint32_t crc = 0;
  if (words.size() != 4 || words[0] != kMagic || !absl::SimpleAtoi(words[2], &size) ||
      !absl::SimpleHexAtoi(words[3], &crc)) {
    return Bad(path, "is no file of a constant: its first line is another");
  }
  if (words[1] != kVersion) return Bad(path, "was written by a later interpd, in a form that this one does not know");
  content.erase(0, end + 1);
  if (content.size() != size) {
    return Bad(path, absl::StrCat("is damaged: it has ", content.size(), " bytes of content, not ", size));
  }
  if (static_cast<uint32_t>(absl::ComputeCrc32c(content)) != crc) {
    return Bad(path, "is damaged: its checksum is another");
  }
  return content;
}

absl::StatusOr<std::string> ConstantFiles::WriteAside(std::string_view id, std::string_view content) {
  const std::string name = absl::StrCat(".", id, ".", ++last_aside_, kAsideSuffix);
  const std::string path = absl::StrCat(directory_, "/", name);
  const int fd = openat(directory_fd_, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return SystemError("cannot write", path, errno);
  int error = WriteAll(fd, HeaderOf(content));
  if (error == 0) error = WriteAll(fd, content);
  if (error == 0 && fsync(fd) != 0) error = errno;
  if (close(fd) != 0 && error == 0) error = errno;
  if (error == 0) return name;
  Drop(name);
  return SystemError("cannot write", path, error);
}

absl::Status ConstantFiles::Commit(const std::string& aside, std::string_view id) const {
  const std::string name = absl::StrCat(id, kSuffix);
  if (renameat(directory_fd_, aside.c_str(), directory_fd_, name.c_str()) != 0) {
    return SystemError("cannot write", PathOf(id), errno);
  }
  if (fsync(directory_fd_) != 0) return SystemError("cannot sync", directory_, errno);
  return absl::OkStatus();
}

void ConstantFiles::Drop(const std::string& aside) const { unlinkat(directory_fd_, aside.c_str(), 0); }

absl::Status ConstantFiles::Remove(std::string_view id) const {
  const std::string name = absl::StrCat(id, kSuffix);
  if (unlinkat(directory_fd_, name.c_str(), 0) != 0) {
    return errno == ENOENT ? absl::OkStatus() : SystemError("cannot remove", PathOf(id), errno);
  }
  if (fsync(directory_fd_) != 0) return SystemError("cannot sync", directory_, errno);
  return absl::OkStatus();
}

}  // namespace interpd::daemon
