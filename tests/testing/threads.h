// What tests of waiting need to know about this process's threads.
//
// Who includes this: tests that must see a thread asleep before they go on.
#ifndef INTERPD_TESTS_TESTING_THREADS_H_
#define INTERPD_TESTS_TESTING_THREADS_H_

#include <cstdint>

namespace interpd::testing {

// Waits until so many threads of this process sleep on futexes, the caller not counted.
void WaitUntilAsleep(int count);

// How often threads of this process have gone to sleep, all that live together.
int64_t SleepsSoFar();

}  // namespace interpd::testing

#endif  // INTERPD_TESTS_TESTING_THREADS_H_
