// The main function of GoogleTest programs that host interpreters: ends the host before the process ends, so that its
// end is tested too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/log/initialize.h"
#include "tests/testing/host.h"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  absl::InitializeLog();
  interpd::testing::Host();
  int result = RUN_ALL_TESTS();
  interpd::testing::EndHost();
  return result;
}
