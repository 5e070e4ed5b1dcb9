#include "daemon/process_info.h"

#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace interpd::daemon {

ProcessInfo ReadProcessInfo() {
  ProcessInfo info;
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);) {
    std::pair<std::string_view, std::string_view> field = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (field.first != "VmRSS" && field.first != "Threads") continue;
    int64_t value = 0;
    std::vector<std::string_view> words = absl::StrSplit(field.second, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.empty() || !absl::SimpleAtoi(words[0], &value)) continue;
    if (field.first == "VmRSS") {
      info.rss_bytes = value * 1024;
    } else {
      info.threads = value;
    }
  }
  if (DIR* directory = opendir("/proc/thread-self/fd")) {
    // ".", ".." and the directory itself are not among the process's files.
    while (readdir(directory) != nullptr) ++info.open_fds;
    closedir(directory);
    info.open_fds -= 3;
  }
  return info;
}

}  // namespace interpd::daemon
