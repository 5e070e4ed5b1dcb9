// Config: what interpd is told by its command line and its configuration file.
//
// Who includes this: main.cc, which reads it, and the parts that it makes from it.
#ifndef INTERPD_DAEMON_CONFIG_H_
#define INTERPD_DAEMON_CONFIG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/access_config.h"
#include "daemon/connections.h"
#include "daemon/tls_config.h"
#include "interp/interpreter.h"

namespace interpd::daemon {

struct JobsConfig {
  int64_t parallel = 0;  // tasks of all jobs that run at the same time; 0: as many as there are CPUs
  int64_t max_unfinished = 10'000;
  double keep_days = 30;                  // ended jobs
  int64_t keep_bytes = int64_t{1} << 30;  // of the journal; beyond, the jobs that ended first go
};

struct Config {
  std::vector<std::string> listen;  // unix:PATH or HOST:PORT; empty: the default socket
  bool insecure = false;            // TCP without TLS, on loopback only
  uint32_t socket_mode = 0600;
  std::string socket_group;  // of unix sockets, by name or number; empty: this process's own
  TlsConfig tls;
  AccessConfig access;
  ConnectionLimits connections;  // over unix sockets
  std::string audit_file;        // empty: none
  int64_t max_interpreters = 4096;
  int64_t max_message_bytes = int64_t{64} << 20;
  int64_t max_constant_bytes = int64_t{2} << 30;
  std::string state_dir;  // where the journal of jobs is; empty: there are no jobs
  JobsConfig jobs;
  std::string constants_dir;              // where constants persist; empty: nowhere
  std::string metrics_listen;             // HOST:PORT for Prometheus; empty: nowhere
  double grace_period_seconds = 30;       // for what runs when the daemon is told to end
  std::string log_level = "info";         // info, warning or error
  std::string log_format = "auto";        // text, journald, json; auto: journald where the journal reads, else text
  interp::InterpreterConfig interpreter;  // what an interpreter gets that does not say otherwise
};

// Reads TOML into `config`; keys that are not there leave it as it is. `file` is for messages. An unknown key, one
// twice or of a wrong type, or a value out of range is an error "FILE:LINE:COLUMN: ...".
absl::Status ParseConfig(std::string_view toml, std::string_view file, Config* config);

// The same with a file's contents.
absl::Status ReadConfigFile(const std::string& file, Config* config);

// The ranges that the file and the flags share. The message names the key.
absl::Status CheckConfig(const Config& config);

// Every key there is, dotted, as in "tls.cert".
std::vector<std::string> ConfigKeys();

// Those of them that have not the same value in both.
std::vector<std::string> ChangedKeys(const Config& before, const Config& after);

// Gives `to` the values that `from` has for these keys.
void CopyKeys(const std::vector<std::string>& keys, const Config& from, Config* to);

// Octal digits, as in "0600". Errors: anything else, or above 0777.
absl::StatusOr<uint32_t> ParseSocketMode(std::string_view text);

// The whole configuration as TOML that ParseConfig reads back to the same.
std::string PrintConfig(const Config& config);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONFIG_H_
