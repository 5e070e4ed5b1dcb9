#include "daemon/audit_line.h"

#include <google/protobuf/descriptor.h>

#include <cstdint>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "channels/error.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

using google::protobuf::FieldDescriptor;

constexpr size_t kMaxTextBytes = 256;
// In the order in which they count.
constexpr std::string_view kNames[] = {"name", "interpreter_id", "channel_id", "send_to", "receive_from"};

void AppendText(std::string* out, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  absl::StrAppend(out, ",\"", key, "\":\"");
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

}  // namespace

std::string AuditLine(const AuditEvent& event) {
  std::string line =
      absl::StrCat("{\"time\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", event.time, absl::UTCTimeZone()), "\"");
  AppendText(&line, "principal", event.principal == nullptr ? "" : event.principal->name);
  AppendText(&line, "role", event.principal == nullptr ? "" : RoleName(event.principal->role));
  AppendText(&line, "peer", event.peer);
  AppendText(&line, "method", event.method);
  AppendText(&line, "resource", event.resource);
  AppendText(&line, "status", absl::StatusCodeToString(event.status.code()));
  AppendText(&line, "reason", event.status.ok() ? "" : channels::GetErrorInfo(event.status).reason);
  absl::StrAppendFormat(&line, ",\"seconds\":%.6f", absl::ToDoubleSeconds(event.duration));
  AppendText(&line, "request_id", event.request_id);
  line.push_back('}');
  return line;
}

std::string ResourceOf(const google::protobuf::Message& request) {
  const google::protobuf::Descriptor& type = *request.GetDescriptor();
  const google::protobuf::Reflection& reflection = *request.GetReflection();
  for (std::string_view name : kNames) {
    const FieldDescriptor* field = type.FindFieldByName(std::string(name));
    if (field == nullptr || field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) continue;
    std::string text = reflection.GetString(request, field);
    if (!text.empty()) return text;
  }
  const FieldDescriptor* options = type.FindFieldByName("options");
  if (options == nullptr || options->is_repeated() || options->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
    return "";
  return ResourceOf(reflection.GetMessage(request, options));
}

}  // namespace interpd::daemon
