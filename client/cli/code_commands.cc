// exec run call
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/foreground.h"
#include "client/cli/print.h"
#include "client/cli/value_json.h"

namespace interpd::client {
namespace {

// Where the code comes from: -c CODE, FILE, or "-" for standard input.
struct Program {
  std::string code;
  bool has_code = false;
  std::string file;
  std::vector<std::string> args;  // never filled: see AddProgramOptions
};

absl::StatusOr<v1::ExecRequest> MakeExecRequest(const Program& program, const std::vector<std::string>& args) {
  v1::ExecRequest request;
  if (program.has_code) {
    request.set_source(program.code);
  } else if (program.file.empty()) {
    return absl::InvalidArgumentError("say what to run: -c CODE, FILE, or - for standard input");
  } else {
    absl::StatusOr<std::string> source = ReadFile(program.file);
    if (!source.ok()) return source.status();
    request.set_source(*std::move(source));
    // Absolute, as Python has it for scripts: it remains true where the working directory is another one.
    request.set_filename(program.file == "-" ? "<stdin>" : AbsolutePath(program.file));
  }
  for (const std::string& arg : args) request.add_args(arg);
  return request;
}

// ---- exec ----------------------------------------------------------------------------------------------------------

int Exec(Session& session, const std::string& name, const Program& program) {
  absl::StatusOr<v1::ExecRequest> request = MakeExecRequest(program, session.script_args);
  if (!request.ok()) return session.Fail(request.status());
  request->set_name(name);
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  return ExecInForeground(session, **client, *std::move(request), Sharing::kShared);
}

// ---- run -----------------------------------------------------------------------------------------------------------

// Nobody waits longer for an interpreter that was told to end at once, nor for the rest of what it has written.
constexpr absl::Duration kCloseTimeout = absl::Seconds(30);
constexpr absl::Duration kLogTimeout = absl::Seconds(5);

struct RunOptions {
  Program program;
  std::vector<std::string> path;
  std::string venv;
};

// As `python FILE` has it: the script's directory, or the working directory for -c and standard input, comes first.
v1::InterpreterConfig RunConfig(const RunOptions& options) {
  v1::InterpreterConfig config;
  const bool from_file = !options.program.has_code && options.program.file != "-";
  std::error_code unresolved;
  std::filesystem::path script = std::filesystem::canonical(options.program.file, unresolved);
  config.add_path(from_file && !unresolved ? script.parent_path().string() : AbsolutePath("."));
  for (const std::string& directory : options.path) config.add_path(AbsolutePath(directory));
  if (!options.venv.empty()) config.set_venv(AbsolutePath(options.venv));
  config.set_site(true);
  config.set_cwd(AbsolutePath("."));
  return config;
}

// What Python does when a program has ended, before it runs atexit functions: closing interrupts threads.
constexpr char kJoinThreads[] = R"(
import sys
if threading := sys.modules.get("threading"):
    while threads := [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]:
        threads[0].join()
)";

// Lets the threads that the program has begun come to their end. Returns `code`, or what Ctrl-C makes of it.
int JoinThreads(Session& session, Client& client, const std::string& name, int code) {
  v1::ExecRequest request;
  request.set_name(name);
  request.set_source(kJoinThreads);
  Foreground foreground(session, client, name, Sharing::kOursAlone);
  absl::Status status = StreamExec(session, client, foreground, std::move(request)).status();
  if (foreground.interrupted()) return session.interrupts().exit_code();
  return status.ok() ? code : session.Fail(status);
}

// Closes the interpreter whatever happened, and once more and harder if a signal comes meanwhile.
absl::Status CloseAfterRun(Session& session, Client& client, const std::string& name, bool at_once) {
  Cancellation cancellation;
  Interrupts::Handler previous = session.interrupts().SetHandler([&](int) { cancellation.Cancel(); });
  v1::CloseRequest request;
  request.set_name(name);
  SetDuration(at_once ? absl::ZeroDuration() : absl::InfiniteDuration(), *request.mutable_grace_period());
  absl::StatusOr<v1::Interpreter> closed = client.Close(
      request, {.timeout = at_once ? kCloseTimeout : absl::InfiniteDuration(), .cancellation = &cancellation});
  if (absl::IsCancelled(closed.status())) {
    SetDuration(absl::ZeroDuration(), *request.mutable_grace_period());
    closed = client.Close(request, {.timeout = kCloseTimeout});
    // It is closing by the first request; whether it has ended when this one comes does not matter.
    if (absl::IsNotFound(closed.status())) closed = v1::Interpreter();
  }
  session.interrupts().SetHandler(std::move(previous));
  return closed.status();
}

int Run(Session& session, const RunOptions& options) {
  absl::StatusOr<v1::ExecRequest> request = MakeExecRequest(options.program, session.script_args);
  if (!request.ok()) return session.Fail(request.status());
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  // The name is ours, so that it can be closed too when Ctrl-C cuts its creation short.
  const std::string name = absl::StrCat("run-", absl::Hex(std::random_device()(), absl::kZeroPad8));
  v1::CreateRequest create;
  create.set_interpreter_id(name);
  *create.mutable_config() = RunConfig(options);
  if (absl::Status status = (*client)->Create(create, session.rpc()).status(); !status.ok()) {
    if (absl::IsCancelled(status)) (void)CloseAfterRun(session, **client, name, /*at_once=*/true);
    return session.Fail(status);
  }

  // What threads that outlive the script and atexit functions write goes to the log. It ends with the interpreter.
  Cancellation stop_log;
  absl::Notification log_ended;
  v1::LogsRequest logs;
  logs.set_name(name);
  logs.set_follow(true);
  (*client)->LogsAsync(
      logs, [&](const v1::LogsResponse& entry) { ShowOutput(session, entry.output()); },
      [&](absl::Status) { log_ended.Notify(); }, {.cancellation = &stop_log});

  request->set_name(name);
  int code = ExecInForeground(session, **client, *std::move(request), Sharing::kOursAlone);
  auto at_once = [&session] { return session.interrupts().exit_code() != 0 || session.output_closed(); };
  if (!at_once()) code = JoinThreads(session, **client, name, code);
  absl::Status closed = CloseAfterRun(session, **client, name, at_once());
  if (!closed.ok() && code == kOk) code = session.Fail(closed);
  // The log ends with the interpreter, unless that is stuck or the daemon gone.
  if (!closed.ok() || !log_ended.WaitForNotificationWithTimeout(kLogTimeout)) stop_log.Cancel();
  log_ended.WaitForNotification();
  return code;
}

// ---- call ----------------------------------------------------------------------------------------------------------

struct CallOptions {
  std::string name;
  std::string target;
  std::vector<std::string> args;
  std::vector<std::string> kwargs;
};

absl::StatusOr<v1::CallRequest> MakeCallRequest(const CallOptions& options) {
  v1::CallRequest request;
  request.set_name(options.name);
  request.set_target(options.target);
  for (size_t i = 0; i < options.args.size(); ++i) {
    absl::StatusOr<v1::Value> value = ArgumentToValue(options.args[i]);
    if (!value.ok()) {
      return absl::Status(value.status().code(), absl::StrCat("argument ", i + 1, ": ", value.status().message()));
    }
    *request.add_args() = *std::move(value);
  }
  for (const std::string& text : options.kwargs) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat("--kwarg needs K=V, not \"", text, "\""));
    }
    absl::StatusOr<v1::Value> value = ArgumentToValue(std::string_view(text).substr(equals + 1));
    if (!value.ok()) {
      return absl::Status(value.status().code(),
                          absl::StrCat("--kwarg ", text.substr(0, equals), ": ", value.status().message()));
    }
    (*request.mutable_kwargs())[text.substr(0, equals)] = *std::move(value);
  }
  return request;
}

