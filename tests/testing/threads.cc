#include "tests/testing/threads.h"

#include <sys/syscall.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace interpd::testing {

void WaitUntilAsleep(int count) {
  while (true) {
    int asleep = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream file(task.path() / "syscall");
      long number = -1;  // "running" when it is in none
      file >> number;
      asleep += number == SYS_futex || number == SYS_futex_waitv;
    }
    if (asleep == count) return;
    std::this_thread::yield();
  }
}

int64_t SleepsSoFar() {
  int64_t sum = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "status");
    for (std::string line; std::getline(file, line);) {
      constexpr char kLabel[] = "voluntary_ctxt_switches:";
      if (line.starts_with(kLabel)) sum += std::stoll(line.substr(sizeof(kLabel) - 1));
    }
  }
  return sum;
}

}  // namespace interpd::testing
