// AccessConfig: who may use the daemon, as its operator says it.
//
// Who includes this: config, which reads it, and access, which applies it.
#ifndef INTERPD_DAEMON_ACCESS_CONFIG_H_
#define INTERPD_DAEMON_ACCESS_CONFIG_H_

#include <string>
#include <vector>

#include "daemon/principal.h"

namespace interpd::daemon {

// Whom it is about is said by exactly one of the first four.
struct AccessGrant {
  std::string unix_user;    // by name or number
  std::string unix_group;   // likewise: who is in it
  std::string certificate;  // whose common name or alternative name this is; "*": any
  std::string token;        // the principal of a token; "*": any. Its role is the token's, if none is said
  std::string role;         // viewer, user or admin
  PrincipalLimits limits;

  friend bool operator==(const AccessGrant&, const AccessGrant&) = default;
};

struct AccessConfig {
  std::string token_file;  // proto/token_file.h; empty: no tokens
  std::vector<AccessGrant> rules;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_ACCESS_CONFIG_H_
