// InputLines: the lines of a file or of standard input, as they come, and without being stuck in a read on Ctrl-C.
//
// Who includes this: commands that read values, one a line.
#ifndef INTERPD_CLIENT_CLI_INPUT_LINES_H_
#define INTERPD_CLIENT_CLI_INPUT_LINES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd::client {

// Lines are numbered from 1. Thread safety: Interrupt may be called by any thread.
class InputLines {
 public:
  // `fd` stays the caller's; errors call it `name`. Once `other_interrupt_fd` is readable, it is as after Interrupt.
  InputLines(int fd, std::string name, int other_interrupt_fd = -1);
  ~InputLines();
  InputLines(const InputLines&) = delete;
  InputLines& operator=(const InputLines&) = delete;

  // The next line without its end; none at the end of the input. CANCELLED after Interrupt, DEADLINE_EXCEEDED.
  absl::StatusOr<std::optional<std::string>> Next(absl::Time deadline);

  // Ends a Next that waits, and all that would.
  void Interrupt();

  // Begins again from the first line. False: what is read cannot be read twice.
  bool Rewind();

  // Of the line that Next has returned last.
  int64_t number() const { return number_; }

 private:
  absl::Status Wait(absl::Time deadline) const;

  const int fd_;
  const std::string name_;
  const int interrupt_fd_;
  const int other_interrupt_fd_;  // or -1
  std::string buffer_;
  size_t begin_ = 0;  // of what was not returned yet
  int64_t number_ = 0;
  bool at_end_ = false;
};

// Whether there is nothing but white space.
bool IsBlank(std::string_view line);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_INPUT_LINES_H_
