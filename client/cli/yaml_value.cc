#include "client/cli/yaml_value.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/value_json.h"

namespace interpd::client {
namespace {

// A document of a few lines can stand for more than memory holds, by aliases of aliases.
constexpr size_t kMaxJsonBytes = size_t{1} << 30;

bool AllDigits(std::string_view text, std::string_view digits) {
  return !text.empty() && text.find_first_not_of(digits) == std::string_view::npos;
}

// Of 64 bits; a longer row of such digits is text.
bool IsHex(std::string_view text) {
  return absl::ConsumePrefix(&text, "0x") && text.size() <= 16 && AllDigits(text, "0123456789abcdefABCDEF");
}
bool IsOctal(std::string_view text) {
  return absl::ConsumePrefix(&text, "0o") && text.size() <= 21 && AllDigits(text, "01234567");
}

bool IsInt(std::string_view text) {
  if (IsHex(text) || IsOctal(text)) return true;
  if (absl::StartsWith(text, "-") || absl::StartsWith(text, "+")) text.remove_prefix(1);
  return AllDigits(text, "0123456789");
}

bool IsFloat(std::string_view text) {
  if (absl::StartsWith(text, "-") || absl::StartsWith(text, "+")) text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".INF") return true;
  double number = 0;
  return !text.empty() && (absl::ascii_isdigit(text[0]) || text[0] == '.') && AllDigits(text, "0123456789.eE+-") &&
         absl::SimpleAtod(text, &number);
}

bool IsNull(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

bool IsBool(std::string_view text) {
  return text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" || text == "FALSE";
}

bool IsNan(std::string_view text) { return text == ".nan" || text == ".NaN" || text == ".NAN"; }

std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(/*indent=*/-1, ' ', /*ensure_ascii=*/false,
                                   nlohmann::json::error_handler_t::replace);
}

// As JSON has a number. An int of any size is written as it stands.
std::string IntText(std::string_view text) {
  uint64_t number = 0;
  if (IsHex(text) && absl::SimpleHexAtoi(text, &number)) return absl::StrCat(number);
  if (IsOctal(text)) {
    for (char digit : text.substr(2)) number = number << 3 | static_cast<uint64_t>(digit - '0');
    return absl::StrCat(number);
  }
  const bool negative = absl::StartsWith(text, "-");
  text.remove_prefix(negative || absl::StartsWith(text, "+") ? 1 : 0);
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size() - 1));
  return absl::StrCat(negative ? "-" : "", text);
}

absl::StatusOr<std::string> FloatText(std::string_view text) {
  if (IsNan(text)) return "NaN";
  if (absl::EndsWithIgnoreCase(text, ".inf")) return absl::StartsWith(text, "-") ? "-Infinity" : "Infinity";
  double number = 0;
  (void)absl::SimpleAtod(text, &number);
  if (std::isinf(number)) return absl::OutOfRangeError(absl::StrCat(text, " is too large for a float"));
  return nlohmann::json(number).dump();
}

// A tag may say of any text that it is of a type.
bool IsOfType(std::string_view text, std::string_view type) {
  if (type == "null") return IsNull(text);
  if (type == "bool") return IsBool(text);
  if (type == "int") return IsInt(text);
  if (type == "float") return IsFloat(text) || IsNan(text) || IsInt(text);
  return true;
}

absl::StatusOr<std::string> ScalarText(const YAML::Node& node) {
  const std::string type = YamlScalarType(node);
  const std::string& text = node.Scalar();
  if (!IsOfType(text, type)) return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no ", type));
  if (type == "null") return "null";
  if (type == "bool") return absl::AsciiStrToLower(text);
  if (type == "int") return IntText(text);
  // An int that is said to be a float may be in hexadecimal.
  if (type == "float") return FloatText(IsInt(text) ? IntText(text) : text);
  return Quoted(text);
}

absl::Status AppendJson(const YAML::Node& node, int depth, std::string& out) {
  // An alias may stand within what it is an alias of.
  if (depth > kMaxJsonValueDepth + 1) {
    return absl::OutOfRangeError(absl::StrCat("nested more deeply than ", kMaxJsonValueDepth, " levels"));
  }
  if (out.size() > kMaxJsonBytes) return absl::OutOfRangeError("over 1 GiB; aliases of aliases grow fast");
  const auto append_items = [&](const auto& append) {
    bool first = true;
    for (const auto& item : node) {
      if (!std::exchange(first, false)) out += ", ";
      if (absl::Status status = append(item); !status.ok()) return status;
    }
    return absl::OkStatus();
  };
  absl::Status status;
  if (node.IsSequence()) {
    out += '[';
    status = append_items([&](const auto& item) { return AppendJson(item, depth + 1, out); });
    out += ']';
  } else if (node.IsMap()) {
    const bool plain = absl::c_all_of(
        node, [](const auto& item) { return item.first.IsScalar() && YamlScalarType(item.first) == "str"; });
    out += plain ? "{" : "{\"$dict\": [";
    status = append_items([&](const auto& item) {
      if (!plain) out += '[';
      absl::Status key = AppendJson(item.first, depth + 1, out);
      out += plain ? ": " : ", ";
      if (key.ok()) key = AppendJson(item.second, depth + 1, out);
      if (!plain) out += ']';
      return key;
    });
    out += plain ? "}" : "]}";
  } else if (node.IsScalar()) {
    absl::StatusOr<std::string> text = ScalarText(node);
    if (!text.ok()) return text.status();
    out += *text;
  } else {
    out += "null";
  }
  return status;
}

}  // namespace

std::string YamlScalarType(const YAML::Node& scalar) {
  const std::string& text = scalar.Scalar();
  const std::string_view tag = scalar.Tag();
  // "?" is a plain scalar, "!" one in quotes.
  if (std::string_view name = tag; absl::ConsumePrefix(&name, "tag:yaml.org,2002:")) return std::string(name);
  if (tag == "!") return "str";
  if (IsNull(text)) return "null";
  if (IsBool(text)) return "bool";
  return IsInt(text) ? "int" : IsFloat(text) || IsNan(text) ? "float" : "str";
}

absl::StatusOr<v1::Value> YamlToValue(const YAML::Node& node) {
  std::string json;
  if (absl::Status status = AppendJson(node, 0, json); !status.ok()) return status;
  return JsonToValue(json);
}

}  // namespace interpd::client
