// ProgressBar: how much of one piece of work is done; a bar on a terminal, a line at its end elsewhere.
//
// Who includes this: the quickstart.
#ifndef INTERPD_EXAMPLES_PROGRESS_BAR_H_
#define INTERPD_EXAMPLES_PROGRESS_BAR_H_

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace interpd::examples {

// Thread safety: none.
class ProgressBar {
 public:
  ProgressBar(std::string title, size_t total)
      : title_(std::move(title)), total_(total), terminal_(isatty(STDOUT_FILENO) == 1), start_(absl::Now()) {
    Show(0);
  }

  // At most 20 times a second, so that it costs nothing.
  void Show(size_t done) {
    const absl::Time now = absl::Now();
    if (!terminal_ || (done < total_ && now < next_)) return;
    next_ = now + absl::Milliseconds(50);
    constexpr size_t kWidth = 40;
    const size_t filled = total_ == 0 ? kWidth : std::min(kWidth, done * kWidth / total_);
    absl::PrintF("\r%-30s [%s%s] %4d/%d", title_, std::string(filled, '#'), std::string(kWidth - filled, '.'), done,
                 total_);
    std::fflush(stdout);
  }

  // Ends the line and returns how long the work took.
  absl::Duration Finish() {
    const absl::Duration took = absl::Now() - start_;
    if (terminal_) {
      Show(total_);
      absl::PrintF("  %.2f s\n", absl::ToDoubleSeconds(took));
    } else {
      absl::PrintF("%-30s %d files in %.2f s\n", title_, total_, absl::ToDoubleSeconds(took));
    }
    std::fflush(stdout);
    return took;
  }

 private:
  const std::string title_;
  const size_t total_;
  const bool terminal_;
  const absl::Time start_;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace interpd::examples

#endif  // INTERPD_EXAMPLES_PROGRESS_BAR_H_
