// Session: one run of interpctl: its global options, its connection, its output, and the command it was asked for.
//
// Who includes this: every command of interpctl.
//
// Results go to standard output, everything else to standard error.
#ifndef INTERPD_CLIENT_CLI_SESSION_H_
#define INTERPD_CLIENT_CLI_SESSION_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/exit_code.h"
#include "client/cli/interrupts.h"
#include "client/client.h"

namespace interpd::client {

struct GlobalOptions {
  std::string address;           // empty: DefaultAddress()
  std::string format = "table";  // or "json"
  bool quiet = false;
  std::string timeout = "inf";  // of one RPC; ParseDuration
  std::string connect_timeout = "5s";
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string token_file;  // empty: INTERPD_TOKEN_FILE, or none
  bool insecure = false;
};

// "5", "0.5", "300ms", "2m", "inf"; a bare number counts seconds. Not negative.
absl::StatusOr<absl::Duration> ParseDuration(const std::string& text);

// Thread safety: Out, Err and Fail may be called by any thread; the rest belongs to the main one.
class Session {
 public:
  // Ctrl-C cancels RPCs that use rpc(); a second one ends the program. Commands may set another handler.
  explicit Session(Interrupts& interrupts);
  ~Session();

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  GlobalOptions options;
  // What stands behind FILE or CODE on the command line of exec, run, job submit and job run.
  std::vector<std::string> script_args;
  // What the command line asks for; returns the exit code. Set by the parse.
  std::function<int()> command;

  // The connection, made at the first use.
  absl::StatusOr<Client*> client();

  // Whether the daemon is reached by a socket of this machine, so that our paths are its too.
  bool DaemonIsHere() const;

  // Timeout and cancellation for an RPC.
  RpcOptions rpc();

  Interrupts& interrupts() { return interrupts_; }
  // Becomes readable on Ctrl-C, as long as no command has set another handler: for waits beside RPCs.
  int interrupt_fd() const { return interrupt_fd_; }
  Cancellation& cancellation() { return cancellation_; }
  bool json() const { return options.format == "json"; }

  // To be said before standard input is read to its end, as what: "the script". INVALID_ARGUMENT: it is something else
  // already.
  absl::Status TakeStdin(std::string_view as);

  // Writes to standard output. When nobody reads it any more, cancels what runs, since there is nothing left to do.
  void Out(std::string_view text);
  // Whether a write to standard output has failed.
  bool output_closed() const { return output_errno_ != 0; }

  // Writes to standard error.
  void Err(std::string_view text);

  // Says on standard error why the command failed, and returns the exit code.
  int Fail(const absl::Status& status);

  // What the program ends with when a command returned `code`: the cause, if it was interrupted or its output failed.
  int FinalExitCode(int code) const;

 private:
  Interrupts& interrupts_;
  const int interrupt_fd_;
  Cancellation cancellation_;
  std::string stdin_is_;  // empty: nothing yet
  std::unique_ptr<Client> client_;
  std::atomic<int> output_errno_ = 0;
};

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_SESSION_H_
