// Lines typed by the user: edited and remembered by libedit on a terminal, just read when standard input is none.
//
// Who includes this: repl.
#ifndef INTERPD_CLIENT_CLI_LINE_READER_H_
#define INTERPD_CLIENT_CLI_LINE_READER_H_

#include <memory>
#include <string>

namespace interpd::client {

class LineReader {
 public:
  enum class Result { kLine, kInterrupted, kEnd };

  // `history_file` is loaded, and saved by the destructor; empty: nothing is kept.
  static std::unique_ptr<LineReader> Make(const std::string& history_file);
  virtual ~LineReader() = default;

  // The next line, without its end. kInterrupted: Interrupt was called, or Ctrl-C was typed; what stood in the line is
  // gone. kEnd: Ctrl-D on an empty line, or the end of the input.
  virtual Result Read(const std::string& prompt, std::string& line) = 0;

  // Ends a Read that waits. May be called by any thread.
  virtual void Interrupt() = 0;

  virtual bool is_terminal() const = 0;
};

// $XDG_STATE_HOME/interpd/history, by default below ~/.local/state; its directory is made. Empty when there is no home.
std::string HistoryFile();

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_LINE_READER_H_
