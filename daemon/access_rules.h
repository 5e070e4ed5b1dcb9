// What each RPC asks of a principal: one table for all of them.
//
// Who includes this: every RPC, which hands its rule to its base; rpc.cc, which enforces it before any handler runs.
//
// An RPC whose method is not in the table does not compile (RuleOf). That the table and the API have the same methods
// is checked by a test.
#ifndef INTERPD_DAEMON_ACCESS_RULES_H_
#define INTERPD_DAEMON_ACCESS_RULES_H_

#include <string_view>

#include "daemon/principal.h"

namespace interpd::daemon {

struct AccessRule {
  std::string_view method;  // "interpd.v1.Interpreters/Create"
  Role least;
  bool mutates;       // it changes something, or runs code, or takes values out: it is audited
  bool runs = false;  // it runs code, or ends the daemon: it is audited when it begins, too
};

inline constexpr AccessRule kAccessRules[] = {
    {"interpd.v1.Interpreters/Create", Role::kUser, true, true},
    {"interpd.v1.Interpreters/Get", Role::kViewer, false},
    {"interpd.v1.Interpreters/List", Role::kViewer, false},
    {"interpd.v1.Interpreters/Exec", Role::kUser, true, true},
    {"interpd.v1.Interpreters/Call", Role::kUser, true, true},
    {"interpd.v1.Interpreters/CallStream", Role::kUser, true, true},
    {"interpd.v1.Interpreters/Interrupt", Role::kUser, true},
    {"interpd.v1.Interpreters/Close", Role::kUser, true},
    {"interpd.v1.Interpreters/Logs", Role::kUser, false},

    {"interpd.v1.Channels/Create", Role::kUser, true},
    {"interpd.v1.Channels/Get", Role::kViewer, false},
    {"interpd.v1.Channels/List", Role::kViewer, false},
    {"interpd.v1.Channels/Close", Role::kUser, true},
    {"interpd.v1.Channels/Send", Role::kUser, true},
    {"interpd.v1.Channels/SendMany", Role::kUser, true},
    {"interpd.v1.Channels/Receive", Role::kUser, true},
    {"interpd.v1.Channels/Attach", Role::kUser, true},

    {"interpd.v1.Constants/Put", Role::kUser, true},
    {"interpd.v1.Constants/Get", Role::kViewer, false},
    {"interpd.v1.Constants/List", Role::kViewer, false},
    {"interpd.v1.Constants/Delete", Role::kUser, true},

    {"interpd.v1.Jobs/Submit", Role::kUser, true, true},
    {"interpd.v1.Jobs/Get", Role::kViewer, false},
    {"interpd.v1.Jobs/List", Role::kViewer, false},
    {"interpd.v1.Jobs/Watch", Role::kViewer, false},
    {"interpd.v1.Jobs/Logs", Role::kUser, false},
    {"interpd.v1.Jobs/Results", Role::kUser, false},
    {"interpd.v1.Jobs/Cancel", Role::kUser, true},
    {"interpd.v1.Jobs/Retry", Role::kUser, true, true},
    {"interpd.v1.Jobs/Delete", Role::kUser, true},

    {"interpd.v1.Admin/GetInfo", Role::kViewer, false},
    {"interpd.v1.Admin/GetStats", Role::kViewer, false},
    {"interpd.v1.Admin/Drain", Role::kAdmin, true, true},

    {"grpc.health.v1.Health/Check", Role::kViewer, false},
    {"grpc.health.v1.Health/Watch", Role::kViewer, false},
    {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Role::kViewer, false},
};

// Not to be called when a program is compiled: to get there is an error.
void ThereIsNoRuleForThisMethod();

// The rule of that method. There must be one.
consteval const AccessRule& RuleOf(std::string_view method) {
  for (const AccessRule& rule : kAccessRules) {
    if (rule.method == method) return rule;
  }
  ThereIsNoRuleForThisMethod();
  return kAccessRules[0];
}

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_ACCESS_RULES_H_
