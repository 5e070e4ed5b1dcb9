// Reloader: what SIGHUP does: reads the configuration anew, applies what can be applied, and says what cannot.
//
// Who includes this: main.cc, and the parts that have something of theirs reloaded.
// Thread safety: the main thread alone, once the daemon serves.
#ifndef INTERPD_DAEMON_RELOAD_H_
#define INTERPD_DAEMON_RELOAD_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/config.h"

namespace interpd::daemon {

class Reloader {
 public:
  // `current` is what the daemon was started with; `read` reads the same command line and file again.
  Reloader(Config current, std::function<absl::StatusOr<Config>()> read)
      : current_(std::move(current)), read_(std::move(read)) {}

  // When one of these keys has changed, `apply` is called with the new configuration. A key that ends in '.' stands for
  // its whole table. Keys that nobody applies need a restart, which a log line says.
  void Apply(std::vector<std::string> keys, std::function<void(const Config&)> apply);

  // At every reload, after what was applied: files that the configuration names (certificates, tokens) are read anew.
  // An error leaves them as they were; `what` is for the log line.
  void Also(std::string what, std::function<absl::Status()> read_anew);

  // Errors: the configuration is wrong, and nothing has changed; or not all files could be read.
  absl::Status Reload();

 private:
  struct Part {
    std::vector<std::string> keys;
    std::function<void(const Config&)> apply;
  };
  struct File {
    std::string what;
    std::function<absl::Status()> read_anew;
  };

  Config current_;  // with the values of keys that need a restart as they were at the start
  const std::function<absl::StatusOr<Config>()> read_;
  std::vector<Part> parts_;
  std::vector<File> files_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_RELOAD_H_
