// An empty echo server in the set-up of the daemon's: one completion queue, one thread that polls it. What a call to
// it takes is what gRPC takes.
//
// usage: echo_server --listen ADDRESS
#include <grpcpp/grpcpp.h>

#include <deque>
#include <iostream>
#include <memory>
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

int Main(std::string_view address) {
  Echo::AsyncService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(std::string(address), grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::cerr << "echo_server: cannot listen on " << address << "\n";
    return 1;
  }
  for (int i = 0; i < kPostedCalls; ++i) new UnaryCall(&service, queue.get());
  new StreamCall(&service, queue.get());
  void* tag;
  for (bool ok; queue->Next(&tag, &ok);) static_cast<Event*>(tag)->Happened(ok);
  return 0;
}

}  // namespace
}  // namespace interpd::bench

int main(int argc, char** argv) {
  if (argc != 3 || std::string_view(argv[1]) != "--listen") {
    std::cerr << "usage: echo_server --listen ADDRESS\n";
    return 2;
  }
  return interpd::bench::Main(argv[2]);
}
