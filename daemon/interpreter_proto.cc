#include "daemon/interpreter_proto.h"

#include <climits>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"
#include "daemon/proto_time.h"
#include "daemon/utf8.h"
#include "interp/interpreter_registry.h"

namespace interpd::daemon {
namespace {

constexpr std::string_view kCollection = "interpreters/";
constexpr int32_t kMaxQueueLimit = 65536;
constexpr int64_t kMaxLogLimit = int64_t{64} << 20;
constexpr int kMaxPathEntries = 256;

absl::Status CheckDirectory(std::string_view field, std::string_view path) {
  if (!absl::StartsWith(path, "/")) return InvalidField(field, "must be an absolute path");
  if (path.size() >= PATH_MAX) return InvalidField(field, absl::StrCat("is longer than ", PATH_MAX - 1, " bytes"));
  if (absl::StrContains(path, '\0')) return InvalidField(field, "holds a NUL character");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ParseName(const Principal& principal, std::string_view name, std::string_view field) {
  std::string_view id = name;
  std::optional<std::string> full;
  if (absl::ConsumePrefix(&id, kCollection)) full = FullName(principal.space, id);
  if (full) return *std::move(full);
  return InvalidField(field, absl::StrCat("must be interpreters/ID, with an ID of 1 to 63 letters, digits, '_', '-' or "
                                          "'.', a letter or digit first; it is \"",
                                          Abridge(name, 128), "\""));
}

std::string NameOf(const interp::Interpreter& interpreter) { return absl::StrCat(kCollection, interpreter.name()); }

v1::Interpreter::State EncodeState(interp::State state) {
  switch (state) {
    case interp::State::kCreating: return v1::Interpreter::CREATING;
    case interp::State::kActive: return v1::Interpreter::ACTIVE;
    case interp::State::kRunning: return v1::Interpreter::RUNNING;
    case interp::State::kClosing: return v1::Interpreter::CLOSING;
    case interp::State::kClosed: return v1::Interpreter::CLOSED;
    case interp::State::kFailed: return v1::Interpreter::FAILED;
    case interp::State::kStuck: return v1::Interpreter::STUCK;
  }
  return v1::Interpreter::STATE_UNSPECIFIED;
}

v1::Output::Stream EncodeStream(interp::Stream stream) {
  return stream == interp::Stream::kStdout ? v1::Output::STDOUT : v1::Output::STDERR;
}

void EncodeInterpreter(const Principal& principal, const interp::Interpreter& interpreter, SetupSource setup_source,
                       v1::Interpreter* out) {
  interp::InterpreterInfo info = interpreter.info();
  out->set_name(absl::StrCat(kCollection, principal.Shown(interpreter.name())));
  out->set_owner(OwnerOf(interpreter.name()));
  out->set_state(EncodeState(info.state));
  EncodeTime(info.create_time, out->mutable_create_time());
  out->set_completed_count(info.completed_count);
  out->set_pending_count(info.pending_count);
  out->set_thread_id(info.thread_id);
  EncodeDuration(info.cpu_time, out->mutable_cpu_time());
  out->set_memory_bytes(info.memory_bytes);
  const interp::InterpreterConfig& config = interpreter.config();
  v1::InterpreterConfig* to = out->mutable_config();
  for (const std::string& entry : config.path) to->add_path(ToValidUtf8(entry));
  to->set_venv(ToValidUtf8(config.venv));
  to->set_site(config.site);
  to->set_cwd(ToValidUtf8(config.cwd));
  if (setup_source == SetupSource::kInclude && principal.role != Role::kViewer)
    to->set_setup_source(config.setup_source);
  to->set_queue_limit(static_cast<int32_t>(config.queue_limit));
  to->set_log_limit_bytes(static_cast<int64_t>(config.log_limit_bytes));
  to->set_may_publish(config.may_publish);
}

absl::StatusOr<interp::InterpreterConfig> DecodeConfig(const v1::InterpreterConfig& config,
                                                       const interp::InterpreterConfig& defaults) {
  if (config.path_size() > kMaxPathEntries) {
    return InvalidField("config.path", absl::StrCat("has more than ", kMaxPathEntries, " entries"));
  }
  interp::InterpreterConfig result = defaults;
  result.path.assign(config.path().begin(), config.path().end());
  for (size_t i = 0; i < result.path.size(); ++i) {
    absl::Status status = CheckDirectory(absl::StrCat("config.path[", i, "]"), result.path[i]);
    if (!status.ok()) return status;
  }
  result.path.insert(result.path.end(), defaults.path.begin(), defaults.path.end());
  if (!config.venv().empty()) {
    absl::Status status = CheckDirectory("config.venv", config.venv());
    if (!status.ok()) return status;
    result.venv = config.venv();
  }
  result.site = config.site() || defaults.site;
  result.may_publish = config.may_publish() || defaults.may_publish;
  if (!config.cwd().empty()) {
    absl::Status status = CheckDirectory("config.cwd", config.cwd());
    if (!status.ok()) return status;
    result.cwd = config.cwd();
  }
  if (!config.setup_source().empty()) {
    if (config.setup_source().size() > interp::kMaxSourceBytes) {
      return InvalidField("config.setup_source", absl::StrCat("is longer than ", interp::kMaxSourceBytes, " bytes"));
    }
    result.setup_source = config.setup_source();
  }
  if (config.queue_limit() < 0 || config.queue_limit() > kMaxQueueLimit) {
    return InvalidField("config.queue_limit", absl::StrCat("must be 1 to ", kMaxQueueLimit, ", or 0 for the default"));
  }
  if (config.queue_limit() > 0) result.queue_limit = config.queue_limit();
  if (config.log_limit_bytes() < 0 || config.log_limit_bytes() > kMaxLogLimit) {
    return InvalidField("config.log_limit_bytes",
                        absl::StrCat("must be 1 to ", kMaxLogLimit, " bytes, or 0 for the default"));
  }
  if (config.log_limit_bytes() > 0) result.log_limit_bytes = config.log_limit_bytes();
  return result;
}

}  // namespace interpd::daemon
