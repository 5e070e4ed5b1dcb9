// InterpreterRegistry: name -> interpreter; the way in to interp/.
//
//   auto registry = InterpreterRegistry::Start({});          // starts CPython; once a process
//   auto one = (*registry)->Create("one", {}, [](absl::Status made) { ... });
//   (*one)->Submit(work);                                    // may be sent before it is made
//   (*registry)->CloseAll(absl::Seconds(5), [] { ... });
//
// Thread safety: every method may be called from any thread that belongs to no interpreter.
#ifndef INTERPD_INTERP_INTERPRETER_REGISTRY_H_
#define INTERPD_INTERP_INTERPRETER_REGISTRY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "channels/channel_registry.h"
#include "interp/constant_pool.h"
#include "interp/interpreter.h"

namespace interpd::interp {

inline constexpr size_t kMaxSourceBytes = size_t{64} << 20;

struct HostConfig {
  size_t max_interpreters = 4096;               // not counting stuck ones
  size_t max_value_bytes = size_t{64} << 20;    // of a call's result as a Value
  size_t max_constant_bytes = size_t{2} << 30;  // of one version of a constant
  // The channels that hosted code finds by name. Must outlive the registry; null: one of its own.
  channels::ChannelRegistry* channels = nullptr;
};

struct HostInfo {
  size_t interpreter_count = 0;  // neither closed, failed nor stuck
  size_t stuck_count = 0;
  int64_t pending_count = 0;
  int64_t completed_count = 0;  // since the start, closed interpreters included
  std::string python_version;
};

class InterpreterRegistry {
 public:
  // Starts CPython in this process, with no signal handlers of its own, and the host's threads. Call it once, on the
  // main thread, before other threads are started.
  static absl::StatusOr<std::unique_ptr<InterpreterRegistry>> Start(HostConfig config);

  // Closes what is left without grace and ends CPython; with a stuck interpreter, CPython is left as it is and the
  // process must leave by _exit.
  virtual ~InterpreterRegistry() = default;

  // Makes an interpreter; an empty ID asks for a fresh one. The name may be in a space (channels/names.h). `done` is
  // called once, under the rules of Work::Done, when it is made (OK) or has failed (INTERPRETER_FAILED; its name is
  // free again); not if an error is returned. Errors: INVALID_FIELD, INTERPRETER_EXISTS, TOO_MANY_INTERPRETERS,
  // SERVER_DRAINING.
  virtual absl::StatusOr<std::shared_ptr<Interpreter>> Create(std::string_view name, InterpreterConfig config,
                                                              absl::AnyInvocable<void(absl::Status) &&> done) = 0;

  // Errors: INTERPRETER_NOT_FOUND, whose message names the ones that exist when they are few.
  virtual absl::StatusOr<std::shared_ptr<Interpreter>> Get(std::string_view name) const = 0;

  // Those with names after `after`, in the order of their names, at most `limit`.
  virtual std::vector<std::shared_ptr<Interpreter>> List(std::string_view after, size_t limit) const = 0;

  virtual HostInfo info() const = 0;

  // Of all work since the start, closed interpreters included.
  virtual WorkTimes work_times() const = 0;

  // The immortal constants. It lives as long as the registry: no call may be under way when that goes.
  virtual ConstantPool& constants() = 0;

  // Another limit from now on; interpreters above it stay.
  virtual void SetMaxInterpreters(size_t max_interpreters) = 0;

  // Has a hidden interpreter run a trivial call; it is made at the first beat, and listed and counted nowhere. `done`
  // is called once, under the rules of Work::Done: OK, or why nothing ran. It never comes if the host is wedged.
  // Requires: the last beat is done.
  virtual void Beat(absl::AnyInvocable<void(absl::Status) &&> done) = 0;

  // Refuses Create from now on.
  virtual void Drain() = 0;

  // Closes all, the heartbeat's too; `done` comes when each is closed or stuck.
  virtual void CloseAll(absl::Duration grace, absl::AnyInvocable<void() &&> done) = 0;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_INTERPRETER_REGISTRY_H_
