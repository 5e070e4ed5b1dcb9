#include "client/cli/utf8.h"

#include "absl/strings/str_format.h"

namespace interpd::client {
namespace {

unsigned char ByteAt(std::string_view text, size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

// Of a character of two or three bytes; 0 for the others, none of which is a control character.
int CodePoint(std::string_view character) {
  if (character.size() == 2) return (ByteAt(character, 0) & 0x1F) << 6 | (ByteAt(character, 1) & 0x3F);
  if (character.size() != 3) return 0;
  return (ByteAt(character, 0) & 0x0F) << 12 | (ByteAt(character, 1) & 0x3F) << 6 | (ByteAt(character, 2) & 0x3F);
}

bool IsControl(int code_point) {
  return (code_point >= 0x80 && code_point < 0xA0) || (code_point >= 0x202A && code_point <= 0x202E) ||
         (code_point >= 0x2066 && code_point <= 0x2069);
}

std::string Escaped(std::string_view text, std::string_view kept) {
  std::string out;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const std::string_view character = text.substr(0, bytes == 0 ? 1 : bytes);
    const unsigned char first = ByteAt(character, 0);
    const bool is_ascii_control = (first < 0x20 || first == 0x7F) && kept.find(character) == std::string_view::npos;
    if (bytes == 0 || is_ascii_control) {
      absl::StrAppendFormat(&out, "\\x%02x", first);
    } else if (const int code_point = CodePoint(character); IsControl(code_point)) {
      absl::StrAppendFormat(&out, "\\u%04x", code_point);
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

}  // namespace

size_t CharacterBytes(std::string_view text) {
  const unsigned char first = ByteAt(text, 0);
  if (first < 0x80) return 1;
  // The second byte's bounds keep out overlong forms, surrogates and what is beyond Unicode.
  const size_t bytes = first >= 0xC2 && first <= 0xDF   ? 2
                       : first >= 0xE0 && first <= 0xEF ? 3
                       : first >= 0xF0 && first <= 0xF4 ? 4
                                                        : 0;
  const int least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const int most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (bytes == 0 || ByteAt(text, 1) < least || ByteAt(text, 1) > most) return 0;
  for (size_t i = 2; i < bytes; ++i) {
    if ((ByteAt(text, i) & 0xC0) != 0x80) return 0;
  }
  return bytes;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string Printable(std::string_view text) { return Escaped(text, ""); }

std::string PrintableLines(std::string_view text) { return Escaped(text, "\n\t"); }

}  // namespace interpd::client
