// The line of a progress bar: it never takes a second row of the terminal.
#include "client/cli/bar_line.h"

#include <gtest/gtest.h>

#include <string>

namespace interpd::client {
namespace {

TEST(BarLineTest, FillsAsMuchAsIsDone) {
  EXPECT_EQ(BarLine("j", 0, "0 of 4", 200), "j [>                             ] 0 of 4");
  EXPECT_EQ(BarLine("", 0.5, "2 of 4", 200), "[===============>              ] 2 of 4");
  EXPECT_EQ(BarLine("j", 1, "4 of 4", 200), "j [==============================] 4 of 4");
}

TEST(BarLineTest, TheBarGivesWayBeforeTheText) {
  EXPECT_EQ(BarLine("job", 0.5, "2 of 4 tasks", 30), "job [=====>    ] 2 of 4 tasks");
  EXPECT_EQ(BarLine("job", 0.5, "2 of 4 tasks", 20), "job 2 of 4 tasks");
  EXPECT_EQ(BarLine("job", 0.5, "2 of 4 tasks", 10), "job 2 of ");
}

TEST(BarLineTest, LeavesTheLastColumnFree) {
  const std::string tail = "123456 of 1000000 tasks, 1234 failed, 1200/s, 13m left";
  for (size_t columns = 1; columns < 150; ++columns) {
    EXPECT_LT(BarLine("abcdefghij running", 0.3, tail, columns).size(), columns);
  }
  EXPECT_EQ(BarLine("abcdefghij running", 0.3, tail, 81).size(), 73);  // no room for a bar
  EXPECT_EQ(BarLine("abcdefghij running", 0.3, tail, 90).size(), 89);
}

}  // namespace
}  // namespace interpd::client
