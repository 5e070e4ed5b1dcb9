// ProgressBar: shows on a terminal's standard error, in place, how many bytes of how many are done.
//
// Who includes this: commands that move much data. For things that are counted: progress.h.
#ifndef INTERPD_CLIENT_CLI_PROGRESS_BAR_H_
#define INTERPD_CLIENT_CLI_PROGRESS_BAR_H_

#include <unistd.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/bar_line.h"
#include "client/cli/print.h"
#include "client/cli/session.h"

namespace interpd::client {

// Thread safety: none of its own.
class ProgressBar {
 public:
  explicit ProgressBar(Session& session) : session_(session), on_(isatty(STDERR_FILENO)) {}
  ~ProgressBar() {
    if (shown_) session_.Err("\r\033[K");
  }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // "[=======>            ]  38%, 76 MiB of 200 MiB", and behind that `note`.
  void Show(int64_t done, int64_t total, const std::string& note) {
    if (!on_) return;
    // As in Progress: a terminal is slow.
    const absl::Time now = absl::Now();
    if (shown_ && done != total && now - last_ < absl::Milliseconds(100)) return;
    last_ = now;
    shown_ = true;
    const double part = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
    const std::string tail =
        absl::StrFormat("%3.0f%%, %s of %s%s", part * 100, ShortBytes(done), ShortBytes(total), note);
    session_.Err(absl::StrCat("\r\033[K", BarLine("", part, tail, TerminalColumns())));
  }

 private:
  Session& session_;
  const bool on_;
  bool shown_ = false;
  absl::Time last_;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_PROGRESS_BAR_H_
