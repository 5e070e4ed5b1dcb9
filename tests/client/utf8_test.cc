// Text that may be anything: what is UTF-8, and what of it reaches a terminal.
#include "client/cli/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "client/cli/print.h"

namespace interpd::client {
namespace {

using namespace std::string_literals;

TEST(Utf8Test, KnowsWhatIsNone) {
  for (const char* good : {"", "a", "é€😀", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}) EXPECT_TRUE(IsUtf8(good)) << good;
  // A byte alone, a character cut off, too long a form, a surrogate, and beyond Unicode.
  for (const char* bad : {"\xff", "a\xc3", "\xe2\x82", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(bad)) << Printable(bad);
  }
}

TEST(PrintableTest, LettersStayAndOrdersToTheTerminalDoNot) {
  EXPECT_EQ(Printable("naïve €😀 a\\b"), "naïve €😀 a\\b");
  EXPECT_EQ(Printable("\x1b[2J\a\r\n\t\x7f\0"s), "\\x1b[2J\\x07\\x0d\\x0a\\x09\\x7f\\x00");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J"),
            "\\u009b2J");                                      // a control sequence in one character
  EXPECT_EQ(Printable("a\u202eb\u2066"), "a\\u202eb\\u2066");  // turns what follows around
  EXPECT_EQ(Printable("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(PrintableLines("a\n\tb\r\x1b"), "a\n\tb\\x0d\\x1b");
}

TEST(PrintableTest, TablesEscapeTheirCells) {
  EXPECT_EQ(Table({{"NAME", "AGE"}, {"\x1b[2J", "1s"}}), "NAME     AGE\n\\x1b[2J  1s\n");
}

}  // namespace
}  // namespace interpd::client
