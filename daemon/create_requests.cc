#include "daemon/create_requests.h"

#include "daemon/errors.h"

namespace interpd::daemon {

bool CreateRequests::IsFirst(std::string_view request_id, uint64_t fingerprint, absl::Time now, Answer* answer) {
  Forget(now);
  auto [found, inserted] = entries_.try_emplace(request_id);
  Entry& entry = found->second;
  if (inserted) {
    entry.fingerprint = fingerprint;
    return true;
  }
  if (entry.fingerprint != fingerprint) {
    std::move (*answer)(InvalidField("request_id", "was used for another request; choose a fresh one"), {});
  } else if (entry.made) {
    std::move (*answer)(absl::OkStatus(), entry.interpreter);
  } else {
    entry.waiting.push_back(std::move(*answer));
  }
  return false;
}

void CreateRequests::Made(std::string_view request_id, const absl::Status& status, const v1::Interpreter& interpreter,
                          absl::Time now) {
  auto found = entries_.find(request_id);
  if (found == entries_.end()) return;
  std::vector<Answer> waiting = std::move(found->second.waiting);
  if (status.ok()) {
    found->second.made = true;
    found->second.interpreter = interpreter;
    found->second.interpreter.mutable_config()->clear_setup_source();  // up to 64 MiB that nobody needs again
    found->second.waiting.clear();
    made_.emplace_back(now, std::string(request_id));
  } else {
    entries_.erase(found);
  }
  for (Answer& answer : waiting) std::move(answer)(status, interpreter);
  Forget(now);
}

void CreateRequests::Forget(absl::Time now) {
  while (!made_.empty() && (now - made_.front().first >= kRemembered || made_.size() > kMaxRemembered)) {
    entries_.erase(made_.front().second);
    made_.pop_front();
  }
}

}  // namespace interpd::daemon
