#include "client/cli/print.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/utf8.h"
#include "client/client.h"

namespace interpd::client {
namespace {

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string StateName(const v1::Interpreter& interpreter) {
  return absl::AsciiStrToLower(v1::Interpreter::State_Name(interpreter.state()));
}

std::string TimeAndAge(const google::protobuf::Timestamp& timestamp, absl::Time now) {
  absl::Time time = ToTime(timestamp);
  return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone()), " (",
                      ShortDuration(now - time), " ago)");
}

std::string ToJson(const google::protobuf::Message& message, bool spread) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = spread;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  CHECK(status.ok()) << status.ToString();  // fails only for an Any of an unknown type, and there is none
  return std::string(absl::StripTrailingAsciiWhitespace(json));
}

template <typename Message>
std::string JsonArray(std::span<const Message> messages) {
  std::vector<std::string> items;
  for (const Message& message : messages) items.push_back(MessageToJson(message));
  return items.empty() ? "[]\n" : absl::StrCat("[\n", absl::StrJoin(items, ",\n"), "\n]\n");
}

std::string KindName(const v1::Channel& channel) {
  if (channel.config().kind() == v1::ChannelConfig::BROADCAST) return "broadcast";
  return channel.config().capacity() == 0 ? "rendezvous" : "queue";
}

std::string CapacityText(const v1::Channel& channel) {
  return channel.config().has_capacity() ? absl::StrCat(channel.config().capacity()) : "-";
}

std::string StateName(const v1::Channel& channel) {
  return absl::AsciiStrToLower(v1::Channel::State_Name(channel.state()));
}

std::string StateName(const v1::Constant& constant) {
  return absl::AsciiStrToLower(v1::Constant::State_Name(constant.state()));
}

}  // namespace

std::string MessageToJson(const google::protobuf::Message& message) { return ToJson(message, /*spread=*/false); }

std::string JsonDocument(const google::protobuf::Message& message) { return ToJson(message, /*spread=*/true) + "\n"; }

std::string JsonDocument(std::span<const v1::Interpreter> interpreters) { return JsonArray(interpreters); }
std::string JsonDocument(std::span<const v1::Channel> channels) { return JsonArray(channels); }
std::string JsonDocument(std::span<const v1::Constant> constants) { return JsonArray(constants); }

std::string Table(std::vector<std::vector<std::string>> rows) {
  std::vector<size_t> widths;
  for (std::vector<std::string>& row : rows) {
    // What others have called their things must not reach a terminal as orders to it.
    for (std::string& cell : row) cell = Printable(cell);
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string Fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, value] : fields) rows.push_back({key + ":", value});
  return Table(std::move(rows));
}

std::string InterpreterTable(std::span<const v1::Interpreter> interpreters, absl::Time now) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "STATE", "PENDING", "COMPLETED", "CPU", "MEMORY", "AGE"}};
  for (const v1::Interpreter& interpreter : interpreters) {
    rows.push_back({std::string(ResourceId(interpreter.name())), StateName(interpreter),
                    absl::StrCat(interpreter.pending_count()), absl::StrCat(interpreter.completed_count()),
                    ShortDuration(ToDuration(interpreter.cpu_time())), ShortBytes(interpreter.memory_bytes()),
                    ShortDuration(now - ToTime(interpreter.create_time()))});
  }
  return Table(std::move(rows));
}

std::string InterpreterFields(const v1::Interpreter& interpreter, absl::Time now) {
  const v1::InterpreterConfig& config = interpreter.config();
  std::vector<std::pair<std::string, std::string>> fields = {
      {"Name", std::string(ResourceId(interpreter.name()))},
      {"State", StateName(interpreter)},
      {"Created", TimeAndAge(interpreter.create_time(), now)},
      {"Pending", absl::StrCat(interpreter.pending_count())},
      {"Completed", absl::StrCat(interpreter.completed_count())},
      {"CPU", ShortDuration(ToDuration(interpreter.cpu_time()))},
      {"Memory", ShortBytes(interpreter.memory_bytes())},
      {"Thread", absl::StrCat(interpreter.thread_id())},
  };
  if (config.path_size() > 0) fields.push_back({"Path", absl::StrJoin(config.path(), ":")});
  if (!config.venv().empty()) fields.push_back({"Venv", config.venv()});
  if (config.site()) fields.push_back({"Site", "yes"});
  if (config.may_publish()) fields.push_back({"Publishes", "yes"});
  if (!config.cwd().empty()) fields.push_back({"Directory", config.cwd()});
  return Fields(fields);
}

std::string ChannelTable(std::span<const v1::Channel> channels) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "KIND", "STATE", "LENGTH", "CAPACITY", "SENT"}};
  for (const v1::Channel& channel : channels) {
    rows.push_back({std::string(ChannelId(channel.name())), KindName(channel), StateName(channel),
                    absl::StrCat(channel.length()), CapacityText(channel), absl::StrCat(channel.sent_count())});
  }
  return Table(std::move(rows));
}

std::string ChannelStatsTable(std::span<const v1::Channel> channels) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "LENGTH", "UNACKED", "SENT", "RECEIVED", "SENDERS WAIT", "RECEIVERS WAIT", "SUBSCRIBERS", "DROPPED"}};
  for (const v1::Channel& channel : channels) {
    rows.push_back({std::string(ChannelId(channel.name())), absl::StrCat(channel.length()),
                    absl::StrCat(channel.unacknowledged_count()), absl::StrCat(channel.sent_count()),
                    absl::StrCat(channel.received_count()), absl::StrCat(channel.waiting_senders()),
                    absl::StrCat(channel.waiting_receivers()), absl::StrCat(channel.subscriber_count()),
                    absl::StrCat(channel.dropped_count())});
  }
  return Table(std::move(rows));
}

