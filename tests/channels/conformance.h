// The fixture of what every flavour promises.
//
// Who includes this: channel_test.cc, channel_values_test.cc: one list of tests in two files.
#ifndef INTERPD_TESTS_CHANNELS_CONFORMANCE_H_
#define INTERPD_TESTS_CHANNELS_CONFORMANCE_H_

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/channels/flavours.h"

namespace interpd::channels {

class ChannelTest : public ::testing::TestWithParam<Flavour> {
 protected:
  // So many threads that run the same.
  template <typename F>
  static std::vector<std::thread> Start(int count, F f) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(f, i);
    return threads;
  }
  static void Join(std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) thread.join();
  }

  bool buffered() const { return GetParam().capacity > 0; }

  Pipe pipe_{GetParam()};
  Channel& in_ = *pipe_.in;
  Channel& out_ = *pipe_.out;
};

class BufferedChannelTest : public ChannelTest {};

}  // namespace interpd::channels

#endif  // INTERPD_TESTS_CHANNELS_CONFORMANCE_H_
