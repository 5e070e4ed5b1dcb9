// interpd: the daemon.
#include <google/protobuf/stubs/logging.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "channels/channel_registry.h"
#include "daemon/audit_log.h"
#include "daemon/config.h"
#include "daemon/constant_files.h"
#include "daemon/constant_store.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/lifecycle.h"
#include "daemon/listener.h"
#include "daemon/log_writer.h"
#include "daemon/metrics_exposer.h"
#include "daemon/reload.h"
#include "daemon/server.h"
#include "daemon/service_manager.h"
#include "daemon/tls_credentials.h"
#include "daemon/version.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

// How long opening the journal, or reading one constant, may take before the service manager gives up.
constexpr absl::Duration kStartStep = absl::Minutes(10);

constexpr char kDescription[] =
    "Hosts many isolated CPython interpreters in one process, each with its own GIL and thread, driven over gRPC.";
constexpr char kFooter[] =
    "Signals:\n"
    "  SIGTERM, SIGINT   drain: no new work, what runs gets the grace period, then exit 0; SIGINT twice: at once\n"
    "  SIGHUP            read --config anew; what cannot change while the daemon runs is logged (nohup: ignored)\n"
    "  SIGUSR1           log every interpreter's state and Python stack\n"
    "\n"
    "Examples:\n"
    "  interpd\n"
    "  interpd --listen unix:/tmp/interpd.sock --grace-period 5\n"
    "  interpd --state-dir /var/lib/interpd --jobs-parallel 8\n"
    "  interpd --constants-dir /var/lib/interpd/constants --max-constant-bytes 8589934592\n"
    "  interpd --listen 127.0.0.1:7878 --insecure\n"
    "  interpd --listen 0.0.0.0:7878 --tls-cert cert.pem --tls-key key.pem --tls-client-ca ca.pem\n"
    "  interpd --listen 0.0.0.0:7878 --tls-cert cert.pem --tls-key key.pem --token-file /etc/interpd/tokens\n"
    "  interpd --config /etc/interpd.toml --print-config";

// Before there is a log.
void Say(std::string_view message) {
  std::fprintf(stderr, "interpd: %.*s\n", static_cast<int>(message.size()), message.data());
}

struct CommandLine {
  std::string config_file;
  bool print_config = false;
  std::string socket_mode;
};

// Adds the flags; those that are given write into `config`.
void AddFlags(CLI::App& app, CommandLine& line, Config& config) {
  app.set_version_flag("--version", absl::StrCat("interpd ", kVersion));
  app.add_option("--config", line.config_file, "Read this TOML file first; flags override it")->type_name("FILE");
  app.add_flag("--print-config", line.print_config, "Print the configuration that results, as TOML, and exit");
  app.add_option("--listen", config.listen,
                 "Listen there: unix:PATH or HOST:PORT; may be given several times\n"
                 "(default: unix:$XDG_RUNTIME_DIR/interpd.sock, as root unix:/run/interpd/interpd.sock)")
      ->type_name("ADDRESS")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--insecure", config.insecure, "Allow TCP without TLS on loopback addresses");
  app.add_option("--tls-cert", config.tls.cert, "The server's certificate chain, PEM")->type_name("FILE");
  app.add_option("--tls-key", config.tls.key, "The server's private key, PEM")->type_name("FILE");
  app.add_option("--tls-client-ca", config.tls.client_ca,
                 "Clients may show a certificate that this CA has signed, PEM; without --token-file they must")
      ->type_name("FILE");
  app.add_option("--token-file", config.access.token_file,
                 "Clients over TLS may show a token of this file, which `interpctl token` writes")
      ->type_name("FILE");
  app.add_option("--audit-file", config.audit_file, "Write there who did what, a line of JSON each")->type_name("FILE");
  app.add_option("--socket-mode", line.socket_mode, "Mode of unix sockets, octal (default: 0600)")->type_name("MODE");
  app.add_option("--socket-group", config.socket_group, "Group of unix sockets, by name or number")->type_name("GROUP");
  app.add_option("--max-interpreters", config.max_interpreters, "Interpreters at once (default: 4096)")->type_name("N");
  app.add_option("--max-message-bytes", config.max_message_bytes, "Size limit of a request or answer (default: 64 MiB)")
      ->type_name("N");
  app.add_option("--max-constant-bytes", config.max_constant_bytes,
                 "Size limit of a constant, on its way here and in memory (default: 2 GiB)")
      ->type_name("N");
  app.add_option("--constants-dir", config.constants_dir,
                 "Put the constants whose files are in this directory, and keep there what is put to persist")
      ->type_name("DIR");
  app.add_option(
         "--state-dir", config.state_dir,
         "Run jobs, and keep their journal in this directory (default: $STATE_DIRECTORY, else there are no jobs)")
      ->type_name("DIR");
  app.add_option("--jobs-parallel", config.jobs.parallel,
                 "Tasks of all jobs that run at the same time (default: as many as there are CPUs)")
      ->type_name("N");
  app.add_option("--grace-period", config.grace_period_seconds,
                 "What runs may go on for so long when the daemon ends (default: 30)")
      ->type_name("SECONDS");
  app.add_option("--log-level", config.log_level, "info, warning or error (default: info)")->type_name("LEVEL");
  app.add_option("--log-format", config.log_format,
                 "text, journald or json (default: auto: journald where the journal reads standard error, else text)")
      ->type_name("FORMAT");
  app.add_option("--metrics-listen", config.metrics_listen,
                 "Give metrics to Prometheus there, at http://HOST:PORT/metrics (default: nowhere)")
      ->type_name("HOST:PORT");
  app.add_option("--path", config.interpreter.path, "Put this directory on every interpreter's sys.path")
      ->type_name("DIR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--venv", config.interpreter.venv, "Virtual environment of interpreters that name none")
      ->type_name("DIR");
  app.add_flag("--site", config.interpreter.site, "Run `import site` in every interpreter");
  app.footer(kFooter);
}

