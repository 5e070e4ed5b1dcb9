#include "client/cli/json_escapes.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace interpd::client {
namespace {

constexpr size_t kEscapeBytes = 6;  // of \ud83d

// The half that `text` begins with as an escape, without its base; -1 if it begins with none.
int Surrogate(std::string_view text, uint32_t base) {
  uint32_t code = 0;
  if (!absl::StartsWith(text, "\\u") || !absl::SimpleHexAtoi(text.substr(2, 4), &code)) return -1;
  return code >= base && code < base + 0x400 ? static_cast<int>(code - base) : -1;
}

}  // namespace

std::string JoinSurrogates(std::string text) {
  // Most files hold none, and in JSON a backslash stands in strings alone.
  if (!absl::StrContainsIgnoreCase(text, "\\ud") || !nlohmann::json::accept(text)) return text;
  std::string out;
  std::string_view rest = text;
  for (size_t begin; (begin = rest.find('\\')) != std::string_view::npos;) {
    out += rest.substr(0, begin);
    rest.remove_prefix(begin);
    const int high = Surrogate(rest, 0xD800);
    const int low = high < 0 ? -1 : Surrogate(rest.substr(kEscapeBytes), 0xDC00);
    if (low >= 0) {
      absl::StrAppendFormat(&out, "\\U%08x", 0x10000 + (high << 10 | low));
      rest.remove_prefix(2 * kEscapeBytes);
    } else {
      // The backslash and what it escapes, which may be another one.
      out += rest.substr(0, 2);
      rest.remove_prefix(2);
    }
  }
  out += rest;
  return out;
}

}  // namespace interpd::client
