#include "daemon/config.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <limits>
#include <sstream>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.hpp>

namespace interpd::daemon {
namespace {

constexpr int64_t kMinMessageBytes = 4096;
constexpr int64_t kMaxMessageBytes = int64_t{1} << 30;  // protobuf's own limit is 2 GiB
constexpr int64_t kMinConstantBytes = 4096;
constexpr int64_t kMaxConstantBytes = int64_t{1} << 44;
constexpr std::array<std::string_view, 3> kLogLevels = {"info", "warning", "error"};
constexpr std::array<std::string_view, 4> kLogFormats = {"auto", "text", "journald", "json"};

// ---- One key of the file --------------------------------------------------------------------------------------------

// A pointer to where the value goes says its type too.
using Target =
    std::variant<std::string*, bool*, int64_t*, size_t*, double*, std::vector<std::string>*, std::vector<AccessGrant>*>;

struct Key {
  std::string_view name;  // dotted: "tls.cert"
  Target target;
};

// An array of tables: [[access.rule]].
constexpr std::string_view kRules = "access.rule";

// Those of one rule.
std::vector<Key> RuleKeys(AccessGrant& grant) {
  return {
      {"unix_user", &grant.unix_user},
      {"unix_group", &grant.unix_group},
      {"certificate", &grant.certificate},
      {"token", &grant.token},
      {"role", &grant.role},
      {"max_interpreters", &grant.limits.max_interpreters},
      {"max_in_flight", &grant.limits.max_in_flight},
      {"requests_per_second", &grant.limits.requests_per_second},
      {"max_message_bytes", &grant.limits.max_message_bytes},
  };
}

// Every key there is, in the order in which they are printed: those of no table first.
std::vector<Key> Keys(Config& config, std::string& socket_mode) {
  return {
      {"listen", &config.listen},
      {"insecure", &config.insecure},
      {"socket_mode", &socket_mode},
      {"socket_group", &config.socket_group},
      {"max_interpreters", &config.max_interpreters},
      {"max_message_bytes", &config.max_message_bytes},
      {"max_constant_bytes", &config.max_constant_bytes},
      {"constants_dir", &config.constants_dir},
      {"state_dir", &config.state_dir},
      {"grace_period_seconds", &config.grace_period_seconds},
      {"log_level", &config.log_level},
      {"log_format", &config.log_format},
      {"max_connections", &config.connections.total},
      {"max_connections_per_user", &config.connections.per_user},
      {"metrics.listen", &config.metrics_listen},
      {"tls.cert", &config.tls.cert},
      {"tls.key", &config.tls.key},
      {"tls.client_ca", &config.tls.client_ca},
      {"audit.file", &config.audit_file},
      {"access.token_file", &config.access.token_file},
      {kRules, &config.access.rules},
      {"jobs.parallel", &config.jobs.parallel},
      {"jobs.max_unfinished", &config.jobs.max_unfinished},
      {"jobs.keep_days", &config.jobs.keep_days},
      {"jobs.keep_bytes", &config.jobs.keep_bytes},
      {"interpreter.path", &config.interpreter.path},
      {"interpreter.venv", &config.interpreter.venv},
      {"interpreter.site", &config.interpreter.site},
      {"interpreter.cwd", &config.interpreter.cwd},
      {"interpreter.may_publish", &config.interpreter.may_publish},
      {"interpreter.queue_limit", &config.interpreter.queue_limit},
      {"interpreter.log_limit_bytes", &config.interpreter.log_limit_bytes},
  };
}

// Takes `node` if it is of the type that the key has; if not, says what the type is.
const char* Assign(const toml::node& node, std::string* to) {
  if (!node.is_string()) return "a string";
  *to = node.ref<std::string>();
  return nullptr;
}
const char* Assign(const toml::node& node, bool* to) {
  if (!node.is_boolean()) return "true or false";
  *to = node.ref<bool>();
  return nullptr;
}
const char* Assign(const toml::node& node, int64_t* to) {
  if (!node.is_integer()) return "an integer";
  *to = node.ref<int64_t>();
  return nullptr;
}
const char* Assign(const toml::node& node, size_t* to) {
  if (!node.is_integer() || node.ref<int64_t>() < 0) return "an integer that is not negative";
  *to = static_cast<size_t>(node.ref<int64_t>());
  return nullptr;
}
const char* Assign(const toml::node& node, double* to) {
  std::optional<double> number = node.is_number() ? node.value<double>() : std::nullopt;
  if (!number) return "a number";
  *to = *number;
  return nullptr;
}
const char* Assign(const toml::node& node, std::vector<std::string>* to) {
  static constexpr char kExpected[] = "an array of strings";
  if (!node.is_array()) return kExpected;
  std::vector<std::string> values;
  for (const toml::node& element : *node.as_array()) {
    if (!element.is_string()) return kExpected;
    values.push_back(element.ref<std::string>());
  }
  *to = std::move(values);
  return nullptr;
}
const char* Assign(const toml::node&, std::vector<AccessGrant>*) { return "given as [[access.rule]] tables"; }

// ---- Messages -------------------------------------------------------------------------------------------------------

std::string At(std::string_view file, const toml::source_region& source) {
  return absl::StrCat(file, ":", source.begin.line, ":", source.begin.column, ": ");
}

// Changes of one character that turn `a` into `b`.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

std::string UnknownKey(std::string_view key, const std::vector<Key>& keys) {
  const Key* nearest = &*absl::c_min_element(
      keys, [key](const Key& a, const Key& b) { return Distance(key, a.name) < Distance(key, b.name); });
  std::string message = absl::StrCat("unknown key '", key, "'");
  if (Distance(key, nearest->name) <= std::max<size_t>(2, key.size() / 3)) {
    absl::StrAppend(&message, " (did you mean '", nearest->name, "'?)");
  }
  return message;
}

// Where in the file each key stands, so that a value out of range can be pointed at.
using Places = std::vector<std::pair<std::string_view, toml::source_region>>;

absl::Status ReadRules(const toml::array& array, std::string_view file, std::vector<AccessGrant>* rules);

absl::Status ReadTable(const toml::table& table, const std::string& prefix, std::string_view file,
                       const std::vector<Key>& keys, Places* places) {
  // In the order of the file, so that the first mistake in it is the one that is told.
  std::vector<std::pair<const toml::key*, const toml::node*>> entries;
  for (const auto& [key, node] : table) entries.emplace_back(&key, &node);
  absl::c_sort(entries, [](const auto& a, const auto& b) { return a.first->source().begin < b.first->source().begin; });
  for (const auto& [key_found, node_found] : entries) {
    const toml::key& key = *key_found;
    const toml::node& node = *node_found;
    std::string name = absl::StrCat(prefix, key.str());
    std::string table_prefix = absl::StrCat(name, ".");
    bool is_table = absl::c_any_of(keys, [&](const Key& k) { return k.name.starts_with(table_prefix); });
    auto found = absl::c_find_if(keys, [&](const Key& k) { return k.name == name; });
    if (is_table) {
      if (!node.is_table()) {
        return absl::InvalidArgumentError(
            absl::StrCat(At(file, node.source()), "'", name, "' must be a table, as in [", name, "]"));
      }
      absl::Status status = ReadTable(*node.as_table(), table_prefix, file, keys, places);
      if (!status.ok()) return status;
    } else if (found == keys.end()) {
      return absl::InvalidArgumentError(absl::StrCat(At(file, key.source()), UnknownKey(name, keys)));
    } else if (name == kRules && node.is_array_of_tables()) {
      absl::Status status = ReadRules(*node.as_array(), file, std::get<std::vector<AccessGrant>*>(found->target));
      if (!status.ok()) return status;
    } else {
      const char* expected = std::visit([&node](auto* to) { return Assign(node, to); }, found->target);
      if (expected != nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(At(file, node.source()), "'", name, "' must be ", expected));
      }
      places->emplace_back(found->name, node.source());
    }
  }
  return absl::OkStatus();
}

// What is wrong with a rule; empty: nothing.
std::string RuleProblem(const AccessGrant& grant) {
  int said = 0;
  for (const std::string* who : {&grant.unix_user, &grant.unix_group, &grant.certificate, &grant.token}) {
    if (!who->empty()) ++said;
  }
  if (said != 1) return "must have one of unix_user, unix_group, certificate and token";
  if (grant.role.empty() ? grant.token.empty() : !ParseRole(grant.role)) {
    return "must have a role: viewer, user or admin";
  }
  const PrincipalLimits& limits = grant.limits;
  if (limits.max_interpreters < 0 || limits.max_in_flight < 0 || !(limits.requests_per_second >= 0) ||
      limits.max_message_bytes < 0) {
    return "has a limit below 0";
  }
  if (limits.max_message_bytes != 0 && limits.max_message_bytes < kMinMessageBytes) {
    return absl::StrCat("has max_message_bytes below ", kMinMessageBytes);
  }
  return "";
}

absl::Status ReadRules(const toml::array& array, std::string_view file, std::vector<AccessGrant>* rules) {
  rules->clear();
  for (const toml::node& node : array) {
    AccessGrant grant;
    Places places;
    absl::Status read = ReadTable(*node.as_table(), "", file, RuleKeys(grant), &places);
    if (!read.ok()) return read;
    std::string problem = RuleProblem(grant);
    if (!problem.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(At(file, node.source()), "'", kRules, "' ", problem));
    }
    rules->push_back(std::move(grant));
  }
  return absl::OkStatus();
}