// The configuration of file and flags. An error says which of them is wrong.
absl::StatusOr<Config> Configure(const CommandLine& line, Config flags, int argc, char** argv) {
  Config config;
  if (!line.config_file.empty()) {
    absl::Status read = ReadConfigFile(line.config_file, &config);
    if (!read.ok()) return read;
    // Once more, on top of the file.
    CommandLine again;
    CLI::App overriding(kDescription, "interpd");
    AddFlags(overriding, again, config);
    overriding.parse(argc, argv);
  } else {
    config = std::move(flags);
  }
  if (!line.socket_mode.empty()) {
    absl::StatusOr<uint32_t> mode = ParseSocketMode(line.socket_mode);
    if (!mode.ok()) return absl::InvalidArgumentError(absl::StrCat("--socket-mode: ", mode.status().message()));
    config.socket_mode = *mode;
  }
  // As the service manager sets it; of several directories, the first.
  const char* state_directory = std::getenv("STATE_DIRECTORY");
  if (config.state_dir.empty() && state_directory != nullptr) {
    config.state_dir = std::string_view(state_directory).substr(0, std::string_view(state_directory).find(':'));
  }
  absl::Status checked = CheckConfig(config);
  if (!checked.ok()) return checked;
  return config;
}

absl::LogSeverityAtLeast LogLevel(const std::string& name) {
  if (name == "error") return absl::LogSeverityAtLeast::kError;
  if (name == "warning") return absl::LogSeverityAtLeast::kWarning;
  return absl::LogSeverityAtLeast::kInfo;
}

