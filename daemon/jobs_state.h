// JobsState: what the RPCs of jobs share.
//
// Who includes this: the server, which owns it, and those RPCs.
#ifndef INTERPD_DAEMON_JOBS_STATE_H_
#define INTERPD_DAEMON_JOBS_STATE_H_

#include <memory>
#include <utility>

#include "daemon/jobs/job_engine.h"
#include "daemon/jobs/journal_reader.h"
#include "daemon/worker_threads.h"

namespace interpd::daemon {

struct JobsState {
  JobsState(JobEngine& engine, std::unique_ptr<JournalReader> reader) : engine(engine), reader(std::move(reader)) {}

  JobEngine& engine;
  // Used on `thread` alone, which may block on files.
  const std::unique_ptr<JournalReader> reader;
  WorkerThreads thread{1};
  bool closing = false;  // the server ends: `thread` takes no more. The event loop's
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_STATE_H_
