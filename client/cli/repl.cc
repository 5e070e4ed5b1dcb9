// repl: Python's own prompt in an interpreter of the daemon.
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/foreground.h"
#include "client/cli/line_reader.h"

namespace interpd::client {
namespace {

// One conversation. Each statement is an interactive exec; the daemon says whether it needs more lines.
class Repl {
 public:
  Repl(Session& session, Client& client, std::string name)
      : session_(session), client_(client), name_(std::move(name)), reader_(LineReader::Make(HistoryFile())) {}

  int Run() {
    if (absl::Status status = Greet(); !status.ok()) return session_.Fail(status);
    session_.interrupts().SetHandler([this](int) { reader_->Interrupt(); });
    std::string statement;  // its lines so far
    while (true) {
      std::string line;
      LineReader::Result result = reader_->Read(statement.empty() ? ">>> " : "... ", line);
      if (result == LineReader::Result::kInterrupted) {
        statement.clear();
        session_.Out("\nKeyboardInterrupt\n");
        // SIGTERM and SIGHUP end the program; Ctrl-C only the line.
        if (int code = session_.interrupts().exit_code(); code != 0 && code != kInterrupted) return code;
        session_.interrupts().Reset();
        if (!reader_->is_terminal()) return kInterrupted;
        continue;
      }
      const bool ends = result == LineReader::Result::kEnd;
      if (ends && statement.empty()) {
        if (reader_->is_terminal()) session_.Out("\n");
        return kOk;
      }
      if (statement.empty() && IsExit(line)) return kOk;
      // At the end of the input an empty line ends an open block, as it does at the prompt.
      absl::StrAppend(&statement, statement.empty() ? "" : "\n", line);
      if (ends) statement += "\n";
      bool more = false;
      if (std::optional<int> code = Execute(statement, more)) return *code;
      if (ends) return kOk;
      if (!more) statement.clear();
    }
  }

 private:
  absl::Status Greet() {
    absl::StatusOr<v1::Interpreter> interpreter = client_.Get(name_, session_.rpc());
    if (!interpreter.ok()) return interpreter.status();
    if (!reader_->is_terminal()) return absl::OkStatus();
    absl::StatusOr<v1::Info> info = client_.GetInfo(session_.rpc());
    if (!info.ok()) return info.status();
    session_.Out(absl::StrCat("Python ", info->python_version(), "\nInterpreter ", ResourceId(name_), " of interpd ",
                              info->version(), ". Ctrl-C interrupts what runs, Ctrl-D leaves.\n"));
    return absl::OkStatus();
  }

  // Without `site` Python has no exit() and quit() of its own.
  static bool IsExit(const std::string& line) {
    std::string_view word = absl::StripAsciiWhitespace(line);
    return word == "exit" || word == "exit()" || word == "quit" || word == "quit()";
  }

  // Runs one statement, or finds that it needs `more` lines. An exit code means that the conversation is over.
  std::optional<int> Execute(const std::string& statement, bool& more) {
    v1::ExecRequest request;
    request.set_name(name_);
    request.set_source(statement);
    request.set_interactive(true);
    Foreground foreground(session_, client_, name_, Sharing::kShared);
    absl::StatusOr<v1::ExecResult> result = StreamExec(session_, client_, foreground, std::move(request));
    if (session_.output_closed()) return kOutputClosed;
    const bool cancelled = absl::IsCancelled(result.status()) && foreground.interrupted();
    const int signal_code = session_.interrupts().exit_code();
    if (signal_code != 0 && signal_code != kInterrupted) return signal_code;
    session_.interrupts().Reset();
    if (cancelled) {
      session_.Err("\nKeyboardInterrupt\n");
      return std::nullopt;
    }
    if (!result.ok()) {
      const int code = session_.Fail(result.status());
      // These concern the statement; anything else means that the interpreter or the daemon is gone.
      const bool go_on = code == kTimeout || absl::IsResourceExhausted(result.status()) ||
                         ErrorReason(result.status()) == "SOURCE_TOO_LARGE";
      if (go_on) return std::nullopt;
      return code;
    }
    more = result->incomplete();
    if (result->has_exception()) {
      session_.Err(result->exception().formatted());
    } else if (result->exit_code() != 0) {
      return ExitCodeOfSystemExit(result->exit_code());
    }
    return std::nullopt;
  }

  Session& session_;
  Client& client_;
  const std::string name_;
  std::unique_ptr<LineReader> reader_;
};

}  // namespace

void AddReplCommand(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  CLI::App* repl = app.add_subcommand("repl", "Talk to an interpreter at a Python prompt");
  repl->add_option(kInterpreterPlaceholder, *name, "Name of the interpreter")->type_name("")->required();
  repl->usage("interpctl repl NAME [OPTIONS]");
  repl->footer(
      "Lines can be edited, and are remembered in $XDG_STATE_HOME/interpd/history. Ctrl-C interrupts what runs or\n"
      "gives up the line, Ctrl-D leaves. The interpreter goes on.\n\n"
      "Example:\n"
      "  interpctl repl worker");
  repl->callback([&session, name] {
    session.command = [&session, name]() -> int {
      absl::StatusOr<Client*> client = session.client();
      if (!client.ok()) return session.Fail(client.status());
      session.options.format = "table";  // a conversation is no document
      Repl conversation(session, **client, *name);
      int code = conversation.Run();
      session.interrupts().SetHandler(nullptr);
      return code;
    };
  });
}

}  // namespace interpd::client
