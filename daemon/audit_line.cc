#include "daemon/audit_line.h"

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "channels/error.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

using google::protobuf::FieldDescriptor;

constexpr size_t kMaxTextBytes = 256;
// In the order in which they are told.
constexpr std::string_view kNames[] = {"name", "interpreter_id", "channel_id", "send_to", "receive_from"};

void AppendQuoted(std::string* out, std::string_view text) {
  out->push_back('"');
  for (char c : Abridge(text, kMaxTextBytes)) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(out, "\\", std::string_view(&c, 1));
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendText(std::string* out, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  absl::StrAppend(out, ",\"", key, "\":");
  AppendQuoted(out, text);
}

// The first by itself; all of them if there are several.
void AppendResources(std::string* out, const AuditEvent& event) {
  const std::vector<std::string>& names = *event.resources;
  if (names.empty()) return;
  AppendText(out, "resource", names.front());
  if (names.size() == 1) return;
  absl::StrAppend(out, ",\"resources\":[");
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendQuoted(out, names[i]);
  }
  out->push_back(']');
  if (event.more_resources > 0) absl::StrAppend(out, ",\"more_resources\":", event.more_resources);
}

}  // namespace

std::string AuditLine(const AuditEvent& event) {
  std::string line =
      absl::StrCat("{\"time\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", event.time, absl::UTCTimeZone()), "\"");
  AppendText(&line, "principal", event.principal == nullptr ? "" : event.principal->name);
  AppendText(&line, "role", event.principal == nullptr ? "" : RoleName(event.principal->role));
  AppendText(&line, "peer", event.peer);
  AppendText(&line, "method", event.method);
  AppendResources(&line, event);
  if (event.status) {
    AppendText(&line, "status", absl::StatusCodeToString(event.status->code()));
    AppendText(&line, "reason", event.status->ok() ? "" : channels::GetErrorInfo(*event.status).reason);
    absl::StrAppendFormat(&line, ",\"seconds\":%.6f", absl::ToDoubleSeconds(event.duration));
  } else {
    AppendText(&line, "status", "BEGUN");
  }
  AppendText(&line, "request_id", event.request_id);
  if (event.left_out > 0) absl::StrAppend(&line, ",\"left_out\":", event.left_out);
  line.push_back('}');
  return line;
}

std::vector<std::string> ResourcesOf(const google::protobuf::Message& message) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<std::string> names;
  for (std::string_view name : kNames) {
    const FieldDescriptor* field = type.FindFieldByName(std::string(name));
    if (field == nullptr || field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) continue;
    std::string text = reflection.GetString(message, field);
    if (!text.empty()) names.push_back(std::move(text));
  }
  const FieldDescriptor* options = type.FindFieldByName("options");
  if (options != nullptr && !options->is_repeated() && options->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    for (std::string& more : ResourcesOf(reflection.GetMessage(message, options))) names.push_back(std::move(more));
  }
  return names;
}

}  // namespace interpd::daemon
