// The line of a bar that shows on a terminal how much is done, in place.
//
// Who includes this: those who show progress.
#ifndef INTERPD_CLIENT_CLI_BAR_LINE_H_
#define INTERPD_CLIENT_CLI_BAR_LINE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace interpd::client {

// Of the terminal that standard error is; 80 if it does not say.
size_t TerminalColumns();

// "HEAD [=======>     ] TAIL", at most one column less than there are: what is longer stands on several rows, and is
// not taken back by \r. The bar gives way first, and then the end of the tail. `part` is 0 to 1.
std::string BarLine(std::string_view head, double part, std::string_view tail, size_t columns);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_BAR_LINE_H_