std::string ChannelFields(const v1::Channel& channel) {
  std::vector<std::pair<std::string, std::string>> fields = {
      {"Name", std::string(ChannelId(channel.name()))},
      {"Kind", KindName(channel)},
      {"State", StateName(channel)},
  };
  fields.push_back({"Length", absl::StrCat(channel.length(), " of ", CapacityText(channel))});
  fields.push_back({"Unacknowledged", absl::StrCat(channel.unacknowledged_count())});
  fields.push_back({"Sent", absl::StrCat(channel.sent_count())});
  fields.push_back({"Received", absl::StrCat(channel.received_count())});
  fields.push_back({"Returned", absl::StrCat(channel.returned_count())});
  fields.push_back({"Senders waiting", absl::StrCat(channel.waiting_senders())});
  fields.push_back({"Receivers waiting", absl::StrCat(channel.waiting_receivers())});
  if (channel.config().kind() == v1::ChannelConfig::BROADCAST) {
    fields.push_back({"Subscribers", absl::StrCat(channel.subscriber_count())});
    fields.push_back({"Dropped", absl::StrCat(channel.dropped_count())});
  }
  return Fields(fields);
}

std::string ConstantTable(std::span<const v1::Constant> constants) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STATE", "VERSION", "OBJECTS", "BYTES", "INTERPRETERS", "RETIRED"}};
  for (const v1::Constant& constant : constants) {
    rows.push_back({std::string(ConstantId(constant.name())), StateName(constant), absl::StrCat(constant.version()),
                    absl::StrCat(constant.object_count()), ShortBytes(constant.size_bytes()),
                    absl::StrCat(constant.interpreter_count()), ShortBytes(constant.retired_bytes())});
  }
  return Table(std::move(rows));
}

std::string ConstantFields(const v1::Constant& constant, absl::Time now) {
  return Fields({
      {"Name", std::string(ConstantId(constant.name()))},
      {"State", StateName(constant)},
      {"Version", absl::StrCat(constant.version())},
      {"Put", TimeAndAge(constant.update_time(), now)},
      {"Type", constant.type()},
      {"Digest", constant.digest()},
      {"Objects", absl::StrCat(constant.object_count())},
      {"Memory", ShortBytes(constant.size_bytes())},
      {"Interpreters", absl::StrCat(constant.interpreter_count(), " have seen it")},
      {"Retired", absl::StrCat(constant.retired_count(), " versions, ", ShortBytes(constant.retired_bytes()))},
      {"Persistent", constant.persistent() ? "yes" : "no"},
  });
}

std::string InfoFields(const v1::Info& info, absl::Time now) {
  return Fields({
      {"Version", info.version()},
      {"Python", info.python_version()},
      {"PID", absl::StrCat(info.pid())},
      {"Started", TimeAndAge(info.start_time(), now)},
      {"Draining", info.draining() ? "yes" : "no"},
      {"Listens on", absl::StrJoin(info.listen_addresses(), " ")},
      {"Interpreters", absl::StrCat(info.interpreter_count(), " of ", info.limits().max_interpreters())},
      {"Stuck", absl::StrCat(info.stuck_count())},
      {"Channels", absl::StrCat(info.channel_count(), ", with ", info.channel_value_count(), " values")},
      {"Constants", absl::StrCat(info.constant_count(), ", with ", ShortBytes(info.constant_bytes()), "; ",
                                 ShortBytes(info.retired_constant_bytes()), " retired")},
      {"Pending", absl::StrCat(info.pending_count())},
      {"Completed", absl::StrCat(info.completed_count())},
      {"Memory", ShortBytes(info.rss_bytes())},
      {"Open files", absl::StrCat(info.open_fds())},
      {"Threads", absl::StrCat(info.threads())},
      {"Largest message", ShortBytes(info.limits().max_message_bytes())},
      {"Largest constant", ShortBytes(info.limits().max_constant_bytes())},
      {"Largest source", ShortBytes(info.limits().max_source_bytes())},
      {"Deepest value", absl::StrCat(info.limits().max_value_depth())},
  });
}

std::string ShortDuration(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(std::max(duration, absl::ZeroDuration()));
  if (seconds < 1) return absl::StrFormat("%.0fms", seconds * 1e3);
  if (seconds < 60) return absl::StrFormat("%.1fs", seconds);
  if (seconds < 3600) return absl::StrFormat("%.0fm", seconds / 60);
  if (seconds < 86400) return absl::StrFormat("%.1fh", seconds / 3600);
  return absl::StrFormat("%.0fd", seconds / 86400);
}

std::string ShortBytes(int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double amount = static_cast<double>(bytes);
  size_t unit = 0;
  while (amount >= 1024 && unit + 1 < std::size(units)) {
    amount /= 1024;
    ++unit;
  }
  if (amount == static_cast<int64_t>(amount)) return absl::StrFormat("%.0f %s", amount, units[unit]);
  return absl::StrFormat("%.1f %s", amount, units[unit]);
}

}  // namespace interpd::client