int Call(Session& session, const CallOptions& options) {
  absl::StatusOr<v1::CallRequest> request = MakeCallRequest(options);
  if (!request.ok()) return session.Fail(request.status());
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());

  Foreground foreground(session, **client, options.name, Sharing::kShared);
  absl::StatusOr<v1::CallResponse> response = (*client)->Call(*std::move(request), foreground.rpc());
  if (!response.ok()) return session.Fail(response.status());
  // Standard output is for the result alone.
  session.Err(response->stdout());
  session.Err(response->stderr());
  if (response->truncated_bytes() > 0) {
    session.Err(absl::StrCat("interpctl: the call wrote ", response->truncated_bytes(), " bytes more\n"));
  }
  if (session.json()) session.Out(JsonDocument(*response));
  if (response->has_exception()) {
    session.Err(response->exception().formatted());
    const bool by_us = foreground.interrupted() && response->exception().type() == "KeyboardInterrupt";
    return by_us ? session.interrupts().exit_code() : kPythonRaised;
  }
  if (!session.json()) session.Out(ValueToJson(response->result()) + "\n");
  return kOk;
}

// Adds -c, FILE and ARGs. The parse never sees ARGs (app.h): they stand in the tree for help and completion.
void AddProgramOptions(CLI::App& command, Program& program) {
  CLI::Option* code =
      command.add_option("-c,--code", program.code, "Python code; what follows is ARGs")->type_name("CODE");
  code->each([&program](const std::string&) { program.has_code = true; });
  command.add_option(kFilePlaceholder, program.file, "File of Python code; - is standard input")
      ->type_name("")
      ->excludes(code);
  command.add_option("ARG", program.args, "sys.argv[1:], passed on as it is")->type_name("");
}

}  // namespace

