#include "daemon/server.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "daemon/admin_service.h"
#include "daemon/channels_service.h"
#include "daemon/constants_service.h"
#include "daemon/health_service.h"
#include "daemon/heartbeat.h"
#include "daemon/interpreters_service.h"
#include "daemon/jobs_service.h"
#include "daemon/reflection_service.h"
#include "daemon/rpc.h"
#include "daemon/server_metrics.h"
#include "daemon/unix_listener.h"
#include "daemon/unix_socket.h"

namespace interpd::daemon {
namespace {

// How long clients may take to read their last answers.
constexpr absl::Duration kFlushTime = absl::Seconds(2);

constexpr int kHandshakeMilliseconds = 20'000;
constexpr int kKeepaliveMilliseconds = 60'000;

// How long a scrape waits for the engine of jobs.
constexpr absl::Duration kMetricsTime = absl::Seconds(5);

std::string WithPort(const std::string& address, int port) {
  size_t colon = address.rfind(':');
  return absl::StrCat(address.substr(0, colon), ":", port);
}

bool IsUnix(const Server::Endpoint& endpoint) {
  return endpoint.inherited_fd >= 0 || absl::StartsWith(endpoint.address, "unix:");
}

absl::StatusOr<UnixListener::Socket> OpenSocket(const Server::Endpoint& endpoint) {
  if (endpoint.inherited_fd >= 0) {
    absl::StatusOr<std::string> address = AdoptUnixSocket(endpoint.inherited_fd);
    if (!address.ok()) return address.status();
    return UnixListener::Socket{endpoint.inherited_fd, *std::move(address)};
  }
  absl::StatusOr<int> fd =
      ListenOnUnixSocket(std::string(absl::StripPrefix(endpoint.address, "unix:")), endpoint.mode, endpoint.group);
  if (!fd.ok()) return fd.status();
  return UnixListener::Socket{*fd, endpoint.address};
}

}  // namespace

class Server::Impl {
 public:
  Impl(interp::InterpreterRegistry& registry, channels::ChannelRegistry& channels, ServerOptions options,
       grpc::ServerBuilder& builder)
      : loop_(builder.AddCompletionQueue()),
        connections_(options.connections),
        memory_only_(registry.constants(), nullptr),
        state_{.registry = registry,
               .channels = channels,
               .constants = options.constants != nullptr ? *options.constants : memory_only_,
               .loop = loop_,
               .access = access_,
               .connections = connections_,
               .options = std::move(options)},
        interpreters_(state_),
        channels_(state_),
        constants_(state_),
        jobs_(state_),
        admin_(state_),
        health_(state_),
        reflection_(state_),
        heartbeat_(loop_, registry, state_.options.jobs) {
    builder.RegisterService(interpreters_.service());
    builder.RegisterService(channels_.service());
    builder.RegisterService(constants_.service());
    builder.RegisterService(jobs_.service());
    builder.RegisterService(admin_.service());
    builder.RegisterService(health_.service());
    builder.RegisterService(reflection_.service());
  }

  ~Impl() { Shutdown(); }

  absl::Status SetAccess(const AccessConfig& config) {
    absl::Status status = access_.Configure(config);
    if (!status.ok()) return status;
    connections_.Renew([this](const PeerCredentials& peer) { return access_.OfUnixPeer(peer); });
    loop_.Run([this] { Rpc::CheckAccessOfAll(state_); });
    return absl::OkStatus();
  }

  absl::Status Start(grpc::ServerBuilder& builder, std::vector<Endpoint> endpoints) {
    absl::Status access = access_.Configure(state_.options.access);
    if (!access.ok()) return access;
    std::vector<UnixListener::Socket> sockets;
    absl::Cleanup close_sockets = [&sockets] {
      for (const UnixListener::Socket& socket : sockets) close(socket.fd);
    };
    std::vector<int> ports(endpoints.size(), 0);
    for (size_t i = 0; i < endpoints.size(); ++i) {
      if (IsUnix(endpoints[i])) {
        absl::StatusOr<UnixListener::Socket> socket = OpenSocket(endpoints[i]);
        if (!socket.ok()) return socket.status();
        endpoints[i].address = socket->address;
        sockets.push_back(*std::move(socket));
      } else {
        builder.AddListeningPort(endpoints[i].address, endpoints[i].credentials, &ports[i]);
        credentials_.push_back(endpoints[i].credentials);
      }
    }
    server_ = builder.BuildAndStart();
    for (size_t i = 0; i < endpoints.size(); ++i) {
      const bool is_unix = IsUnix(endpoints[i]);
      if (server_ == nullptr || (!is_unix && ports[i] == 0)) {
        return absl::FailedPreconditionError(
            absl::StrCat("cannot listen on ", endpoints[i].address,
                         ": it is taken, or not this host's, or needs rights this process lacks"));
      }
      state_.addresses.push_back(is_unix ? endpoints[i].address : WithPort(endpoints[i].address, ports[i]));
    }
    absl::Status jobs = StartJobs();
    if (!jobs.ok()) return jobs;
    loop_.Run([this] {
      interpreters_.Listen();
      channels_.Listen();
      constants_.Listen();
      jobs_.Listen();
      admin_.Listen();
      health_.Listen();
      reflection_.Listen();
    });
    loop_.Start();
    if (!sockets.empty()) {
      unix_listener_.emplace(std::exchange(sockets, {}), access_, connections_,
                             [this](int fd) { grpc::AddInsecureChannelFromFd(server_.get(), fd); });
    }
    return absl::OkStatus();
  }

  void Beat(absl::AnyInvocable<void(absl::Status) &&> done) { heartbeat_.Begin(std::move(done)); }

