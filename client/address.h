// Where a daemon listens: "unix:PATH", or "HOST:PORT" for TCP.
//
// Who includes this: Client, and interpctl for its default.
#ifndef INTERPD_CLIENT_ADDRESS_H_
#define INTERPD_CLIENT_ADDRESS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace interpd::client {

struct Address {
  bool is_unix = false;
  std::string path;  // unix: of the socket
  std::string host;  // TCP: without the brackets of an IPv6 address
  int port = 0;

  // Whether only this machine can be meant. True for every unix address.
  bool is_local() const;

  // As gRPC writes it.
  std::string ToString() const;
};

// INVALID_ARGUMENT says what is wrong and what an address looks like.
absl::StatusOr<Address> ParseAddress(std::string_view text);

// INTERPD_ADDRESS if it is set; else where interpd listens when it is told nothing: unix:/run/interpd/interpd.sock for
// root, unix:$XDG_RUNTIME_DIR/interpd.sock for anybody else. FAILED_PRECONDITION when neither variable is set.
absl::StatusOr<std::string> DefaultAddress();

// Why connecting to the socket `path` fails, as a sentence that also says what to do about it; empty if it works.
std::string ExplainUnixFailure(const std::string& path);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_ADDRESS_H_
