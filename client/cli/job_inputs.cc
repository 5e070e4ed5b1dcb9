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

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/input_lines.h"
#include "client/cli/utf8.h"
#include "client/cli/value_json.h"

namespace interpd::client {
namespace {

class Lines : public JobInputs {
 public:
  Lines(const Session& session, int fd, std::string name)
      : fd_(fd), name_(std::move(name)), lines_(fd, name_, session.interrupt_fd()) {}
  ~Lines() override { close(fd_); }

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
  const int fd_;
  const std::string name_;
  InputLines lines_;
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
  if (file == "-") {
    if (absl::Status status = session.TakeStdin("the inputs of a job"); !status.ok()) return status;
  }
  const int fd = file == "-" ? dup(STDIN_FILENO) : open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::NotFoundError(absl::StrCat("cannot read ", file, ": ", std::strerror(errno)));
  return std::make_unique<Lines>(session, fd, file == "-" ? "standard input" : file);
}

absl::StatusOr<std::unique_ptr<JobInputs>> GlobInputs(const std::string& pattern) {
  if (absl::StrContains(pattern, "**")) {
    return absl::InvalidArgumentError(
        "\"**\" is not known: one * is one level, as in */*.jpg; all below DIR come from "
        "`find DIR -name '*.jpg' | jq -R .`, by --map -");
  }
  glob_t found;
  // Directories get a slash behind their names, so that they can be told.
  const int error = glob(pattern.c_str(), GLOB_NOSORT | GLOB_MARK, nullptr, &found);
  if (error == GLOB_NOMATCH) return absl::NotFoundError(absl::StrCat("nothing matches ", pattern));
  if (error != 0) return absl::NotFoundError(absl::StrCat("cannot read the directories of ", pattern));
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  std::erase_if(paths, [](const std::string& path) { return path.ends_with('/'); });
  if (paths.empty()) return absl::NotFoundError(absl::StrCat("only directories match ", pattern));
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
