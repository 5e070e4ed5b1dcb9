// Accounts: what principals with limits use at the moment.
//
// Who includes this: the server's state; rpc.cc, which asks. Thread safety: belongs to handlers of the event loop.
#ifndef INTERPD_DAEMON_ACCOUNTS_H_
#define INTERPD_DAEMON_ACCOUNTS_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/container/node_hash_map.h"
#include "absl/time/time.h"

namespace interpd::daemon {

// So many requests a second, and as many at once as there are in a second.
class RequestRate {
 public:
  // How long until the next one may come; zero: now, and it has come.
  absl::Duration Take(double per_second, absl::Time now) {
    const double most = std::max(1.0, per_second);
    saved_ = std::min(most, saved_ + per_second * absl::ToDoubleSeconds(std::max(now - last_, absl::ZeroDuration())));
    last_ = now;
    if (saved_ < 1) return absl::Seconds((1 - saved_) / per_second);
    saved_ -= 1;
    return absl::ZeroDuration();
  }

 private:
  double saved_ = 0;
  absl::Time last_ = absl::UnixEpoch();  // long ago: it begins with all that can be saved
};

struct Account {
  int64_t in_flight = 0;
  RequestRate rate;
};

// By the principal's name. There are as many as principals with limits have come, which the operator knows.
using Accounts = absl::node_hash_map<std::string, Account>;

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_ACCOUNTS_H_
