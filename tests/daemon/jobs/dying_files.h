// Files of SQLite that end the process at a certain write, as a power cut would.
//
// Who includes this: tests of the journal. Thread safety: as SQLite's own.
#ifndef INTERPD_TESTS_DAEMON_JOBS_DYING_FILES_H_
#define INTERPD_TESTS_DAEMON_JOBS_DYING_FILES_H_

#include <cstdint>

namespace interpd::daemon {

enum class Death {
  kBeforeWrite,  // nothing of the write is there
  kTornWrite,    // half of it
};

// From now on every database of this process is opened through these files; the process kills itself at the `at`-th
// write, truncation or sync of them. 0: never; then WriteCount tells how many there were.
void DieAtWrite(int64_t at, Death death);
int64_t WriteCount();

}  // namespace interpd::daemon

#endif  // INTERPD_TESTS_DAEMON_JOBS_DYING_FILES_H_
