#include "client/cli/job_fields.h"

#include <cstdint>
#include <limits>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/job_settings.h"
#include "client/cli/session.h"
#include "client/cli/start_time.h"
#include "client/cli/yaml_value.h"
#include "client/value_batch.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace interpd::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const FieldDescriptor* FindField(const Descriptor& type, const std::string& key) {
  const FieldDescriptor* field = type.FindFieldByName(key);
  return field != nullptr ? field : type.FindFieldByCamelcaseName(key);
}

// The scalar's text, if it is of one of the types.
absl::StatusOr<std::string> Scalar(const YAML::Node& node, std::initializer_list<std::string_view> types,
                                   std::string_view what) {
  if (node.IsScalar()) {
    const std::string type = YamlScalarType(node);
    for (std::string_view one : types) {
      if (type == one) return node.Scalar();
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("this must be ", what));
}

absl::StatusOr<int64_t> Int(const YAML::Node& node, int64_t least, int64_t most) {
  absl::StatusOr<std::string> text = Scalar(node, {"int"}, "an integer");
  if (!text.ok()) return text.status();
  int64_t number = 0;
  if (!absl::SimpleAtoi(*text, &number) || number < least || number > most) {
    return absl::InvalidArgumentError(absl::StrCat("this must be from ", least, " to ", most));
  }
  return number;
}

absl::Status ReadDuration(const YAML::Node& node, google::protobuf::Duration* to) {
  absl::StatusOr<std::string> text = Scalar(node, {"int", "float", "str"}, "a time like 30s, or a number of seconds");
  if (!text.ok()) return text.status();
  absl::StatusOr<absl::Duration> duration = ParseDuration(*text);
  if (!duration.ok()) return duration.status();
  if (*duration == absl::InfiniteDuration()) return absl::InvalidArgumentError("this must be a finite time");
  *to = ToProtoDuration(*duration);
  return absl::OkStatus();
}

absl::Status ReadTimestamp(const YamlContext& context, const YAML::Node& node, google::protobuf::Timestamp* to) {
  absl::StatusOr<std::string> text = Scalar(node, {"str"}, "a time like 2030-01-31T12:00:00Z");
  if (!text.ok()) return text.status();
  absl::StatusOr<absl::Time> time = ParseStartTime(*text, context.now, absl::LocalTimeZone());
  if (!time.ok()) return time.status();
  *to = ToProtoTimestamp(*time);
  return absl::OkStatus();
}

class FieldReader {
 public:
  FieldReader(const YamlContext& context, const FieldDescriptor& field, Message* message)
      : context_(context), field_(field), message_(*message), reflection_(*message->GetReflection()) {}

  absl::Status Read(const YAML::Node& node, const std::string& path) {
    reflection_.ClearField(&message_, &field_);
    if (!field_.is_repeated()) return ReadOne(node, path);
    // One is as good as a list of one.
    if (!node.IsSequence()) return ReadOne(node, path);
    for (size_t i = 0; i < node.size(); ++i) {
      if (absl::Status status = ReadOne(node[i], absl::StrCat(path, "[", i, "]")); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ReadOne(const YAML::Node& node, const std::string& path) {
    if (field_.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return ReadMessage(node, path);
    absl::Status status = ReadPlain(node);
    return status.ok() ? status : YamlError(context_.file, node, path, status.message());
  }

  absl::Status ReadPlain(const YAML::Node& node) {
    switch (field_.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: {
        absl::StatusOr<std::string> text = Scalar(node, {"str", "int", "float", "bool"}, "a string");
        if (!text.ok()) return text.status();
        field_.is_repeated() ? reflection_.AddString(&message_, &field_, *text)
                             : reflection_.SetString(&message_, &field_, *text);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        absl::StatusOr<std::string> text = Scalar(node, {"bool"}, "true or false");
        if (!text.ok()) return text.status();
        reflection_.SetBool(&message_, &field_, absl::EqualsIgnoreCase(*text, "true"));
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_INT32: {
        absl::StatusOr<int64_t> number =
            Int(node, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
        if (!number.ok()) return number.status();
        const auto narrow = static_cast<int32_t>(*number);
        field_.is_repeated() ? reflection_.AddInt32(&message_, &field_, narrow)
                             : reflection_.SetInt32(&message_, &field_, narrow);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        absl::StatusOr<int64_t> number =
            Int(node, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
        if (!number.ok()) return number.status();
        reflection_.SetInt64(&message_, &field_, *number);
        return absl::OkStatus();
      }
      default: return absl::InternalError(absl::StrCat("no way to read ", field_.full_name()));
    }
  }

  absl::Status ReadMessage(const YAML::Node& node, const std::string& path) {
    Message* part = reflection_.MutableMessage(&message_, &field_);
    absl::Status status;
    if (auto* duration = google::protobuf::DynamicCastToGenerated<google::protobuf::Duration>(part)) {
      status = ReadDuration(node, duration);
    } else if (auto* timestamp = google::protobuf::DynamicCastToGenerated<google::protobuf::Timestamp>(part)) {
      status = ReadTimestamp(context_, node, timestamp);
    } else if (auto* batch = google::protobuf::DynamicCastToGenerated<v1::ValueBatch>(part)) {
      return ReadValues(node, path, batch);
    } else {
      return ReadFields({.file = context_.file, .now = context_.now}, node, path, part);
    }
    return status.ok() ? status : YamlError(context_.file, node, path, status.message());
  }

  absl::Status ReadValues(const YAML::Node& node, const std::string& path, v1::ValueBatch* batch) const {
    if (!node.IsSequence()) return YamlError(context_.file, node, path, "this must be a list of values");
    size_t index = 0;
    for (const YAML::Node& item : node) {
      absl::StatusOr<v1::Value> value = YamlToValue(item);
      if (!value.ok()) {
        return YamlError(context_.file, item, absl::StrCat(path, "[", index, "]"), value.status().message());
      }
      AppendValue(*std::move(value), batch);
      ++index;
    }
    return absl::OkStatus();
  }

  const YamlContext& context_;
  const FieldDescriptor& field_;
  Message& message_;
  const Reflection& reflection_;
};

}  // namespace

absl::Status YamlError(std::string_view file, const YAML::Node& node, std::string_view path, std::string_view what) {
  const YAML::Mark mark = node.Mark();
  const std::string place = mark.is_null() ? "" : absl::StrCat(mark.line + 1, ":", mark.column + 1, ": ");
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", place.empty() ? " " : place, path, path.empty() ? "" : ": ", what));
}

absl::Status ReadFields(const YamlContext& context, const YAML::Node& mapping, const std::string& path,
                        google::protobuf::Message* message) {
  if (!mapping.IsMap()) return YamlError(context.file, mapping, path, "this must be a mapping of keys to values");
  const Descriptor& type = *message->GetDescriptor();
  std::set<std::string> seen;  // fields, however they were written
  for (const auto& item : mapping) {
    const YAML::Node& key = item.first;
    const YAML::Node& value = item.second;
    const std::string name = key.IsScalar() ? key.Scalar() : "";
    const std::string below = path.empty() ? name : absl::StrCat(path, ".", name);
    const FieldDescriptor* field = FindField(type, name);
    if (!seen.insert(field != nullptr ? std::string(field->name()) : name).second) {
      return YamlError(context.file, key, below, "said twice");
    }
    if (const auto* group = field == nullptr ? nullptr : field->real_containing_oneof()) {
      const FieldDescriptor* before = nullptr;
      for (const std::string& other : seen) {
        const FieldDescriptor* one = type.FindFieldByName(other);
        if (one != nullptr && one != field && one->real_containing_oneof() == group) before = one;
      }
      if (before != nullptr) {
        return YamlError(context.file, key, below,
                         absl::StrCat("not beside ", before->name(), ": inputs are one of these"));
      }
    }
    if (context.special) {
      absl::StatusOr<bool> taken = context.special(name, value, below);
      if (!taken.ok()) return taken.status();
      if (*taken) continue;
    }
    if (field == nullptr) return YamlError(context.file, key, below, "there is no such key");
    if (absl::Status status = FieldReader(context, *field, message).Read(value, below); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace interpd::client
