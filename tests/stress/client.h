// A client of the stress test: does what clients do, the rude things too, at random.
//
// Who includes this: clients_stress_test.cc. Thread safety: one thread a client.
#ifndef INTERPD_TESTS_STRESS_CLIENT_H_
#define INTERPD_TESTS_STRESS_CLIENT_H_

#include <array>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "interpd/v1/interpreters.grpc.pb.h"

namespace interpd::stress {

class Client {
 public:
  // `address` is the daemon's; everything this client does follows from `seed` and from how the threads race.
  Client(const std::string& address, uint64_t seed);

  // Does something at random. Error: an answer that nobody may get.
  absl::Status Step();

  // How many operations there are.
  static size_t operations() { return kOperations.size(); }

  // How often each operation was answered with OK, by its name.
  const std::map<std::string, int>& successes() const { return successes_; }

 private:
  struct Operation {
    const char* name;
    int weight;
    grpc::Status (Client::*run)();
  };
  static const std::vector<Operation> kOperations;

  grpc::Status Create();
  grpc::Status Get();
  grpc::Status List();
  grpc::Status Close();
  grpc::Status Interrupt();
  grpc::Status Logs();
  grpc::Status ExecToTheEnd();
  grpc::Status ExecCancelled();
  grpc::Status ExecPastDeadline();
  grpc::Status ExecReadSlowly();
  grpc::Status Call();
  grpc::Status CallPastDeadline();
  grpc::Status CallStream();
  grpc::Status CallStreamCancelled();
  grpc::Status DoomedClient();
  grpc::Status ChannelCreate();
  grpc::Status ChannelClose();
  grpc::Status ChannelList();
  grpc::Status ChannelSend();
  grpc::Status ChannelSendMany();
  grpc::Status ChannelReceive();
  grpc::Status ChannelAttach();
  grpc::Status ChannelKeepsItsValues();
  grpc::Status DoomedReceiver();
  grpc::Status AwaitNothingUnacknowledged(const std::string& channel);

  int Random(int below) { return static_cast<int>(random_() % below); }
  std::string RandomName();
  std::string RandomChannel();
  grpc::Status Exec(const std::string& source, grpc::ClientContext& context);
  v1::CallRequest RandomCall();

  const std::string address_;
  std::mt19937_64 random_;
  std::unique_ptr<v1::Interpreters::Stub> interpreters_;
  std::unique_ptr<v1::Channels::Stub> channels_;
  std::map<std::string, int> successes_;
};

}  // namespace interpd::stress

#endif  // INTERPD_TESTS_STRESS_CLIENT_H_
