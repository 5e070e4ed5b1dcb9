// Progress: says on a terminal's standard error, in place, how far a command has come.
//
// Who includes this: commands that do many things.
#ifndef INTERPD_CLIENT_CLI_PROGRESS_H_
#define INTERPD_CLIENT_CLI_PROGRESS_H_

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/session.h"

namespace interpd::client {

// Thread safety: none of its own.
class Progress {
 public:
  // `done`: "created" for "created 3 of 8". A total of 0 is not known: "sent 300". A total of 1 shows nothing.
  Progress(Session& session, std::string done, int64_t total)
      : session_(session), done_(std::move(done)), total_(total), on_(total != 1 && isatty(STDERR_FILENO)) {}
  ~Progress() {
    if (shown_) session_.Err("\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(int64_t count) {
    if (!on_) return;
    // A terminal takes longer than the work itself: it is told ten times a second, and of the last.
    const absl::Time now = absl::Now();
    if (shown_ && count != total_ && now - last_ < absl::Milliseconds(100)) return;
    last_ = now;
    shown_ = true;
    session_.Err(absl::StrCat("\r", done_, " ", count, total_ == 0 ? "" : absl::StrCat(" of ", total_)));
  }

 private:
  Session& session_;
  const std::string done_;
  const int64_t total_;
  const bool on_;
  bool shown_ = false;
  absl::Time last_;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_PROGRESS_H_
