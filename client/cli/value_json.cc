#include "client/cli/value_json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/big_int.h"
#include "client/client.h"

namespace interpd::client {
namespace {

using nlohmann::json;

// How NaN, the infinities and ints beyond 64 bits reach nlohmann's parser, which has no numbers for them. Part of no
// contract.
constexpr char kNumberTag[] = "$number";

// ---- Writing -------------------------------------------------------------------------------------------------------

bool IsTag(std::string_view key) {
  return key == "$bytes" || key == "$complex" || key == "$set" || key == "$frozenset" || key == "$tuple" ||
         key == "$dict" || key == "$channel" || key == "$buffer" || key == "$pickle" || key == kNumberTag;
}

std::string StringToJson(const std::string& utf8) {
  return json(utf8).dump(/*indent=*/-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

// `text` is UTF-8 in which lone surrogates stand as three bytes, ED A0..BF 80..BF.
std::string SurrogateStringToJson(std::string_view text) {
  std::string out = "\"";
  std::string plain;
  auto flush = [&] {
    std::string quoted = StringToJson(plain);
    out.append(quoted, 1, quoted.size() - 2);
    plain.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0; };
    if (byte(i) == 0xED && byte(i + 1) >= 0xA0) {
      flush();
      absl::StrAppendFormat(&out, "\\u%04x", 0xD000 | (byte(i + 1) & 0x3F) << 6 | (byte(i + 2) & 0x3F));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  flush();
  return out + "\"";
}

std::string FloatToJson(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return json(value).dump();
}

void AppendJson(const v1::Value& value, std::string& out);

void AppendElements(const v1::Value& value, std::string& out) {
  out += '[';
  for (int i = 0; i < value.items_size(); ++i) {
    if (i > 0) out += ", ";
    AppendJson(value.items(i), out);
  }
  out += ']';
}

void AppendDict(const v1::Value& dict, std::string& out) {
  bool plain = true;
  for (int i = 0; i < dict.items_size(); i += 2) {
    plain = plain && (dict.items(i).has_str() || dict.items(i).has_surrogate_str());
  }
  if (dict.items_size() == 2 && plain && IsTag(dict.items(0).str())) plain = false;
  out += plain ? "{" : "{\"$dict\": [";
  for (int i = 0; i + 1 < dict.items_size(); i += 2) {
    if (i > 0) out += ", ";
    if (!plain) out += '[';
    AppendJson(dict.items(i), out);
    out += plain ? ": " : ", ";
    AppendJson(dict.items(i + 1), out);
    if (!plain) out += ']';
  }
  out += plain ? "}" : "]}";
}

void AppendBase64(std::string_view bytes, std::string& out) {
  absl::StrAppend(&out, "\"", absl::Base64Escape(bytes), "\"");
}

void AppendBuffer(const v1::Buffer& buffer, std::string& out) {
  const bool plain = buffer.format().empty() && buffer.shape().empty();
  out += plain ? "{\"$buffer\": " : "{\"$buffer\": [";
  AppendBase64(buffer.data(), out);
  if (!plain) absl::StrAppend(&out, ", ", StringToJson(buffer.format().empty() ? "B" : buffer.format()));
  if (!buffer.shape().empty()) absl::StrAppend(&out, ", [", absl::StrJoin(buffer.shape(), ", "), "]");
  out += plain ? "}" : "]}";
}

void AppendTagged(std::string_view tag, const v1::Value& container, std::string& out) {
  absl::StrAppend(&out, "{\"", tag, "\": ");
  AppendElements(container, out);
  out += '}';
}

void AppendJson(const v1::Value& value, std::string& out) {
  switch (value.kind_case()) {
    case v1::Value::kNone: out += "null"; return;
    case v1::Value::kBool: out += value.bool_() ? "true" : "false"; return;
    case v1::Value::kInt: absl::StrAppend(&out, value.int_()); return;
    case v1::Value::kBigInt: out += BigIntToDecimal(value.big_int()); return;
    case v1::Value::kFloat: out += FloatToJson(value.float_()); return;
    case v1::Value::kComplex:
      absl::StrAppend(&out, "{\"$complex\": [", FloatToJson(value.complex().real()), ", ",
                      FloatToJson(value.complex().imag()), "]}");
      return;
    case v1::Value::kStr: out += StringToJson(value.str()); return;
    case v1::Value::kSurrogateStr: out += SurrogateStringToJson(value.surrogate_str()); return;
    case v1::Value::kBytes:
      out += "{\"$bytes\": ";
      AppendBase64(value.bytes(), out);
      out += '}';
      return;
    case v1::Value::kChannel:
      absl::StrAppend(&out, "{\"$channel\": ", StringToJson(std::string(ChannelId(value.channel()))), "}");
      return;
    case v1::Value::kBuffer: AppendBuffer(value.buffer(), out); return;
    case v1::Value::kPickle:
      out += "{\"$pickle\": ";
      AppendBase64(value.pickle(), out);
      out += '}';
      return;
    case v1::Value::kContainer: break;
    case v1::Value::KIND_NOT_SET:  // no daemon sends it
      out += "null";
      return;
  }
  switch (value.container()) {
    case v1::SET: AppendTagged("$set", value, out); return;
    case v1::FROZENSET: AppendTagged("$frozenset", value, out); return;
    case v1::DICT: AppendDict(value, out); return;
    default: AppendElements(value, out);
  }
}

// ---- Reading -------------------------------------------------------------------------------------------------------

absl::Status BadTag(std::string_view tag, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("{\"", tag, "\": ...} needs ", what,
                                                 "; a dict with just this key is written {\"$dict\": [[\"", tag,
                                                 "\", ...]]}"));
}

absl::StatusOr<double> ToDouble(const v1::Value& value) {
  if (value.has_float_()) return value.float_();
  if (value.has_int_()) return static_cast<double>(value.int_());
  return absl::InvalidArgumentError("not a float");
}

bool IsFloatName(std::string_view token) { return token == "NaN" || token == "Infinity" || token == "-Infinity"; }

// An int as JSON writes it, of so many digits that it may not fit 64 bits.
bool IsLongInt(std::string_view token) {
  absl::ConsumePrefix(&token, "-");
  return token.size() >= 19 && token[0] != '0' && absl::c_all_of(token, absl::ascii_isdigit);
}

// The content of {"$buffer": ...}.
absl::StatusOr<v1::Value> ToBuffer(const v1::Value& content) {
  constexpr char kForm[] = "a string in base64, or [base64, format], or [base64, format, [items in each dimension]]";
  const bool plain = content.has_str();
  const int parts = content.items_size();
  if (!plain && (content.container() != v1::LIST || parts < 2 || parts > 3)) return BadTag("$buffer", kForm);
  v1::Value value;
  v1::Buffer& buffer = *value.mutable_buffer();
  const v1::Value& data = plain ? content : content.items(0);
  if (!data.has_str() || !absl::Base64Unescape(data.str(), buffer.mutable_data())) return BadTag("$buffer", kForm);
  if (plain) return value;
  if (!content.items(1).has_str()) return BadTag("$buffer", kForm);
  buffer.set_format(content.items(1).str());
  if (parts == 2) return value;
  if (content.items(2).container() != v1::LIST) return BadTag("$buffer", kForm);
  for (const v1::Value& items : content.items(2).items()) {
    if (!items.has_int_()) return BadTag("$buffer", kForm);
    buffer.add_shape(items.int_());
  }
  return value;
}

// Turns the object {tag: content} into what it stands for.
absl::StatusOr<v1::Value> FromTag(const std::string& tag, v1::Value content) {
  v1::Value value;
  if (tag == "$bytes" || tag == "$pickle") {
    std::string bytes;
    if (!content.has_str() || !absl::Base64Unescape(content.str(), &bytes)) return BadTag(tag, "a string in base64");
    (tag == "$bytes" ? value.mutable_bytes() : value.mutable_pickle())->swap(bytes);
    return value;
  }
  if (tag == "$channel") {
    if (!content.has_str()) return BadTag(tag, "the name of a channel");
    value.set_channel(ChannelResourceName(content.str()));
    return value;
  }
  if (tag == "$buffer") return ToBuffer(content);
  if (tag == kNumberTag) {
    if (IsLongInt(content.str())) {
      int64_t fits = 0;
      if (absl::SimpleAtoi(content.str(), &fits)) {
        value.set_int_(fits);
      } else {
        value.set_big_int(BigIntFromDecimal(content.str()));
      }
    } else if (IsFloatName(content.str())) {
      value.set_float_(content.str() == "NaN" ? NAN : content.str() == "Infinity" ? INFINITY : -INFINITY);
    } else {
      return BadTag(tag, "NaN, an infinity or a long int");
    }
    return value;
  }
  if (!content.has_container() || content.container() != v1::LIST) return BadTag(tag, "an array");
  if (tag == "$complex") {
    if (content.items_size() != 2) return BadTag(tag, "[real, imag]");
    absl::StatusOr<double> real = ToDouble(content.items(0));
    absl::StatusOr<double> imag = ToDouble(content.items(1));
    if (!real.ok() || !imag.ok()) return BadTag(tag, "two numbers");
    value.mutable_complex()->set_real(*real);
    value.mutable_complex()->set_imag(*imag);
    return value;
  }
  if (tag == "$dict") {
    value.set_container(v1::DICT);
    for (v1::Value& pair : *content.mutable_items()) {
      if (pair.container() != v1::LIST || pair.items_size() != 2) return BadTag(tag, "an array of [key, value]");
      value.add_items()->Swap(pair.mutable_items(0));
      value.add_items()->Swap(pair.mutable_items(1));
    }
    return value;
  }
  content.set_container(tag == "$tuple" ? v1::TUPLE : tag == "$set" ? v1::SET : v1::FROZENSET);
  return content;
}

// Receives the parser's events and builds the Value. A method that returns false ends the parse.
class ValueBuilder : public nlohmann::json_sax<json> {
 public:
  absl::Status status() const { return status_; }
  v1::Value TakeValue() { return std::move(root_); }

  bool null() override {
    return Add([](v1::Value& value) { value.set_none(v1::NONE); });
  }
  bool boolean(bool flag) override {
    return Add([&](v1::Value& value) { value.set_bool_(flag); });
  }
  bool number_integer(number_integer_t number) override {
    return Add([&](v1::Value& value) { value.set_int_(number); });
  }
  bool number_unsigned(number_unsigned_t number) override {
    // Ints beyond 64 bits come as kNumberTag.
    return Add([&](v1::Value& value) { value.set_int_(static_cast<int64_t>(number)); });
  }
  bool number_float(number_float_t number, const string_t&) override {
    return Add([&](v1::Value& value) { value.set_float_(number); });
  }
  bool string(string_t& text) override {
    return Add([&](v1::Value& value) { value.set_str(std::move(text)); });
  }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(size_t) override { return Open(v1::DICT); }
  bool key(string_t& text) override { return string(text); }
  bool end_object() override {
    v1::Value& dict = *open_.back();
    open_.pop_back();
    if (dict.items_size() != 2 || !IsTag(dict.items(0).str())) return true;
    absl::StatusOr<v1::Value> value = FromTag(dict.items(0).str(), std::move(*dict.mutable_items(1)));
    if (!value.ok()) return Fail(value.status());
    // Not assigned directly: the content is a part of `dict`.
    dict.Swap(&*value);
    return true;
  }
  bool start_array(size_t) override { return Open(v1::LIST); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without what is in brackets.
    std::string_view what = error.what();
    if (size_t bracket = what.find("] "); bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
    constexpr int kNumberTooLarge = 406;
    if (error.id == kNumberTooLarge) return Fail(absl::OutOfRangeError(absl::StrCat("not a float: ", what)));
    return Fail(absl::InvalidArgumentError(absl::StrCat("not JSON: ", what)));
  }

 private:
  // A level of Values is at most three of JSON: {"$dict": [[key, value]]}.
  static constexpr size_t kMaxOpen = size_t{3} * kMaxJsonValueDepth;

  bool Fail(absl::Status status) {
    status_ = std::move(status);
    return false;
  }

  v1::Value& Next() { return open_.empty() ? root_ : *open_.back()->add_items(); }

  template <typename Set>
  bool Add(Set set) {
    set(Next());
    return true;
  }

  bool Open(v1::Container container) {
    if (open_.size() == kMaxOpen) return Fail(TooDeep());
    v1::Value& value = Next();
    value.set_container(container);
    open_.push_back(&value);  // stays where it is: repeated messages are kept by pointer
    return true;
  }

 public:
  static absl::Status TooDeep() {
    return absl::OutOfRangeError(absl::StrCat("nested too deeply: a value has at most ", kMaxJsonValueDepth,
                                              " levels of lists, dicts and the like"));
  }

 private:
  v1::Value root_;
  std::vector<v1::Value*> open_;  // the containers that are not complete, outermost first
  absl::Status status_;
};

int Depth(const v1::Value& value) {
  int depth = 0;
  for (const v1::Value& item : value.items()) depth = std::max(depth, Depth(item));
  return depth + (value.has_container() ? 1 : 0);
}

// Puts {kNumberTag: "token"} in the place of every number that the parser does not know. All else stays as it is.
std::string TagNumbers(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    if (in_string) {
      if (text[i] == '\\' && i + 1 < text.size()) length = 2;
      in_string = text[i] != '"';
    } else if (text[i] == '"') {
      in_string = true;
    } else {
      auto in_token = [&](size_t at) {
        return at < text.size() && (absl::ascii_isalnum(text[at]) || absl::StrContains("+-._", text[at]));
      };
      while (in_token(i) && in_token(i + length)) ++length;
    }
    std::string_view token = text.substr(i, length);
    i += length;
    if (IsFloatName(token) || IsLongInt(token)) {
      absl::StrAppend(&out, "{\"", kNumberTag, "\":\"", token, "\"}");
    } else {
      out += token;
    }
  }
  return out;
}

bool IsValidUtf8(const std::string& text) {
  // Bytes that are no UTF-8 are left out by one and replaced by the other.
  return json(text).dump(-1, ' ', false, json::error_handler_t::ignore) ==
         json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string ValueToJson(const v1::Value& value) {
  std::string out;
  AppendJson(value, out);
  return out;
}

absl::StatusOr<v1::Value> JsonToValue(std::string_view text) {
  ValueBuilder builder;
  if (!json::sax_parse(TagNumbers(text), &builder)) return builder.status();
  v1::Value value = builder.TakeValue();
  if (Depth(value) > kMaxJsonValueDepth) return ValueBuilder::TooDeep();
  return value;
}

absl::StatusOr<v1::Value> ArgumentToValue(std::string_view argument) {
  absl::StatusOr<v1::Value> value = JsonToValue(argument);
  if (!absl::IsInvalidArgument(value.status())) return value;
  std::string_view stripped = absl::StripLeadingAsciiWhitespace(argument);
  if (!stripped.empty() && absl::StrContains("{[\"", stripped[0])) return value;
  std::string text(argument);
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("a string argument must be UTF-8");
  value.emplace().set_str(std::move(text));
  return value;
}

}  // namespace interpd::client
