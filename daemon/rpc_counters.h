// RpcCounters: how many requests of each method have ended how, and after how long.
//
// Who includes this: the server's state, and Rpc, which counts each of its kind once.
//
// Belongs to the event loop, which handles one event at a time: so plain numbers do, and a request costs two looks at a
// clock and a few additions.
#ifndef INTERPD_DAEMON_RPC_COUNTERS_H_
#define INTERPD_DAEMON_RPC_COUNTERS_H_

#include <array>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "daemon/access_rules.h"
#include "interp/time_histogram.h"

namespace interpd::daemon {

class RpcCounters {
 public:
  struct Method {
    std::array<int64_t, 17> ended{};  // by status code
    interp::TimeHistogram times;
  };

  // `rule` is an element of kAccessRules.
  void Ended(const AccessRule& rule, int code, absl::Duration time) {
    Method& method = methods_[static_cast<size_t>(&rule - kAccessRules)];
    ++method.ended[code >= 0 && code < static_cast<int>(method.ended.size()) ? static_cast<size_t>(code)
                                                                             : 2 /* UNKNOWN */];
    method.times.Record(time);
  }

  // Those that have been called.
  void ForEach(absl::FunctionRef<void(std::string_view method, const Method& counters)> function) const {
    for (size_t i = 0; i < methods_.size(); ++i) {
      for (int64_t count : methods_[i].ended) {
        if (count == 0) continue;
        function(kAccessRules[i].method, methods_[i]);
        break;
      }
    }
  }

 private:
  std::array<Method, std::size(kAccessRules)> methods_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_RPC_COUNTERS_H_