// What thousands of interpreters in one process need of it.
void PrepareProcess() {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  // Debian's Abseil looks for deadlocks at every lock, gRPC's included: a tenth of the poller's time.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // Protobuf would print a line for each malformed request, as many as a client likes; the client gets an error.
  google::protobuf::SetLogHandler(nullptr);
  // Payloads of megabytes are bound by page faults: blocks of that size stay with malloc for the next one. What is
  // left goes back when interpreters are closed (Lifecycle).
  mallopt(M_MMAP_THRESHOLD, 8 << 20);
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

// With those that have files. Errors name the file.
absl::StatusOr<std::unique_ptr<ConstantStore>> Constants(const Config& config, interp::InterpreterRegistry& registry,
                                                         Lifecycle& lifecycle, ServiceManager& manager) {
  std::unique_ptr<ConstantFiles> files;
  if (!config.constants_dir.empty()) {
    absl::StatusOr<std::unique_ptr<ConstantFiles>> opened = ConstantFiles::Open(config.constants_dir);
    if (!opened.ok()) return opened.status();
    files = *std::move(opened);
  }
  auto store = std::make_unique<ConstantStore>(registry.constants(), std::move(files));
  absl::Status loaded = store->Load([&](std::string_view id) {
    manager.ExtendTimeout(kStartStep);
    manager.Status(absl::StrCat("starting: reads constants/", id));
    return !lifecycle.IsDrainAsked();
  });
  if (!loaded.ok()) return loaded;
  return store;
}

// None without a directory for it. Errors name the file.
absl::StatusOr<std::unique_ptr<JobEngine>> Jobs(const Config& config) {
  if (config.state_dir.empty()) return nullptr;
  return JobEngine::Open({.directory = config.state_dir,
                          .parallel = config.jobs.parallel,
                          .max_unfinished = config.jobs.max_unfinished,
                          .keep = absl::Hours(24) * config.jobs.keep_days,
                          .keep_bytes = config.jobs.keep_bytes,
                          .max_result_bytes = config.max_message_bytes / 2,
                          .interpreter_defaults = config.interpreter});
}

// What a reload changes, and how.
void ApplyReloads(Reloader& reloader, interp::InterpreterRegistry& registry, Server& server, Listener& listener,
                  JobEngine* jobs, LogWriter& log, AuditLog* audit, AccessConfig* access, absl::Duration* grace) {
  reloader.Apply({"log_level"}, [&log](const Config& config) { log.SetLevel(LogLevel(config.log_level)); });
  reloader.Apply({"grace_period_seconds"},
                 [grace](const Config& config) { *grace = absl::Seconds(config.grace_period_seconds); });
  reloader.Apply({"max_interpreters"}, [&](const Config& config) {
    registry.SetMaxInterpreters(static_cast<size_t>(config.max_interpreters));
    server.Reconfigure([&](ServerOptions& options) { options.max_interpreters = config.max_interpreters; });
  });
  reloader.Apply({"interpreter."}, [&](const Config& config) {
    server.Reconfigure([&](ServerOptions& options) { options.interpreter_defaults = config.interpreter; });
    if (jobs != nullptr) jobs->SetInterpreterDefaults(config.interpreter);
  });
  reloader.Apply({"access."}, [access](const Config& config) {
    if (!config.tls.client_ca.empty() && config.access.token_file.empty() != access->token_file.empty()) {
      LOG(WARNING)
          << "access.token_file: whether clients over TLS must show a certificate stays as it was until a restart";
    }
    *access = config.access;
  });
  reloader.Also("access rules and tokens", [access, &server] { return server.SetAccess(*access); });
  if (listener.certificates() != nullptr) {
    reloader.Also("certificates", [&listener] { return listener.certificates()->Reload(); });
  }
  if (audit != nullptr) reloader.Also("the audit log's file", [audit] { return audit->Reopen(); });
}

int Serve(const Config& config, Lifecycle& lifecycle, ServiceManager& manager, Reloader& reloader, LogWriter& log) {
  auto failed = [&log](const absl::Status& why) {
    log.Say(absl::LogSeverity::kError, why.message());
    return kFailed;
  };
  absl::StatusOr<std::vector<int>> inherited = InheritedSockets();
  if (!inherited.ok()) return failed(inherited.status());
  absl::StatusOr<Listener> listener = Listener::Prepare(config, *inherited);
  if (!listener.ok()) return failed(listener.status());
  // Before the interpreters, which have work of its: so it goes after them.
  manager.ExtendTimeout(kStartStep);
  absl::StatusOr<std::unique_ptr<JobEngine>> jobs = Jobs(config);
  if (!jobs.ok()) return failed(jobs.status());
  channels::ChannelRegistry channels;
  interp::HostConfig host;
  host.max_interpreters = static_cast<size_t>(config.max_interpreters);
  host.max_constant_bytes = static_cast<size_t>(config.max_constant_bytes);
  host.channels = &channels;
  absl::StatusOr<std::unique_ptr<interp::InterpreterRegistry>> registry = interp::InterpreterRegistry::Start(host);
  if (!registry.ok()) {
    return failed(absl::InternalError(absl::StrCat("cannot start Python: ", registry.status().message())));
  }
  log.StartThread();
  absl::StatusOr<std::unique_ptr<ConstantStore>> constants = Constants(config, **registry, lifecycle, manager);
  if (absl::IsCancelled(constants.status())) {
    LOG(INFO) << "ended before it was ready";
    return 0;
  }
  if (!constants.ok()) return failed(constants.status());
  std::unique_ptr<AuditLog> audit;
  if (!config.audit_file.empty()) {
    absl::StatusOr<std::unique_ptr<AuditLog>> opened = AuditLog::Open(config.audit_file);
    if (!opened.ok()) return failed(opened.status());
    audit = *std::move(opened);
  }
  ServerOptions options;
  options.audit = audit.get();
  options.access = config.access;
  options.connections = config.connections;
  options.max_message_bytes = config.max_message_bytes;
  options.max_interpreters = config.max_interpreters;
  options.max_constant_bytes = config.max_constant_bytes;
  options.constants = constants->get();
  options.jobs = jobs->get();
  options.interpreter_defaults = config.interpreter;
  options.on_drain = [&lifecycle](std::optional<absl::Duration> grace) { lifecycle.RequestDrain(grace); };
  options.on_interpreter_closed = [&lifecycle] { lifecycle.InterpreterClosed(); };
  // What can fail comes before the server, which begins with jobs and requests at once.
  std::unique_ptr<MetricsExposer> metrics;
  if (!config.metrics_listen.empty()) {
    absl::StatusOr<std::unique_ptr<MetricsExposer>> listening = MetricsExposer::Listen(config.metrics_listen);
    if (!listening.ok()) return failed(listening.status());
    metrics = *std::move(listening);
  }
  absl::StatusOr<std::unique_ptr<Server>> server;
  {
    ScopedNoTls12 least_tls13;
    server = Server::Start(**registry, channels, listener->endpoints(), std::move(options));
  }
  absl::Status bound = server.ok() ? listener->Bound() : server.status();
  if (!bound.ok()) return failed(bound);
  if (metrics != nullptr) {
    metrics->Expose(**server);
    LOG(INFO) << "metrics at http://" << metrics->address() << "/metrics";
  }
  log.Say(absl::LogSeverity::kInfo, absl::StrCat("ready ", absl::StrJoin((*server)->addresses(), " ")));

  absl::Duration grace = absl::Seconds(config.grace_period_seconds);
  AccessConfig access = config.access;
  ApplyReloads(reloader, **registry, **server, *listener, jobs->get(), log, audit.get(), &access, &grace);
  bool all_ended = lifecycle.Run(**registry, **server, manager,
                                 {.grace = &grace,
                                  .reload = [&reloader] { return reloader.Reload(); },
                                  .say = [&log](std::string_view line) { log.Say(absl::LogSeverity::kInfo, line); }});
  if (!all_ended) {
    // Threads of interpreters go on as long as the process does, so nothing that they use may be torn down.
    {
      Listener ours = *std::move(listener);
    }
    if (audit != nullptr) audit->Flush(absl::Seconds(2));  // no destructor is run
    log.Flush();
    _exit(0);
  }
  metrics.reset();
  server->reset();
  registry->reset();
  LOG(INFO) << "ended";
  return 0;
}

int Main(int argc, char** argv) {
  Lifecycle lifecycle;
  ServiceManager manager = ServiceManager::FromEnvironment();
  CommandLine line;
  Config flags;
  CLI::App app(kDescription, "interpd");
  AddFlags(app, line, flags);
  absl::StatusOr<Config> config;
  try {  // CLI11 reports by exceptions
    app.parse(argc, argv);
    config = Configure(line, flags, argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (!config.ok()) {
    Say(config.status().message());
    return kUsage;
  }
  if (line.print_config) {
    std::fputs(PrintConfig(*config).c_str(), stdout);
    return 0;
  }
  // Never deleted: see there.
  static LogWriter& log = *new LogWriter(LogFormatOf(config->log_format), LogLevel(config->log_level), STDERR_FILENO);
  PrepareProcess();
  Reloader reloader(*config, [&] { return Configure(line, flags, argc, argv); });
  int code = Serve(*config, lifecycle, manager, reloader, log);
  log.Flush();
  return code;
}

}  // namespace
}  // namespace interpd::daemon

int main(int argc, char** argv) { return interpd::daemon::Main(argc, argv); }
