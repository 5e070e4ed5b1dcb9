#include "daemon/reload.h"

#include "absl/algorithm/container.h"
#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace interpd::daemon {
namespace {

bool Covers(const std::string& pattern, const std::string& key) {
  return pattern.ends_with('.') ? absl::StartsWith(key, pattern) : key == pattern;
}

}  // namespace

void Reloader::Apply(std::vector<std::string> keys, std::function<void(const Config&)> apply) {
  parts_.push_back({std::move(keys), std::move(apply)});
}

void Reloader::Also(std::string what, std::function<absl::Status()> read_anew) {
  files_.push_back({std::move(what), std::move(read_anew)});
}

absl::Status Reloader::Reload() {
  absl::StatusOr<Config> read = read_();
  if (!read.ok()) return read.status();
  std::vector<std::string> changed = ChangedKeys(current_, *read);
  std::vector<std::string> applied;
  for (const Part& part : parts_) {
    std::vector<std::string> mine;
    for (const std::string& key : changed) {
      if (absl::c_any_of(part.keys, [&](const std::string& pattern) { return Covers(pattern, key); })) {
        mine.push_back(key);
      }
    }
    if (mine.empty()) continue;
    part.apply(*read);
    CopyKeys(mine, *read, &current_);
    applied.insert(applied.end(), mine.begin(), mine.end());
  }
  LOG(INFO) << "reloaded: "
            << (applied.empty() ? "no key has changed that takes effect now" : absl::StrJoin(applied, ", "));
  for (const std::string& key : changed) {
    if (!absl::c_linear_search(applied, key))
      LOG(WARNING) << "reloaded: " << key << " takes effect at the next restart";
  }
  std::vector<std::string> failures;
  for (const File& file : files_) {
    absl::Status status = file.read_anew();
    if (status.ok()) continue;
    LOG(ERROR) << "reloaded: " << file.what << " are as they were: " << status.message();
    failures.push_back(absl::StrCat(file.what, ": ", status.message()));
  }
  if (failures.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrJoin(failures, "; "));
}

}  // namespace interpd::daemon
