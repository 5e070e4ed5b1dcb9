#include "client/cli/job_inputs.h"

#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/input_lines.h"
#include "client/cli/value_json.h"

namespace interpd::client {
namespace {

class Lines : public JobInputs {
 public:
  Lines(Session& session, int fd, std::string name)
      : session_(session), fd_(fd), name_(std::move(name)), lines_(fd, name_) {
    previous_ = session_.interrupts().SetHandler([this](int count) {
      if (count > 1) _exit(session_.interrupts().exit_code());
      session_.cancellation().Cancel();
      lines_.Interrupt();
    });
  }
  ~Lines() override {
    session_.interrupts().SetHandler(std::move(previous_));
    close(fd_);
  }

  absl::StatusOr<std::optional<v1::Value>> Next() override {
    absl::StatusOr<std::optional<std::string>> line;
    do {
      line = lines_.Next(absl::InfiniteFuture());
      if (!line.ok()) return line.status();
      if (!line->has_value()) return std::nullopt;
    } while (IsBlank(**line));
    absl::StatusOr<v1::Value> value = JsonToValue(**line);
    if (value.ok()) return *std::move(value);
    return absl::Status(value.status().code(),
                        absl::StrCat(name_, ":", lines_.number(), ": ", value.status().message()));
  }

  bool Rewind() override { return lines_.Rewind(); }

 private:
  Session& session_;
  const int fd_;
  const std::string name_;
  InputLines lines_;
  Interrupts::Handler previous_;
};

class Listed : public JobInputs {
 public:
  explicit Listed(std::vector<v1::Value> values) : values_(std::move(values)) {}

  absl::StatusOr<std::optional<v1::Value>> Next() override {
    if (next_ == values_.size()) return std::nullopt;
    return values_[next_++];
  }

  bool Rewind() override {
    next_ = 0;
    return true;
  }

 private:
  const std::vector<v1::Value> values_;
  size_t next_ = 0;
};

// Bytes of the character of UTF-8 that `text` begins with; 0 when it begins with none.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  // The second byte's bounds keep out overlong forms, surrogates and what is beyond Unicode.
  const size_t bytes = first >= 0xC2 && first <= 0xDF   ? 2
                       : first >= 0xE0 && first <= 0xEF ? 3
                       : first >= 0xF0 && first <= 0xF4 ? 4
                                                        : 0;
  const int least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const int most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (bytes == 0 || byte(1) < least || byte(1) > most) return 0;
  for (size_t i = 2; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return bytes;
}

// As os.fsdecode has it: a byte that is no UTF-8 becomes a lone surrogate, so that open() finds the file.
v1::Value PathValue(const std::string& path) {
  std::string text;
  bool plain = true;
  for (size_t i = 0; i < path.size();) {
    const size_t bytes = CharacterBytes(std::string_view(path).substr(i));
    if (bytes > 0) {
      text.append(path, i, bytes);
      i += bytes;
      continue;
    }
    plain = false;
    const int surrogate = 0xDC00 + static_cast<unsigned char>(path[i++]);
    text += {static_cast<char>(0xE0 | surrogate >> 12), static_cast<char>(0x80 | (surrogate >> 6 & 0x3F)),
             static_cast<char>(0x80 | (surrogate & 0x3F))};
  }
  v1::Value value;
  plain ? value.set_str(std::move(text)) : value.set_surrogate_str(std::move(text));
  return value;
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobInputs>> LineInputs(Session& session, const std::string& file) {
  const int fd = file == "-" ? dup(STDIN_FILENO) : open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::NotFoundError(absl::StrCat("cannot read ", file, ": ", std::strerror(errno)));
  return std::make_unique<Lines>(session, fd, file == "-" ? "standard input" : file);
}

absl::StatusOr<std::unique_ptr<JobInputs>> GlobInputs(const std::string& pattern) {
  glob_t found;
  const int error = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  if (error == GLOB_NOMATCH) return absl::NotFoundError(absl::StrCat("nothing matches ", pattern));
  if (error != 0) return absl::NotFoundError(absl::StrCat("cannot read the directories of ", pattern));
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  // By their bytes, in every locale.
  std::sort(paths.begin(), paths.end());
  std::vector<v1::Value> values;
  values.reserve(paths.size());
  for (const std::string& path : paths) values.push_back(PathValue(path));
  return ListedInputs(std::move(values));
}

std::unique_ptr<JobInputs> ListedInputs(std::vector<v1::Value> values) {
  return std::make_unique<Listed>(std::move(values));
}

}  // namespace interpd::client
