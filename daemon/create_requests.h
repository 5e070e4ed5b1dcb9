// CreateRequests: remembers request ids, so that a repeated Create answers with what was made the first time.
//
// Who includes this: the RPCs that create something. Resource is the message that describes what they make.
// Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_CREATE_REQUESTS_H_
#define INTERPD_DAEMON_CREATE_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "daemon/errors.h"

namespace interpd::daemon {

// Errors: INVALID_FIELD, for an id that is longer than 63 characters.
inline absl::Status CheckRequestId(std::string_view request_id) {
  constexpr size_t kMaxBytes = 63;
  if (request_id.size() <= kMaxBytes) return absl::OkStatus();
  return InvalidField("request_id", absl::StrCat("is longer than ", kMaxBytes, " characters"));
}

template <typename Resource>
class CreateRequests {
 public:
  using Answer = absl::AnyInvocable<void(const absl::Status&, const Resource&) &&>;

  // How long an id is remembered after its resource was made, and how many are; the oldest give way.
  static constexpr absl::Duration kRemembered = absl::Minutes(10);
  static constexpr size_t kMaxRemembered = 10'000;

  // `fingerprint` tells requests apart that are not the same. Whether this is the first with that id: then the caller
  // makes the resource and tells Made(). Otherwise `*answer` has been taken: it is called now or when it is made.
  bool IsFirst(std::string_view request_id, uint64_t fingerprint, absl::Time now, Answer* answer) {
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
      std::move (*answer)(absl::OkStatus(), entry.resource);
    } else {
      entry.waiting.push_back(std::move(*answer));
    }
    return false;
  }

  // `remembered` is what later repetitions get: what nobody needs again may be left out of it. An error is told to all
  // that wait, and forgotten, so that the next one tries again.
  void Made(std::string_view request_id, const absl::Status& status, const Resource& resource, Resource remembered,
            absl::Time now) {
    auto found = entries_.find(request_id);
    if (found == entries_.end()) return;
    std::vector<Answer> waiting = std::move(found->second.waiting);
    if (status.ok()) {
      found->second.made = true;
      found->second.resource = std::move(remembered);
      found->second.waiting.clear();
      made_.emplace_back(now, std::string(request_id));
    } else {
      entries_.erase(found);
    }
    for (Answer& answer : waiting) std::move(answer)(status, resource);
    Forget(now);
  }

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    uint64_t fingerprint = 0;
    bool made = false;
    Resource resource;
    std::vector<Answer> waiting;
  };

  void Forget(absl::Time now) {
    while (!made_.empty() && (now - made_.front().first >= kRemembered || made_.size() > kMaxRemembered)) {
      entries_.erase(made_.front().second);
      made_.pop_front();
    }
  }

  absl::flat_hash_map<std::string, Entry> entries_;
  std::deque<std::pair<absl::Time, std::string>> made_;  // in the order in which they will be forgotten
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CREATE_REQUESTS_H_
