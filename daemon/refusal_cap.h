// RefusalCap: how many refusals get a line in the audit log. Whoever may do nothing can ask as often as it likes, and
// is not to fill the disk.
//
// Who includes this: the server's state; rpc.cc, which asks. Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_REFUSAL_CAP_H_
#define INTERPD_DAEMON_REFUSAL_CAP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "daemon/accounts.h"

namespace interpd::daemon {

class RefusalCap {
 public:
  // A second, of each principal, and of all that are nobody together.
  static constexpr double kLines = 10;

  // Whether a refusal of that principal gets a line; if so, how many since the last one have got none.
  std::optional<int64_t> Take(const std::string& principal, absl::Time now) {
    Counter& counter = counters_[principal];
    if (counter.rate.Take(kLines, now) == absl::ZeroDuration()) return std::exchange(counter.left_out, 0);
    ++counter.left_out;
    return std::nullopt;
  }

 private:
  struct Counter {
    RequestRate rate;
    int64_t left_out = 0;
  };
  absl::flat_hash_map<std::string, Counter> counters_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_REFUSAL_CAP_H_
