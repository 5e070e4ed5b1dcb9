#include "client/address.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace interpd::client {
namespace {

// What sun_path holds beside its NUL.
constexpr size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

absl::Status BadAddress(std::string_view text, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("bad address \"", text, "\": ", what, "; an address is unix:PATH or HOST:PORT"));
}

}  // namespace

bool Address::is_local() const {
  return is_unix || host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

std::string Address::ToString() const {
  if (is_unix) return absl::StrCat("unix:", path);
  if (absl::StrContains(host, ':')) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  Address address;
  std::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    absl::ConsumePrefix(&rest, "//");  // unix:///run/x is the same as unix:/run/x
    if (rest.empty()) return BadAddress(text, "the path is empty");
    if (rest.size() > kMaxUnixPath) {
      return BadAddress(
          text, absl::StrCat("the path has ", rest.size(), " bytes, and a socket's path at most ", kMaxUnixPath));
    }
    address.is_unix = true;
    address.path = std::string(rest);
    return address;
  }
  absl::ConsumePrefix(&rest, "tcp:");
  size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "it has neither \"unix:\" nor a port");
  std::string_view host = rest.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (absl::StrContains(host, ':')) {
    return BadAddress(text, "an IPv6 address stands in brackets: [::1]:50051");
  }
  if (host.empty()) return BadAddress(text, "the host is empty");
  std::string_view port = rest.substr(colon + 1);
  if (!absl::SimpleAtoi(port, &address.port) || address.port < 1 || address.port > 65535) {
    return BadAddress(text, absl::StrCat("\"", port, "\" is not a port from 1 to 65535"));
  }
  address.host = absl::AsciiStrToLower(host);
  return address;
}

absl::StatusOr<std::string> DefaultAddress() {
  if (const char* set = std::getenv("INTERPD_ADDRESS"); set != nullptr && *set != '\0') return set;
  if (geteuid() == 0) return "unix:/run/interpd/interpd.sock";
  if (const char* directory = std::getenv("XDG_RUNTIME_DIR"); directory != nullptr && *directory != '\0') {
    return absl::StrCat("unix:", directory, "/interpd.sock");
  }
  return absl::FailedPreconditionError(
      "no address to connect to: XDG_RUNTIME_DIR is not set; pass --address unix:PATH or set INTERPD_ADDRESS");
}

std::string ExplainUnixFailure(const std::string& path) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::StrCat("socket: ", std::strerror(errno));
  int error = connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0 ? 0 : errno;
  close(fd);
  switch (error) {
    case 0: return "";
    case ENOENT: return absl::StrCat("there is no socket; start one with `interpd --listen unix:", path, "`");
    case ECONNREFUSED:
      return absl::StrCat("nobody listens there any more; start one with `interpd --listen unix:", path, "`");
    case EACCES: return "permission denied: the socket belongs to another user";
    default: return std::strerror(error);
  }
}

}  // namespace interpd::client
