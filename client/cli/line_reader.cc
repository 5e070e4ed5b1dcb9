#include "client/cli/line_reader.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <filesystem>
#include <string_view>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"

namespace interpd::client {
namespace {

constexpr int kHistoryLines = 1000;
constexpr wchar_t kCtrlC = 3;
constexpr wchar_t kCtrlD = 4;

// Waits for standard input and for Interrupt at the same time.
class InterruptibleInput {
 public:
  InterruptibleInput() : event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { PCHECK(event_fd_ >= 0); }
  ~InterruptibleInput() { close(event_fd_); }

  void Interrupt() {
    const uint64_t one = 1;
    PCHECK(write(event_fd_, &one, sizeof(one)) == sizeof(one));
  }

  // Reads up to `size` bytes. 0 at the end, -1 when interrupted.
  ssize_t Read(char* buffer, size_t size) {
    while (true) {
      pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = event_fd_, .events = POLLIN}};
      if (poll(fds, 2, -1) < 0) continue;
      if (fds[1].revents != 0) {
        uint64_t count;
        if (read(event_fd_, &count, sizeof(count)) > 0) return -1;
      }
      if (fds[0].revents == 0) continue;
      ssize_t got = read(STDIN_FILENO, buffer, size);
      if (got >= 0) return got;
      if (errno != EINTR && errno != EAGAIN) return 0;
    }
  }

 private:
  const int event_fd_;
};

class PlainReader : public LineReader {
 public:
  Result Read(const std::string&, std::string& line) override {
    line.clear();
    while (true) {
      if (size_t end = buffer_.find('\n'); end != std::string::npos) {
        line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return Result::kLine;
      }
      char bytes[4096];
      ssize_t got = input_.Read(bytes, sizeof(bytes));
      if (got < 0) return Result::kInterrupted;
      if (got > 0) {
        buffer_.append(bytes, got);
      } else if (buffer_.empty()) {
        return Result::kEnd;
      } else {
        buffer_ += '\n';  // a last line without an end
      }
    }
  }
  void Interrupt() override { input_.Interrupt(); }
  bool is_terminal() const override { return false; }

 private:
  InterruptibleInput input_;
  std::string buffer_;
};

class EditingReader : public LineReader {
 public:
  explicit EditingReader(const std::string& history_file) : history_file_(history_file) {
    // libedit reads characters as the locale has them; without one, people still type UTF-8.
    setlocale(LC_CTYPE, "");
    if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") setlocale(LC_CTYPE, "C.UTF-8");
    editor_ = el_init("interpctl", stdin, stdout, stderr);
    history_ = history_init();
    CHECK(editor_ != nullptr && history_ != nullptr);
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);
    if (!history_file_.empty()) history(history_, &event, H_LOAD, history_file_.c_str());
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &EditingReader::Prompt);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_GETCFN, &EditingReader::GetCharacter);
    el_set(editor_, EL_ADDFN, "interrupt-line", "Give the line up", &EditingReader::OnInterrupt);
    el_set(editor_, EL_BIND, "^C", "interrupt-line", nullptr);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_set(editor_, EL_BIND, "^I", "ed-insert", nullptr);  // a tab indents
    el_source(editor_, nullptr);                           // ~/.editrc
  }

  ~EditingReader() override {
    HistEvent event;
    if (!history_file_.empty()) history(history_, &event, H_SAVE, history_file_.c_str());
    history_end(history_);
    el_end(editor_);
  }

  Result Read(const std::string& prompt, std::string& line) override {
    prompt_ = prompt;
    interrupted_ = false;
    el_resize(editor_);  // the window may have changed while code ran
    int count = 0;
    const char* text = el_gets(editor_, &count);
    if (interrupted_) return Result::kInterrupted;
    if (text == nullptr || count <= 0) return Result::kEnd;
    line.assign(text, count);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    HistEvent event;
    if (line.find_first_not_of(" \t") != std::string::npos) history(history_, &event, H_ENTER, line.c_str());
    return Result::kLine;
  }

  void Interrupt() override { input_.Interrupt(); }
  bool is_terminal() const override { return true; }

 private:
  static EditingReader& Self(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<EditingReader*>(self);
  }

  static char* Prompt(EditLine* editor) { return Self(editor).prompt_.data(); }

  // Ends el_gets as the end of input does; Read tells the two apart.
  static unsigned char OnInterrupt(EditLine* editor, int) {
    Self(editor).interrupted_ = true;
    return CC_EOF;
  }

  static int GetCharacter(EditLine* editor, wchar_t* character) {
    EditingReader& self = Self(editor);
    std::mbstate_t state = {};
    while (true) {
      char byte;
      ssize_t got = self.input_.Read(&byte, 1);
      if (got < 0) {
        // As if Ctrl-C had been typed, which is bound to interrupt-line.
        *character = kCtrlC;
        return 1;
      }
      if (got == 0) return 0;
      const size_t length = std::mbrtowc(character, &byte, 1, &state);
      if (length == static_cast<size_t>(-2)) continue;  // more bytes of it follow
      if (length == static_cast<size_t>(-1)) {
        state = {};
        continue;  // no character: ignored
      }
      if (*character == L'\0') {
        // A Ctrl-D from before this editor had the terminal, while code ran or just after the prompt: the kernel keeps
        // it as NUL. With a line begun it has no meaning, nor has a NUL that was typed (Ctrl-@).
        const LineInfoW& typed = *el_wline(editor);
        if (typed.lastchar != typed.buffer) continue;
        *character = kCtrlD;
      }
      return 1;
    }
  }

  const std::string history_file_;
  InterruptibleInput input_;
  EditLine* editor_ = nullptr;
  ::History* history_ = nullptr;
  std::string prompt_;
  bool interrupted_ = false;
};

}  // namespace

std::unique_ptr<LineReader> LineReader::Make(const std::string& history_file) {
  if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) return std::make_unique<EditingReader>(history_file);
  return std::make_unique<PlainReader>();
}

std::string HistoryFile() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string directory;
  if (state != nullptr && *state == '/') {
    directory = state;
  } else if (home != nullptr && *home != '\0') {
    directory = absl::StrCat(home, "/.local/state");
  } else {
    return "";
  }
  directory += "/interpd";
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return "";
  chmod(directory.c_str(), 0700);
  return directory + "/history";
}

}  // namespace interpd::client
