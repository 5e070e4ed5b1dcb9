// Text that may be anything: whether it is UTF-8, and how it is shown to people.
//
// Who includes this: what sends text of the command line to the daemon, and what prints text that others have chosen.
#ifndef INTERPD_CLIENT_CLI_UTF8_H_
#define INTERPD_CLIENT_CLI_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace interpd::client {

// Bytes of the character that `text` begins with; 0 when it begins with none.
size_t CharacterBytes(std::string_view text);

bool IsUtf8(std::string_view text);

// One line that does to a terminal what letters do and no more: control characters, those that turn the direction of
// writing, and bytes that are no UTF-8 become \x1b, \u202e and the like.
std::string Printable(std::string_view text);
// The same of several lines: line ends and tabs stay.
std::string PrintableLines(std::string_view text);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_UTF8_H_
