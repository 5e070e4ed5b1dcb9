// Runs of channels whose atomics are the model's.
//
// Who includes this: the model tests of channels.
#ifndef INTERPD_TESTS_CHANNELS_MODEL_RUN_H_
#define INTERPD_TESTS_CHANNELS_MODEL_RUN_H_

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "channels/basic_select.h"
#include "channels/channel.h"
#include "tests/channels/flavours.h"
#include "tests/testing/deterministic_schedule.h"

namespace interpd::channels {

// The waiters of the run, one for each thread and the last for what is done before and after.
using ModelWaiters = std::array<BasicSelectWaiter<testing::DeterministicAtomic>, testing::kMaxModelThreads + 1>;
inline ModelWaiters* waiters_of_run = nullptr;

template <>
struct SelectWaiters<testing::DeterministicAtomic> {
  static BasicSelectWaiter<testing::DeterministicAtomic>& Mine() { return (*waiters_of_run)[testing::CurrentThread()]; }
};

// The model decides when it passes; only that there is one counts.
inline Wait SomeTime() { return For(absl::Hours(1)); }

// Explores with waiters for selects.
inline testing::Explored ExploreRuns(int deviations, const std::function<void()>& test) {
  return testing::Explore({.deviations = testing::Deviations(deviations)}, [&] {
    ModelWaiters waiters;
    waiters_of_run = &waiters;
    test();
  });
}

inline Outcome SelectOf(std::vector<SelectCase> cases, size_t* chosen, const Wait& wait = {}) {
  return BasicSelect<testing::DeterministicAtomic>(cases, chosen).Run(wait, WithDefault::kNo);
}

inline int64_t ModelRecv(Channel& channel, const Wait& wait = {}) {
  Value value;
  return channel.Recv(&value, wait) == Outcome::kDone ? IntOf(value) : -1;
}

inline void ModelSend(Channel& channel, int64_t number) {
  Value value = Value::Int(number);
  testing::ModelCheck(channel.Send(value, {}) == Outcome::kDone, "it was sent");
}

class Bell : public Watcher {
 public:
  void Ready() override { ++rung; }
  int rung = 0;
};

}  // namespace interpd::channels

#endif  // INTERPD_TESTS_CHANNELS_MODEL_RUN_H_
