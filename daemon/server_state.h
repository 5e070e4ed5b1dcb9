// ServerState: what the RPCs of one server share.
//
// Who includes this: the server, which owns it, and every RPC. All of it belongs to handlers of the event loop, but for
// what says that it is any thread's.
#ifndef INTERPD_DAEMON_SERVER_STATE_H_
#define INTERPD_DAEMON_SERVER_STATE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "channels/channel_registry.h"
#include "daemon/access.h"
#include "daemon/accounts.h"
#include "daemon/audit_log.h"
#include "daemon/call_expiry.h"
#include "daemon/channel_clients.h"
#include "daemon/channel_names.h"
#include "daemon/connections.h"
#include "daemon/constant_store.h"
#include "daemon/create_requests.h"
#include "daemon/event_loop.h"
#include "daemon/jobs_state.h"
#include "daemon/metrics_page.h"
#include "daemon/queue_room.h"
#include "daemon/refusal_cap.h"
#include "daemon/rpc_counters.h"
#include "daemon/worker_threads.h"
#include "interp/interpreter_registry.h"
#include "interpd/v1/channels.pb.h"

namespace interpd::daemon {

class Rpc;
struct ServerState;

// rpc.cc
void EndExpiredCalls(ServerState& state);

struct ServerOptions {
  int64_t max_message_bytes = int64_t{64} << 20;
  int64_t max_interpreters = 4096;                // as the registry was told; for GetInfo
  int64_t max_constant_bytes = int64_t{2} << 30;  // likewise, and of the content that a put sends
  // Of that registry's constants; must outlive the server. Null: one that persists nothing.
  ConstantStore* constants = nullptr;

  // Must outlive the server, and not be started. Null: there are no jobs.
  JobEngine* jobs = nullptr;

  // What an interpreter gets that does not say otherwise: `path` is put after its own, `site` and `may_publish` are
  // added to its own, the others count where its own is empty or 0.
  interp::InterpreterConfig interpreter_defaults;

  // Where it is written who did what; must outlive the server. Null: nowhere.
  AuditLog* audit = nullptr;
  // Who may do what.
  AccessConfig access;
  ConnectionLimits connections;
  // So old a connection takes no new calls; those that are open go on.
  absl::Duration connection_age = absl::Hours(1);
  // How long the content of a constant may not come.
  absl::Duration put_patience = absl::Minutes(1);

  // What a Drain RPC asks for; no duration: the daemon's own grace period. Must not block.
  std::function<void(std::optional<absl::Duration>)> on_drain = [](auto) {};
  // An interpreter has been closed, or a constant put, so that memory may go back. Must not block.
  std::function<void()> on_interpreter_closed = [] {};
};

struct ServerState {
  interp::InterpreterRegistry& registry;
  channels::ChannelRegistry& channels;
  ConstantStore& constants;
  EventLoop& loop;
  Access& access;
  Connections& connections;
  ServerOptions options;
  Accounts accounts;
  RefusalCap audited_refusals;
  std::vector<std::string> addresses;  // where it listens
  absl::Time start_time = absl::Now();

  bool draining = false;
  QueueRoom queue_room{loop};
  ChannelClients channel_clients{loop};
  // Of those without a space of their own, and of the others, by space.
  ChannelNames channel_names{channels, ""};
  absl::Mutex channel_names_mutex;  // of the map alone
  absl::flat_hash_map<std::string, std::unique_ptr<ChannelNames>> channel_names_in ABSL_GUARDED_BY(channel_names_mutex);
  CreateRequests<v1::Channel> create_channel_requests;
  int64_t put_bytes = 0;  // content of constants that is here and not in the pool yet
  // Puts and deletes: on threads apart, so that the short do not wait for the long. The threads are any thread's.
  WorkerThreads put_threads{2};
  WorkerThreads file_thread{1};
  std::unique_ptr<JobsState> jobs;  // null: there are none
  RpcCounters rpc_counters;
  std::vector<MetricsSource*> metrics_sources;  // must outlive the server's last request
  int64_t calls = 0;                            // from their acceptance until gRPC has done with them
  Rpc* newest_call = nullptr;                   // of a list of them
  CallExpiry call_expiry{loop, [this] { EndExpiredCalls(*this); }};
  std::function<void()> on_idle;  // if set: there are no calls any more
  // Calls that may stay open without work: they are ended at the end.
  absl::flat_hash_set<Rpc*> open_streams;

  ChannelNames& NamesOf(const Principal& principal) { return NamesIn(principal.space); }
  // Any thread.
  ChannelNames& NamesIn(const std::string& space) {
    if (space.empty()) return channel_names;
    absl::MutexLock lock(channel_names_mutex);
    std::unique_ptr<ChannelNames>& names = channel_names_in[space];
    if (names == nullptr) names = std::make_unique<ChannelNames>(channels, space);
    return *names;
  }
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_SERVER_STATE_H_
