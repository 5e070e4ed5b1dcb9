// Code of ours that runs in an interpreter while the user waits and may press Ctrl-C.
//
// Who includes this: exec, run, call and repl.
//
// The first Ctrl-C raises KeyboardInterrupt in the code, and we wait for what it still says and for its end. A second
// one, or SIGTERM, cancels our RPC, and a third ends the program.
//
// Interrupt means whatever the interpreter runs at the moment, and an interpreter that others use too may be running
// their code while ours waits its turn. So it is used only when what runs is surely ours: the interpreter is ours
// alone, or our code has already said something, or nothing else is pending. Otherwise the first Ctrl-C cancels, which
// means ours alone, queued or running.
#ifndef INTERPD_CLIENT_CLI_FOREGROUND_H_
#define INTERPD_CLIENT_CLI_FOREGROUND_H_

#include <atomic>
#include <string>

#include "client/cli/session.h"

namespace interpd::client {

enum class Sharing { kShared, kOursAlone };

// From its construction to its destruction, Ctrl-C means what is said above.
class Foreground {
 public:
  Foreground(Session& session, Client& client, std::string name, Sharing sharing);
  ~Foreground();

  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;

  // What the RPC that runs the code must be given.
  RpcOptions rpc();

  // The code has said something, so it runs.
  void NoteOutput() { running_ = true; }

  // Whether the user asked for the end.
  bool interrupted() const { return interrupted_; }

 private:
  void OnSignal(int count);

  // Whether the daemon raised KeyboardInterrupt in our code.
  bool InterruptOurs();

  Session& session_;
  Client& client_;
  const std::string name_;
  Cancellation cancellation_;
  std::atomic<bool> running_;
  std::atomic<bool> interrupted_ = false;
  Interrupts::Handler previous_;
};

// Runs source code and shows what it writes, as it comes.
absl::StatusOr<v1::ExecResult> StreamExec(Session& session, Client& client, Foreground& foreground,
                                          v1::ExecRequest request);

// Runs source code and shows what it writes and the traceback it ends with. The exit code is that of the code.
int ExecInForeground(Session& session, Client& client, v1::ExecRequest request, Sharing sharing);

// Writes output of hosted code where it belongs. With -o json standard output is kept for the JSON document.
void ShowOutput(Session& session, const v1::Output& output);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_FOREGROUND_H_
