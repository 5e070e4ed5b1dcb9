// UTF-8 as Python knows it. protobuf checks `string` fields by itself when it parses; this is for what it does not
// check: `surrogate_str`, and text that goes out.
#ifndef INTERPD_DAEMON_UTF8_H_
#define INTERPD_DAEMON_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace interpd::daemon {

enum class Surrogates { kRefuse, kAllow };

// How many bytes at the start of `text` are whole, valid characters. With kAllow, a surrogate may stand as three bytes
// of its own (Python's "surrogatepass").
size_t ValidUtf8Prefix(std::string_view text, Surrogates surrogates);

// `text` with each invalid byte replaced by U+FFFD: what a `string` field may hold.
std::string ToValidUtf8(std::string_view text);

// At most `max_bytes` of valid UTF-8: where `text` is longer, its middle is left out and said to be. What stands at
// the end of a traceback matters most, so two thirds of the room go to the end. Requires: max_bytes >= 64.
std::string Abridge(std::string_view text, size_t max_bytes);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_UTF8_H_