  MetricsPage Metrics() {
    struct Answer {
      MetricsPage page;
      absl::Notification ready;
    };
    auto answer = std::make_shared<Answer>();  // it may come after we have given up
    loop_.Run([&] {
      CollectMetrics(state_, [answer](MetricsPage page) {
        answer->page = std::move(page);
        answer->ready.Notify();
      });
    });
    if (!answer->ready.WaitForNotificationWithTimeout(kMetricsTime)) return {};
    return std::move(answer->page);
  }

  void Reconfigure(absl::FunctionRef<void(ServerOptions&)> change) {
    loop_.Run([&] { change(state_.options); });
  }

  void BeginDrain() {
    loop_.Run([this] {
      state_.draining = true;
      health_.Changed();
    });
    state_.registry.Drain();
    if (state_.jobs != nullptr) state_.jobs->engine.BeginDrain();
  }

  void Shutdown() {
    if (stopped_) return;
    stopped_ = true;
    unix_listener_.reset();  // before the server, which it gives connections to
    if (state_.jobs != nullptr) {
      loop_.Run([this] {
        state_.draining = true;
        state_.jobs->closing = true;
      });
      // First, so that what has ended is in the journal, whatever comes.
      state_.jobs->engine.Stop();
    }
    if (server_ != nullptr) {
      loop_.Run([this] {
        state_.draining = true;
        state_.call_expiry.Stop();
        // A copy, since ending a call may take it out of the set.
        std::vector<Rpc*> streams(state_.open_streams.begin(), state_.open_streams.end());
        for (Rpc* rpc : streams) rpc->OnShutdown();
        state_.on_idle = [this] {
          if (!idle_.HasBeenNotified()) idle_.Notify();
        };
        if (state_.calls == 0) state_.on_idle();
      });
      idle_.WaitForNotificationWithTimeout(kFlushTime);
      // Now, not later: gRPC's own grace is for connections, which idle clients keep open.
      server_->Shutdown(std::chrono::system_clock::now());
    }
    // They have been told to give up, and post their last answers.
    state_.put_threads.Stop();
    state_.file_thread.Stop();
    if (state_.jobs != nullptr) state_.jobs->thread.Stop();
    loop_.Stop();
  }

  const std::vector<std::string>& addresses() const { return state_.addresses; }

 private:
  absl::Status StartJobs() {
    JobEngine* engine = state_.options.jobs;
    if (engine == nullptr) return absl::OkStatus();
    absl::Status started = engine->Start(
        state_.registry, [this](const std::string& space) -> ChannelNames& { return state_.NamesIn(space); },
        state_.options.on_interpreter_closed);
    if (!started.ok()) return started;
    absl::StatusOr<std::unique_ptr<JournalReader>> reader = JournalReader::Open(engine->options().directory);
    if (!reader.ok()) {
      engine->Stop();
      return reader.status();
    }
    state_.jobs = std::make_unique<JobsState>(*engine, *std::move(reader));
    return absl::OkStatus();
  }

  // The order matters: RPCs, which the loop ends, use the state and the services; gRPC's server uses the services and
  // goes before the queue does.
  EventLoop loop_;
  Access access_;
  Connections connections_;
  ConstantStore memory_only_;  // if we were given no other
  ServerState state_;
  InterpretersService interpreters_;
  ChannelsService channels_;
  ConstantsService constants_;
  JobsService jobs_;
  AdminService admin_;
  HealthService health_;
  ReflectionService reflection_;
  Heartbeat heartbeat_;
  std::vector<std::shared_ptr<grpc::ServerCredentials>> credentials_;  // gRPC's server asks them for certificates
  std::unique_ptr<grpc::Server> server_;
  std::optional<UnixListener> unix_listener_;
  absl::Notification idle_;
  bool stopped_ = false;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Start(interp::InterpreterRegistry& registry,
                                                      channels::ChannelRegistry& channels,
                                                      std::vector<Endpoint> endpoints, ServerOptions options) {
  grpc::ServerBuilder builder;
  // Requests and answers are held against the limit by ourselves, so that the error is ours (rpc.h). What is far above
  // it is cut off by gRPC, before it takes memory.
  builder.SetMaxReceiveMessageSize(static_cast<int>(std::min<int64_t>(2 * options.max_message_bytes, INT_MAX)));
  builder.SetMaxSendMessageSize(-1);
  // Two daemons must not share a port without knowing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Who connects over TCP has so long to say what it wants, and who is idle has to answer a ping now and then.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kHandshakeMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // A connection takes no new calls after a while, and clients make another: so a certificate that has expired, or
  // whose CA is trusted no longer, is good for that long. Calls that are open go on (the grace has no limit by
  // default).
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(options.connection_age)));
  auto impl = std::make_unique<Impl>(registry, channels, std::move(options), builder);
  absl::Status started = impl->Start(builder, std::move(endpoints));
  if (!started.ok()) return started;
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::Beat(absl::AnyInvocable<void(absl::Status) &&> done) { impl_->Beat(std::move(done)); }
MetricsPage Server::Metrics() { return impl_->Metrics(); }
void Server::Reconfigure(absl::FunctionRef<void(ServerOptions&)> change) { impl_->Reconfigure(change); }
absl::Status Server::SetAccess(const AccessConfig& config) { return impl_->SetAccess(config); }
void Server::BeginDrain() { impl_->BeginDrain(); }
void Server::Shutdown() { impl_->Shutdown(); }
const std::vector<std::string>& Server::addresses() const { return impl_->addresses(); }

}  // namespace interpd::daemon
