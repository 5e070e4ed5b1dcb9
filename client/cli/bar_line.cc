#include "client/cli/bar_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace interpd::client {
namespace {

constexpr size_t kLongestBar = 30;
// A shorter one says nothing.
constexpr size_t kShortestBar = 5;

std::string Bar(double part, size_t width) {
  const size_t filled = std::min(static_cast<size_t>(part * static_cast<double>(width)), width);
  std::string bar(width, ' ');
  std::fill_n(bar.begin(), filled, '=');
  if (filled < width) bar[filled] = '>';
  return bar;
}

}  // namespace

size_t TerminalColumns() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string BarLine(std::string_view head, double part, std::string_view tail, size_t columns) {
  const size_t room = columns - 1;
  const std::string begin = absl::StrCat(head, head.empty() ? "" : " ");
  const size_t taken = begin.size() + tail.size() + 3;  // with brackets and a space
  const size_t width = room > taken ? std::min(room - taken, kLongestBar) : 0;
  const std::string bar = width < kShortestBar ? "" : absl::StrCat("[", Bar(part, width), "] ");
  return absl::StrCat(begin, bar, tail).substr(0, room);
}

}  // namespace interpd::client
