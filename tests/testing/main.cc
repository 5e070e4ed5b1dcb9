// The main function of GoogleTest programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/log/initialize.h"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  absl::InitializeLog();
  return RUN_ALL_TESTS();
}