void AddCodeCommands(CLI::App& app, Session& session) {
  {
    auto name = std::make_shared<std::string>();
    auto program = std::make_shared<Program>();
    CLI::App* exec = app.add_subcommand("exec", "Run code in an interpreter's __main__, which lasts");
    exec->add_option(kInterpreterPlaceholder, *name, "Name of the interpreter")->type_name("")->required();
    AddProgramOptions(*exec, *program);
    exec->usage("interpctl exec NAME [OPTIONS] (-c CODE | FILE | -) [ARG]...");
    exec->footer(
        "Streams what the code writes. The exit code is 0, or that of a SystemExit, or 1 with the traceback on\n"
        "standard error. Ctrl-C interrupts the code, a second one leaves. With -o json the result is printed on\n"
        "standard output, and what the code writes on standard error.\n\n"
        "Examples:\n"
        "  interpctl exec worker -c 'import sys; print(sys.argv)' a -b\n"
        "  interpctl exec worker script.py --an-option-of-the-script\n"
        "  echo 'print(1)' | interpctl exec worker -");
    exec->callback([&session, name, program] {
      session.command = [&session, name, program] { return Exec(session, *name, *program); };
    });
  }
  {
    auto options = std::make_shared<RunOptions>();
    CLI::App* run = app.add_subcommand("run", "Run a program in a fresh interpreter, as `python FILE` would");
    run->add_option("--path", options->path, "Directory to add to sys.path; may be repeated")
        ->type_name(kDirectoryPlaceholder)
        ->allow_extra_args(false);
    run->add_option("--venv", options->venv, "Virtual environment whose packages can be imported")
        ->type_name(kDirectoryPlaceholder);
    AddProgramOptions(*run, options->program);
    run->usage("interpctl run [OPTIONS] (-c CODE | FILE | -) [ARG]...");
    run->footer(
        "Creates an interpreter, runs the program in our working directory and closes the interpreter, also on\n"
        "Ctrl-C. The exit code is that of the program.\n\n"
        "Examples:\n"
        "  interpctl run script.py --an-option-of-the-script\n"
        "  interpctl run -c 'print(6 * 7)'");
    run->callback([&session, options] { session.command = [&session, options] { return Run(session, *options); }; });
  }
  {
    auto options = std::make_shared<CallOptions>();
    CLI::App* call = app.add_subcommand("call", "Call a function and print its result as JSON");
    call->add_option(kInterpreterPlaceholder, options->name, "Name of the interpreter")->type_name("")->required();
    call->add_option("FUNCTION", options->target, "MODULE:FUNCTION, or the name of a function in __main__")
        ->type_name("")
        ->required();
    call->add_option("ARG", options->args, "Arguments: JSON, or else a string")->type_name("");
    call->add_option("-k,--kwarg", options->kwargs, "Keyword argument, V as an ARG; may be repeated")
        ->type_name("K=V")
        ->allow_extra_args(false);
    call->usage("interpctl call NAME MODULE:FUNCTION|NAME [ARG]... [--kwarg K=V]... [OPTIONS]");
    call->footer(
        "JSON has no bytes, complex, sets and dicts with other keys than strings. They are written\n"
        "{\"$bytes\": \"base64\"}, {\"$complex\": [re, im]}, {\"$set\": [...]}, {\"$frozenset\": [...]},\n"
        "{\"$dict\": [[key, value], ...]}; and {\"$tuple\": [...]} passes a tuple. What the function writes goes to\n"
        "standard error. Put -- before ARGs that begin with a dash and are no numbers.\n\n"
        "Examples:\n"
        "  interpctl call worker math:hypot 3 4\n"
        "  interpctl call worker json:dumps '{\"a\": [1, 2]}' --kwarg indent=2");
    call->callback([&session, options] { session.command = [&session, options] { return Call(session, *options); }; });
  }
}

}  // namespace interpd::client
