// An empty echo server in the set-up of the daemon's: one completion queue, one thread that polls it and, as the
// daemon's does, goes on polling for a while before it sleeps. What a call to it takes is what gRPC takes.
//
// usage: echo_server --poll MICROSECONDS --listen ADDRESS
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "echo.grpc.pb.h"

namespace interpd::bench {
namespace {

constexpr int kPostedCalls = 64;

// Each tag of the queue is one of these.
class Event {
 public:
  virtual ~Event() = default;
  virtual void Happened(bool ok) = 0;
};

class UnaryCall final : public Event {
 public:
  UnaryCall(Echo::AsyncService* service, grpc::ServerCompletionQueue* queue) : service_(service), queue_(queue) {
    service_->RequestCall(&context_, &request_, &responder_, queue_, queue_, this);
  }

  void Happened(bool ok) override {
    if (!ok || finished_) {
      delete this;
      return;
    }
    new UnaryCall(service_, queue_);
    finished_ = true;
    responder_.Finish(Empty(), grpc::Status::OK, this);
  }

 private:
  Echo::AsyncService* const service_;
  grpc::ServerCompletionQueue* const queue_;
  grpc::ServerContext context_;
  Empty request_;
  grpc::ServerAsyncResponseWriter<Empty> responder_{&context_};
  bool finished_ = false;
};

class StreamCall {
 public:
  StreamCall(Echo::AsyncService* service, grpc::ServerCompletionQueue* queue) : service_(service), queue_(queue) {
    service_->RequestStream(&context_, &stream_, queue_, queue_, &started_);
  }

 private:
  template <void (StreamCall::*kStep)(bool)>
  struct Step final : Event {
    explicit Step(StreamCall* call) : call(call) {}
    void Happened(bool ok) override { (call->*kStep)(ok); }
    StreamCall* const call;
  };

  void Started(bool ok) {
    if (!ok) {
      delete this;
      return;
    }
    new StreamCall(service_, queue_);
    stream_.Read(&request_, &read_);
  }

  void Read(bool ok) {
    if (ok) {
      answers_.push_back(std::move(request_));
      stream_.Read(&request_, &read_);
    } else {
      read_all_ = true;
    }
    if (!writing_) Write();
  }

  void Written(bool) {
    answers_.pop_front();
    Write();
  }

  void Write() {
    writing_ = !answers_.empty();
    if (writing_) {
      stream_.Write(answers_.front(), &written_);
    } else if (read_all_) {
      stream_.Finish(grpc::Status::OK, &finished_);
    }
  }

  void Finished(bool) { delete this; }

  Echo::AsyncService* const service_;
  grpc::ServerCompletionQueue* const queue_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<Batch, Batch> stream_{&context_};
  Batch request_;
  std::deque<Batch> answers_;
  bool writing_ = false;
  bool read_all_ = false;
  Step<&StreamCall::Started> started_{this};
  Step<&StreamCall::Read> read_{this};
  Step<&StreamCall::Written> written_{this};
  Step<&StreamCall::Finished> finished_{this};
};

// Handles events for ever. Sleeps once nothing has come for `poll_for`.
void Poll(grpc::ServerCompletionQueue& queue, std::chrono::microseconds poll_for) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_event = Clock::now();
  void* tag;
  bool ok;
  while (true) {
    auto outcome = queue.AsyncNext(&tag, &ok, gpr_time_0(GPR_CLOCK_MONOTONIC));
    if (outcome == grpc::CompletionQueue::TIMEOUT) {
      if (Clock::now() - last_event < poll_for) continue;
      outcome = queue.AsyncNext(&tag, &ok, gpr_inf_future(GPR_CLOCK_MONOTONIC));
    }
    if (outcome == grpc::CompletionQueue::SHUTDOWN) return;
    static_cast<Event*>(tag)->Happened(ok);
    if (poll_for.count() > 0) last_event = Clock::now();
  }
}

int Main(const std::string& address, std::chrono::microseconds poll_for) {
  Echo::AsyncService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::cerr << "echo_server: cannot listen on " << address << "\n";
    return 1;
  }
  for (int i = 0; i < kPostedCalls; ++i) new UnaryCall(&service, queue.get());
  new StreamCall(&service, queue.get());
  Poll(*queue, poll_for);
  return 0;
}

}  // namespace
}  // namespace interpd::bench

int main(int argc, char** argv) {
  if (argc != 5 || std::string_view(argv[1]) != "--poll" || std::string_view(argv[3]) != "--listen") {
    std::cerr << "usage: echo_server --poll MICROSECONDS --listen ADDRESS\n";
    return 2;
  }
  return interpd::bench::Main(argv[4], std::chrono::microseconds(std::atoi(argv[2])));
}
