// JSON made readable for a reader of YAML.
//
// Who includes this: the reader of job files.
#ifndef INTERPD_CLIENT_CLI_JSON_ESCAPES_H_
#define INTERPD_CLIENT_CLI_JSON_ESCAPES_H_

#include <string>

namespace interpd::client {

// JSON writes a character beyond U+FFFF as two escapes, \ud83d\ude00, which YAML does not know: they become YAML's
// \U0001f600. Lines stay as they are. What is no JSON is returned as it is.
std::string JoinSurrogates(std::string text);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_JSON_ESCAPES_H_