// Of an address to listen on, one and with a host.
bool IsHostAndPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  return colon != std::string_view::npos && colon > 0 && address.find(',') == std::string_view::npos &&
         absl::SimpleAtoi(address.substr(colon + 1), &port) && port <= 65535;
}

struct OutOfRange {
  std::string_view key;
  std::string problem;
};

std::optional<OutOfRange> FindOutOfRange(const Config& config) {
  auto outside = [](auto value, auto low, auto high) { return !(value >= low && value <= high); };  // NaN is outside
  if (outside(config.max_interpreters, 1, 1'000'000)) return OutOfRange{"max_interpreters", "must be 1 to 1000000"};
  if (outside(config.max_message_bytes, kMinMessageBytes, kMaxMessageBytes)) {
    return OutOfRange{"max_message_bytes", absl::StrCat("must be ", kMinMessageBytes, " to ", kMaxMessageBytes)};
  }
  if (outside(config.max_constant_bytes, kMinConstantBytes, kMaxConstantBytes)) {
    return OutOfRange{"max_constant_bytes", absl::StrCat("must be ", kMinConstantBytes, " to ", kMaxConstantBytes)};
  }
  if (outside(config.grace_period_seconds, 0, 3600)) {
    return OutOfRange{"grace_period_seconds", "must be 0 to 3600"};
  }
  if (outside(config.jobs.parallel, 0, 10'000)) return OutOfRange{"jobs.parallel", "must be 0 to 10000"};
  if (outside(config.jobs.max_unfinished, 1, 1'000'000)) {
    return OutOfRange{"jobs.max_unfinished", "must be 1 to 1000000"};
  }
  if (outside(config.jobs.keep_days, 0, 36'500)) return OutOfRange{"jobs.keep_days", "must be 0 to 36500"};
  if (outside(config.jobs.keep_bytes, int64_t{1} << 20, int64_t{1} << 50)) {
    return OutOfRange{"jobs.keep_bytes", "must be 1048576 or more"};
  }
  if (!absl::c_linear_search(kLogLevels, config.log_level)) {
    return OutOfRange{"log_level", absl::StrCat("must be one of ", absl::StrJoin(kLogLevels, ", "))};
  }
  if (!absl::c_linear_search(kLogFormats, config.log_format)) {
    return OutOfRange{"log_format", absl::StrCat("must be one of ", absl::StrJoin(kLogFormats, ", "))};
  }
  if (outside(config.connections.total, 1, 1'000'000)) return OutOfRange{"max_connections", "must be 1 to 1000000"};
  if (outside(config.connections.per_user, 1, 1'000'000)) {
    return OutOfRange{"max_connections_per_user", "must be 1 to 1000000"};
  }
  if (!config.metrics_listen.empty() && !IsHostAndPort(config.metrics_listen)) {
    return OutOfRange{"metrics.listen", "must be HOST:PORT"};
  }
  if (config.tls.cert.empty() != config.tls.key.empty()) {
    return OutOfRange{config.tls.cert.empty() ? "tls.key" : "tls.cert", "needs both tls.cert and tls.key"};
  }
  if (!config.tls.client_ca.empty() && config.tls.cert.empty()) {
    return OutOfRange{"tls.client_ca", "needs tls.cert and tls.key too"};
  }
  if (!config.access.token_file.empty() && config.tls.cert.empty()) {
    return OutOfRange{"access.token_file", "needs tls.cert and tls.key too: tokens are taken over TLS only"};
  }
  for (const std::string& entry : config.interpreter.path) {
    if (!entry.starts_with('/')) return OutOfRange{"interpreter.path", "must hold absolute paths"};
  }
  if (!config.interpreter.venv.empty() && !config.interpreter.venv.starts_with('/')) {
    return OutOfRange{"interpreter.venv", "must be an absolute path"};
  }
  if (!config.interpreter.cwd.empty() && !config.interpreter.cwd.starts_with('/')) {
    return OutOfRange{"interpreter.cwd", "must be an absolute path"};
  }
  if (outside(config.interpreter.queue_limit, size_t{1}, size_t{65536})) {
    return OutOfRange{"interpreter.queue_limit", "must be 1 to 65536"};
  }
  if (outside(config.interpreter.log_limit_bytes, size_t{1}, size_t{64} << 20)) {
    return OutOfRange{"interpreter.log_limit_bytes", "must be 1 to 67108864"};
  }
  return std::nullopt;
}

void PrintKey(std::string_view name, const Target& target, std::ostream& out) {
  out << name << " = ";
  std::visit(
      [&out](const auto* value) {
        using T = std::remove_cvref_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          toml::array array;
          for (const std::string& element : *value) array.push_back(element);
          out << array;
        } else if constexpr (std::is_same_v<T, size_t>) {
          out << toml::value<int64_t>(static_cast<int64_t>(*value));
        } else if constexpr (!std::is_same_v<T, std::vector<AccessGrant>>) {  // those are tables
          out << toml::value<T>(*value);
        }
      },
      target);
  out << "\n";
}

}  // namespace

absl::StatusOr<uint32_t> ParseSocketMode(std::string_view text) {
  uint32_t mode = 0;
  bool octal = !text.empty() && text.size() <= 4 && absl::c_all_of(text, [](char c) { return c >= '0' && c <= '7'; });
  for (char c : text) mode = mode * 8 + (c - '0');
  if (!octal || mode > 0777) {
    return absl::InvalidArgumentError("'socket_mode' must be octal digits up to 0777, as in \"0600\"");
  }
  return mode;
}

absl::Status ParseConfig(std::string_view toml_text, std::string_view file, Config* config) {
  toml::parse_result parsed = toml::parse(toml_text, file);
  if (!parsed) {
    return absl::InvalidArgumentError(absl::StrCat(At(file, parsed.error().source()), parsed.error().description()));
  }
  Config result = *config;
  std::string socket_mode = absl::StrFormat("%04o", config->socket_mode);
  Places places;
  absl::Status status = ReadTable(parsed.table(), "", file, Keys(result, socket_mode), &places);
  if (!status.ok()) return status;

  auto place = [&](std::string_view key) {
    auto found = absl::c_find_if(places, [key](const auto& entry) { return entry.first == key; });
    return found == places.end() ? absl::StrCat(file, ": ") : At(file, found->second);
  };
  absl::StatusOr<uint32_t> mode = ParseSocketMode(socket_mode);
  if (!mode.ok()) return absl::InvalidArgumentError(absl::StrCat(place("socket_mode"), mode.status().message()));
  result.socket_mode = *mode;
  // Only what the file says: a flag may still mend what stands elsewhere.
  std::optional<OutOfRange> wrong = FindOutOfRange(result);
  if (wrong) {
    return absl::InvalidArgumentError(absl::StrCat(place(wrong->key), "'", wrong->key, "' ", wrong->problem));
  }
  *config = std::move(result);
  return absl::OkStatus();
}

absl::Status ReadConfigFile(const std::string& file, Config* config) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  ssize_t count = fd < 0 ? -1 : 1;
  for (char piece[16 << 10]; count > 0;) {
    do {
      count = read(fd, piece, sizeof(piece));
    } while (count < 0 && errno == EINTR);
    if (count > 0) text.append(piece, static_cast<size_t>(count));
  }
  absl::Status status = count < 0 ? absl::NotFoundError(absl::StrCat(file, ": cannot read it: ", std::strerror(errno)))
                                  : absl::OkStatus();
  if (fd >= 0) close(fd);
  return status.ok() ? ParseConfig(text, file, config) : status;
}

absl::Status CheckConfig(const Config& config) {
  std::optional<OutOfRange> wrong = FindOutOfRange(config);
  if (!wrong) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("'", wrong->key, "' ", wrong->problem));
}

