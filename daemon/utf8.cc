#include "daemon/utf8.h"

#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Bytes of the valid character at the start of `text`, which is not empty; 0: there is none.
size_t CharacterLength(std::string_view text, Surrogates surrogates) {
  unsigned char first = text[0];
  if (first < 0x80) return 1;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  unsigned char second = text[1];
  if (first == 0xe0 && second < 0xa0) return 0;                                        // overlong
  if (first == 0xed && second >= 0xa0 && surrogates == Surrogates::kRefuse) return 0;  // U+D800 and on
  if (first == 0xf0 && second < 0x90) return 0;                                        // overlong
  if (first == 0xf4 && second >= 0x90) return 0;                                       // above U+10FFFF
  return length;
}

}  // namespace

size_t ValidUtf8Prefix(std::string_view text, Surrogates surrogates) {
  size_t at = 0;
  while (at < text.size()) {
    size_t length = CharacterLength(text.substr(at), surrogates);
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::string ToValidUtf8(std::string_view text) {
  size_t valid = ValidUtf8Prefix(text, Surrogates::kRefuse);
  std::string result(text.substr(0, valid));
  while (valid < text.size()) {
    result += "\xef\xbf\xbd";
    text.remove_prefix(valid + 1);
    valid = ValidUtf8Prefix(text, Surrogates::kRefuse);
    result += text.substr(0, valid);
  }
  return result;
}

std::string Abridge(std::string_view text, size_t max_bytes) {
  std::string valid = ToValidUtf8(text);
  if (valid.size() <= max_bytes) return valid;
  constexpr size_t kNote = 40;
  size_t head = (max_bytes - kNote) / 3;
  size_t tail = valid.size() - (max_bytes - kNote - head);
  while (head > 0 && IsContinuation(valid[head])) --head;
  while (tail < valid.size() && IsContinuation(valid[tail])) ++tail;
  return absl::StrCat(std::string_view(valid).substr(0, head), " [... ", tail - head, " bytes left out ...] ",
                      std::string_view(valid).substr(tail));
}

}  // namespace interpd::daemon
