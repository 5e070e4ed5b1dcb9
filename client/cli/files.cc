#include "client/cli/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace interpd::client {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string content;
  ssize_t got = fd < 0 ? -1 : 0;
  while (fd >= 0) {
    char buffer[1 << 16];
    got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    content.append(buffer, got);
  }
  const int error = errno;
  if (fd >= 0) close(fd);
  if (got < 0) return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", std::strerror(error)));
  return content;
}

std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return path;
  std::string normal = absolute.lexically_normal().string();
  if (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

void SetDuration(absl::Duration duration, google::protobuf::Duration& proto) {
  duration = std::min(duration, absl::Hours(1));
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(duration / absl::Nanoseconds(1)));
}

}  // namespace interpd::client
