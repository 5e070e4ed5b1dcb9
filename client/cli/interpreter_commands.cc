// create list get close interrupt
#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/print.h"
#include "client/cli/progress.h"

namespace interpd::client {
namespace {

// Creates in flight at once. The daemon makes as many at a time as it has cores; a few more keep it busy.
constexpr int kParallelCreates = 16;

struct CreateOptions {
  std::string name;
  int count = 1;
  std::string code;
  std::string setup;
  std::vector<std::string> path;
  std::string venv;
  bool site = false;
  bool may_publish = false;
  std::string cwd;
  int queue_limit = 0;
};

absl::StatusOr<v1::InterpreterConfig> MakeConfig(const CreateOptions& options) {
  v1::InterpreterConfig config;
  for (const std::string& directory : options.path) config.add_path(AbsolutePath(directory));
  if (!options.venv.empty()) config.set_venv(AbsolutePath(options.venv));
  config.set_site(options.site);
  config.set_may_publish(options.may_publish);
  if (!options.cwd.empty()) config.set_cwd(AbsolutePath(options.cwd));
  config.set_setup_source(options.code);
  if (!options.setup.empty()) {
    absl::StatusOr<std::string> source = ReadFile(options.setup);
    if (!source.ok()) return source.status();
    config.set_setup_source(*std::move(source));
  }
  config.set_queue_limit(options.queue_limit);
  return config;
}

// Creates all of `requests` in parallel, and stops beginning new ones at the first failure. `created` gets those made,
// in the order of the requests.
absl::Status CreateAll(Session& session, Client& client, const std::vector<v1::CreateRequest>& requests,
                       std::vector<v1::Interpreter>& created) {
  Progress progress(session, "created", static_cast<int64_t>(requests.size()));
  std::vector<v1::Interpreter> results(requests.size());
  absl::Mutex mutex;
  absl::Status first_error;
  size_t next = 0;
  int done = 0;
  auto work = [&] {
    while (true) {
      size_t index;
      {
        absl::MutexLock lock(mutex);
        if (!first_error.ok() || next == requests.size()) return;
        index = next++;
      }
      absl::StatusOr<v1::Interpreter> interpreter = client.Create(requests[index], session.rpc());
      absl::MutexLock lock(mutex);
      if (interpreter.ok()) {
        results[index] = *std::move(interpreter);
        progress.Show(++done);
      } else if (first_error.ok()) {
        first_error = interpreter.status();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    while (threads.size() + 1 < std::min<size_t>(kParallelCreates, requests.size())) threads.emplace_back(work);
    work();
  }
  for (v1::Interpreter& interpreter : results) {
    if (!interpreter.name().empty()) created.push_back(std::move(interpreter));
  }
  return first_error;
}

int Create(Session& session, const CreateOptions& options, bool many) {
  absl::StatusOr<v1::InterpreterConfig> config = MakeConfig(options);
  if (!config.ok()) return session.Fail(config.status());
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());

  std::vector<v1::CreateRequest> requests(options.count);
  for (int i = 0; i < options.count; ++i) {
    *requests[i].mutable_config() = *config;
    if (!options.name.empty()) {
      requests[i].set_interpreter_id(many ? absl::StrCat(ResourceId(options.name), "-", i + 1)
                                          : std::string(ResourceId(options.name)));
    }
  }
  std::vector<v1::Interpreter> created;
  absl::Status status = CreateAll(session, **client, requests, created);
  if (session.json()) {
    if (many) {
      session.Out(JsonDocument(created));
    } else if (!created.empty()) {
      session.Out(JsonDocument(created[0]));
    }
  } else {
    for (const v1::Interpreter& interpreter : created) {
      session.Out(absl::StrCat(ResourceId(interpreter.name()), "\n"));
    }
  }
  return status.ok() ? kOk : session.Fail(status);
}

int List(Session& session) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<std::vector<v1::Interpreter>> interpreters = (*client)->List(session.rpc());
  if (!interpreters.ok()) return session.Fail(interpreters.status());
  if (session.json()) {
    session.Out(JsonDocument(*interpreters));
  } else if (session.options.quiet) {
    std::string names;
    for (const v1::Interpreter& interpreter : *interpreters)
      absl::StrAppend(&names, ResourceId(interpreter.name()), "\n");
    session.Out(names);
  } else {
    session.Out(InterpreterTable(*interpreters, absl::Now()));
  }
  return kOk;
}

int Get(Session& session, const std::string& name) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<v1::Interpreter> interpreter = (*client)->Get(name, session.rpc());
  if (!interpreter.ok()) return session.Fail(interpreter.status());
  session.Out(session.json()          ? JsonDocument(*interpreter)
              : session.options.quiet ? absl::StrCat(ResourceId(interpreter->name()), "\n")
                                      : InterpreterFields(*interpreter, absl::Now()));
  return kOk;
}

struct CloseOptions {
  std::vector<std::string> names;
  bool all = false;
  std::string grace;
};

// Closes all of them at once, so that their grace periods pass together, and reports in the order given.
int Close(Session& session, CloseOptions options) {
  if (options.names.empty() && !options.all) {
    return session.Fail(absl::InvalidArgumentError("say which to close: NAME... or --all"));
  }
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  if (options.all) {
    absl::StatusOr<std::vector<v1::Interpreter>> interpreters = (*client)->List(session.rpc());
    if (!interpreters.ok()) return session.Fail(interpreters.status());
    for (const v1::Interpreter& interpreter : *interpreters) options.names.push_back(interpreter.name());
  }
  std::vector<absl::StatusOr<v1::Interpreter>> results(options.names.size());
  absl::Mutex mutex;
  size_t left = options.names.size();
  for (size_t i = 0; i < options.names.size(); ++i) {
    v1::CloseRequest request;
    request.set_name(options.names[i]);
    if (!options.grace.empty()) SetDuration(*ParseDuration(options.grace), *request.mutable_grace_period());
    (*client)->CloseAsync(
        request,
        [&, i](absl::StatusOr<v1::Interpreter> result) {
          absl::MutexLock lock(mutex);
          results[i] = std::move(result);
          --left;
        },
        session.rpc());
  }
  {
    absl::MutexLock lock(mutex);
    mutex.Await(absl::Condition(+[](size_t* count) { return *count == 0; }, &left));
  }

  int code = kOk;
  std::vector<v1::Interpreter> closed;
  for (size_t i = 0; i < results.size(); ++i) {
    absl::Status status = results[i].status();
    // Somebody else closed it in the meantime: with --all that is what was wanted.
    if (options.all && absl::IsNotFound(status)) continue;
    if (!status.ok()) {
      int failure = session.Fail(status);
      if (code == kOk) code = failure;
      continue;
    }
    if (results[i]->state() == v1::Interpreter::STUCK) {
      session.Err(absl::StrCat("interpctl: ", ResourceId(results[i]->name()),
                               " did not end in time and is stuck; its name is free, its memory is not\n"));
      if (code == kOk) code = kRefused;
    }
    if (session.options.quiet) session.Out(absl::StrCat(ResourceId(results[i]->name()), "\n"));
    closed.push_back(*std::move(results[i]));
  }
  if (session.json()) {
    const bool one = !options.all && options.names.size() == 1;
    if (!one) {
      session.Out(JsonDocument(closed));
    } else if (!closed.empty()) {
      session.Out(JsonDocument(closed[0]));
    }
  }
  return code;
}

int Interrupt(Session& session, const std::string& name) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<v1::InterruptResponse> response = (*client)->Interrupt(name, session.rpc());
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.Out(JsonDocument(*response));
  } else if (!session.options.quiet) {
    session.Out(response->interrupted() ? "interrupted\n" : "nothing runs\n");
  }
  return kOk;
}

}  // namespace

