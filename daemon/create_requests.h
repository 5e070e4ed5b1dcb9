// CreateRequests: remembers request ids, so that a repeated Create answers with the interpreter made the first time.
//
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
#include "absl/time/time.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::daemon {

class CreateRequests {
 public:
  using Answer = absl::AnyInvocable<void(const absl::Status&, const v1::Interpreter&) &&>;

  // How long an id is remembered after its interpreter was made, and how many are; the oldest give way.
  static constexpr absl::Duration kRemembered = absl::Minutes(10);
  static constexpr size_t kMaxRemembered = 10'000;

  // `fingerprint` tells requests apart that are not the same. Whether this is the first with that id: then the caller
  // makes the interpreter and tells Made(). Otherwise `*answer` has been taken: it is called now or when it is made.
  bool IsFirst(std::string_view request_id, uint64_t fingerprint, absl::Time now, Answer* answer);

  // An error is told to all that wait, and forgotten, so that the next one tries again.
  void Made(std::string_view request_id, const absl::Status& status, const v1::Interpreter& interpreter,
            absl::Time now);

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    uint64_t fingerprint = 0;
    bool made = false;
    v1::Interpreter interpreter;
    std::vector<Answer> waiting;
  };

  void Forget(absl::Time now);

  absl::flat_hash_map<std::string, Entry> entries_;
  std::deque<std::pair<absl::Time, std::string>> made_;  // in the order in which they will be forgotten
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CREATE_REQUESTS_H_
