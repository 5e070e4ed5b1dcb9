// The real daemon in a process of its own, and the few requests that benches and stress tests set it up with.
//
// Who includes this: tests/bench and tests/stress. Thread safety: the requests may be made by many threads at once.
#ifndef INTERPD_TESTS_BENCH_DAEMON_H_
#define INTERPD_TESTS_BENCH_DAEMON_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "interpd/v1/admin.grpc.pb.h"
#include "interpd/v1/interpreters.grpc.pb.h"
#include "tests/bench/child_process.h"

namespace interpd::bench {

class Daemon {
 public:
  // With more arguments for its command line.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const std::vector<std::string>& args = {});

  ServerProcess& process() { return *process_; }
  v1::Interpreters::Stub& interpreters() { return *interpreters_; }

  // `name` is without its collection; the same holds below.
  absl::Status Create(const std::string& name);
  // Runs source that must not raise.
  absl::Status Exec(const std::string& name, const std::string& source);
  // Calls a function without arguments, which must not raise.
  absl::Status Call(const std::string& name, const std::string& target);
  absl::Status Close(const std::string& name);
  absl::StatusOr<v1::Info> GetInfo();
  absl::StatusOr<ProcessUse> Use() const { return ReadProcessUse(process_->pid()); }

 private:
  std::unique_ptr<ServerProcess> process_;
  std::unique_ptr<v1::Interpreters::Stub> interpreters_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_DAEMON_H_