std::vector<std::string> ConfigKeys() {
  Config config;
  std::string socket_mode;
  std::vector<std::string> names;
  for (const Key& key : Keys(config, socket_mode)) {
    if (key.name != kRules) names.emplace_back(key.name);  // tables, not a key of one
  }
  return names;
}

std::vector<std::string> ChangedKeys(const Config& before, const Config& after) {
  Config a = before;
  Config b = after;
  std::string mode_a = absl::StrFormat("%04o", a.socket_mode);
  std::string mode_b = absl::StrFormat("%04o", b.socket_mode);
  std::vector<Key> keys_a = Keys(a, mode_a);
  std::vector<Key> keys_b = Keys(b, mode_b);
  std::vector<std::string> changed;
  for (size_t i = 0; i < keys_a.size(); ++i) {
    bool same = std::visit([&](auto* value) { return *value == *std::get<decltype(value)>(keys_b[i].target); },
                           keys_a[i].target);
    if (!same) changed.emplace_back(keys_a[i].name);
  }
  return changed;
}

void CopyKeys(const std::vector<std::string>& keys, const Config& from, Config* to) {
  Config source = from;
  std::string source_mode = absl::StrFormat("%04o", source.socket_mode);
  std::string mode;
  std::vector<Key> sources = Keys(source, source_mode);
  std::vector<Key> targets = Keys(*to, mode);
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!absl::c_linear_search(keys, sources[i].name)) continue;
    std::visit([&](auto* value) { *value = *std::get<decltype(value)>(sources[i].target); }, targets[i].target);
    if (sources[i].name == "socket_mode") to->socket_mode = from.socket_mode;
  }
}

std::string PrintConfig(const Config& config) {
  Config copy = config;
  std::string socket_mode = absl::StrFormat("%04o", config.socket_mode);
  std::ostringstream out;
  std::string_view table;
  for (const Key& key : Keys(copy, socket_mode)) {
    if (key.name == kRules) {
      for (AccessGrant& grant : copy.access.rules) {
        out << "\n[[" << kRules << "]]\n";
        for (const Key& of_rule : RuleKeys(grant)) PrintKey(of_rule.name, of_rule.target, out);
      }
      continue;
    }
    size_t dot = key.name.find('.');
    std::string_view name = key.name;
    if (dot != std::string_view::npos) {
      if (key.name.substr(0, dot) != table) out << "\n[" << key.name.substr(0, dot) << "]\n";
      table = key.name.substr(0, dot);
      name = key.name.substr(dot + 1);
    }
    PrintKey(name, key.target, out);
  }
  return out.str();
}

}  // namespace interpd::daemon
