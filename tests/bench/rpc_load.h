// Load on a gRPC server: one client shape for the daemon and for the echo server, so that what differs is the server.
//
// The client is a completion queue that its own thread polls, on a connection of its own without channel retries.
// Who includes this: rpc_rows.cc. Thread safety: none.
#ifndef INTERPD_TESTS_BENCH_RPC_LOAD_H_
#define INTERPD_TESTS_BENCH_RPC_LOAD_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace interpd::bench {

inline std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

inline absl::Status ToAbsl(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

struct Load {
  std::vector<double> microseconds;  // of each call; a stream's are not taken
  double per_second = 0;
};

// Unary calls, `in_flight` at a time. `check` tells whether an answer is the right one.
template <typename Request, typename Response>
class UnaryLoad {
 public:
  using Prepare = std::function<std::unique_ptr<grpc::ClientAsyncResponseReader<Response>>(
      grpc::ClientContext*, const Request&, grpc::CompletionQueue*)>;
  using Check = std::function<bool(const Response&)>;

  UnaryLoad(Prepare prepare, Request request, Check check)
      : prepare_(std::move(prepare)), request_(std::move(request)), check_(std::move(check)) {}

  absl::StatusOr<Load> Run(int in_flight, absl::Duration time) {
    std::vector<Slot> slots(in_flight);
    Load load;
    const absl::Time begin = absl::Now();
    const absl::Time end = begin + time;
    for (Slot& slot : slots) Send(slot);
    int64_t done = 0;
    absl::Time now = begin;
    while (now < end) {
      Slot& slot = Wait();
      now = absl::Now();
      if (!slot.status.ok()) return Drain(in_flight - 1, ToAbsl(slot.status));
      if (!check_(slot.response)) return Drain(in_flight - 1, absl::InternalError("wrong answer to a call"));
      load.microseconds.push_back(absl::ToDoubleMicroseconds(now - slot.sent));
      ++done;
      Send(slot);
    }
    load.per_second = done / absl::ToDoubleSeconds(now - begin);
    absl::Status drained = Drain(in_flight, absl::OkStatus());
    if (!drained.ok()) return drained;
    return load;
  }

 private:
  struct Slot {
    std::optional<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
    Response response;
    grpc::Status status;
    absl::Time sent;
  };

  void Send(Slot& slot) {
    slot.sent = absl::Now();
    slot.reader.reset();
    slot.context.emplace();
    slot.response.Clear();
    slot.reader = prepare_(&*slot.context, request_, &queue_);
    slot.reader->StartCall();
    slot.reader->Finish(&slot.response, &slot.status, &slot);
  }

  Slot& Wait() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    return *static_cast<Slot*>(tag);
  }

  absl::Status Drain(int in_flight, absl::Status status) {
    for (int i = 0; i < in_flight; ++i) Wait();
    return status;
  }

  const Prepare prepare_;
  const Request request_;
  const Check check_;
  grpc::CompletionQueue queue_;
};

// A bidirectional stream with `in_flight` messages of `batch` items out. An answer may hold any number of items.
template <typename Request, typename Response>
class StreamLoad {
 public:
  using Stream = grpc::ClientAsyncReaderWriter<Request, Response>;
  using Prepare = std::function<std::unique_ptr<Stream>(grpc::ClientContext*, grpc::CompletionQueue*)>;
  // How many items an answer holds; an error when one of them is not right.
  using Count = std::function<absl::StatusOr<int>(const Response&)>;

  StreamLoad(Prepare prepare, std::function<Request(int batch, bool first)> make, Count count)
      : prepare_(std::move(prepare)), make_(std::move(make)), count_(std::move(count)) {}

  // Items a second.
  absl::StatusOr<double> Run(int in_flight, int batch, absl::Duration time) {
    const Request first = make_(batch, true);
    const Request other = make_(batch, false);
    grpc::ClientContext context;
    std::unique_ptr<Stream> stream = prepare_(&context, &queue_);
    stream->StartCall(Tag(kStart));
    if (absl::Status status = Expect(kStart); !status.ok()) return status;

    Response response;
    int64_t out = 0;   // items sent and not answered
    int64_t done = 0;  // items answered in time
    bool writing = true;
    bool closing = false;
    absl::Status wrong;
    const absl::Time begin = absl::Now();
    absl::Time now = begin;
    double per_second = 0;
    stream->Write(first, Tag(kWrite));
    out += batch;
    stream->Read(&response, Tag(kRead));
    while (true) {
      void* tag = nullptr;
      bool ok = false;
      queue_.Next(&tag, &ok);
      if (tag == Tag(kRead)) {
        if (!ok) break;
        absl::StatusOr<int> items = count_(response);
        if (!items.ok()) {
          wrong = items.status();
          context.TryCancel();
        } else {
          out -= *items;
          done += *items;
        }
        stream->Read(&response, Tag(kRead));
        now = absl::Now();
        if (per_second == 0 && now - begin >= time) per_second = done / absl::ToDoubleSeconds(now - begin);
      } else {
        writing = false;
        if (!ok) closing = true;
      }
      if (writing || closing) continue;
      if (per_second == 0 && out + batch <= int64_t{in_flight} * batch) {
        out += batch;
        writing = true;
        stream->Write(other, Tag(kWrite));
      } else if (per_second != 0 && out == 0) {
        writing = closing = true;
        stream->WritesDone(Tag(kWrite));
      }
    }
    if (writing) {
      if (absl::Status status = Expect(kWrite); !status.ok() && !closing) return status;
    }
    grpc::Status status;
    stream->Finish(&status, Tag(kFinish));
    if (absl::Status finished = Expect(kFinish); !finished.ok()) return finished;
    if (!wrong.ok()) return wrong;
    if (!status.ok()) return ToAbsl(status);
    if (out != 0) return absl::InternalError(absl::StrCat(out, " items of a stream were never answered"));
    return per_second;
  }

 private:
  enum Operation : intptr_t { kStart = 1, kRead, kWrite, kFinish };
  static void* Tag(Operation operation) { return reinterpret_cast<void*>(operation); }

  absl::Status Expect(Operation operation) {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    if (tag == Tag(operation)) return absl::OkStatus();
    return absl::InternalError("the stream did something out of turn");
  }

  const Prepare prepare_;
  const std::function<Request(int, bool)> make_;
  const Count count_;
  grpc::CompletionQueue queue_;
};

}  // namespace interpd::bench

#endif  // INTERPD_TESTS_BENCH_RPC_LOAD_H_