void AddInterpreterCommands(CLI::App& app, Session& session) {
  {
    auto options = std::make_shared<CreateOptions>();
    CLI::App* create = app.add_subcommand("create", "Create interpreters and print their names");
    create->add_option("ID", options->name, "Name of the interpreter; without it the daemon chooses one")
        ->type_name("");
    CLI::Option* count = create->add_option("--count", options->count, "Create so many, in parallel: ID-1 to ID-N")
                             ->type_name("N")
                             ->check(CLI::Range(1, 1'000'000).description(""));
    CLI::Option* code = create->add_option("-c,--code", options->code, "Python code to run in each")->type_name("CODE");
    create->add_option("--setup", options->setup, "File of Python code to run in each")
        ->type_name(kFilePlaceholder)
        ->excludes(code);
    create->add_option("--path", options->path, "Directory to put at the front of sys.path; may be repeated")
        ->type_name(kDirectoryPlaceholder)
        ->allow_extra_args(false);
    create->add_option("--venv", options->venv, "Virtual environment whose packages can be imported")
        ->type_name(kDirectoryPlaceholder);
    create->add_flag("--site", options->site, "Run `import site`, which finds the system's packages");
    create->add_flag("--may-publish", options->may_publish, "Let its code make constants with interpd.publish");
    create->add_option("--cwd", options->cwd, "Working directory; without it the daemon's")
        ->type_name(kDirectoryPlaceholder);
    create->add_option("--queue-limit", options->queue_limit, "Execs and calls that may wait; without it 1024")
        ->type_name("N")
        ->check(CLI::Range(1, 65536).description(""));
    create->usage("interpctl create [ID] [--count N] [-c CODE | --setup FILE] [--path DIR]... [OPTIONS]");
    create->footer(
        "Examples:\n"
        "  interpctl create worker --setup tools.py --path ~/lib\n"
        "  interpctl create --count 8 -c 'import json'");
    create->callback([&session, options, count] {
      session.command = [&session, options, many = count->count() > 0] { return Create(session, *options, many); };
    });
  }
  {
    CLI::App* list = app.add_subcommand("list", "List interpreters");
    list->usage("interpctl list [OPTIONS]");
    list->footer(
        "Examples:\n"
        "  interpctl list\n"
        "  interpctl list -o json\n"
        "  interpctl list -q | xargs -n1 interpctl get");
    list->callback([&session] { session.command = [&session] { return List(session); }; });
  }
  {
    auto name = std::make_shared<std::string>();
    CLI::App* get = app.add_subcommand("get", "Show one interpreter");
    get->add_option(kInterpreterPlaceholder, *name, "Name of the interpreter")->type_name("")->required();
    get->usage("interpctl get NAME [OPTIONS]");
    get->footer("Example:\n  interpctl get worker");
    get->callback([&session, name] { session.command = [&session, name] { return Get(session, *name); }; });
  }
  {
    auto options = std::make_shared<CloseOptions>();
    CLI::App* close = app.add_subcommand("close", "Close interpreters; what runs gets a grace period");
    CLI::Option* names =
        close->add_option(kInterpreterPlaceholder, options->names, "Names of the interpreters")->type_name("");
    close->add_flag("--all", options->all, "Close every interpreter of the daemon")->excludes(names);
    close->add_option("--grace", options->grace, "How long what runs may go on before it is interrupted; without it 5s")
        ->type_name("TIME")
        ->check(IsDuration());
    close->usage("interpctl close NAME... | --all [OPTIONS]");
    close->footer(
        "Goes on when one cannot be closed, and ends with the first error's exit code.\n\n"
        "Examples:\n"
        "  interpctl close worker-1 worker-2\n"
        "  interpctl close --all --grace 0");
    close->callback(
        [&session, options] { session.command = [&session, options] { return Close(session, *options); }; });
  }
  {
    auto name = std::make_shared<std::string>();
    CLI::App* interrupt = app.add_subcommand("interrupt", "Raise KeyboardInterrupt in what an interpreter runs");
    interrupt->add_option(kInterpreterPlaceholder, *name, "Name of the interpreter")->type_name("")->required();
    interrupt->usage("interpctl interrupt NAME [OPTIONS]");
    interrupt->footer("Example:\n  interpctl interrupt worker");
    interrupt->callback([&session, name] { session.command = [&session, name] { return Interrupt(session, *name); }; });
  }
}

}  // namespace interpd::client
