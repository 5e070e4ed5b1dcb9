// Ints of any size: decimal text to the bytes that v1::Value.big_int holds, and back.
//
// Who includes this: client/cli/value_json.
#ifndef INTERPD_CLIENT_CLI_BIG_INT_H_
#define INTERPD_CLIENT_CLI_BIG_INT_H_

#include <string>
#include <string_view>

namespace interpd::client {

// Two's complement, little-endian, of the fewest bytes. `decimal` is digits, perhaps with a '-' before them. The time
// grows with the square of the number of digits: 100,000 of them take about a tenth of a second.
std::string BigIntFromDecimal(std::string_view decimal);

// No bytes are 0.
std::string BigIntToDecimal(std::string_view bytes);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_BIG_INT_H_
