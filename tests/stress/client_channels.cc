// What a client of the stress test does with channels.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/bench/child_process.h"
#include "tests/stress/client.h"

namespace interpd::stress {
namespace {

// Few names, so that clients get in each other's way.
constexpr int kChannels = 3;
// The first of them is a broadcast whenever it is made: nothing can go back to one, so nobody acknowledges there.
constexpr char kBroadcast[] = "channels/s0";

void SetDeadline(grpc::ClientContext& context, int milliseconds) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(milliseconds));
}

void AddInts(int64_t first, int64_t count, v1::ValueBatch* batch) {
  v1::ValueBatch::Ints* ints = batch->add_runs()->mutable_ints();
  for (int64_t i = 0; i < count; ++i) ints->add_items(first + i);
}

// Calls `visit` for each int of a batch.
template <typename Visit>
void ForEachInt(const v1::ValueBatch& batch, Visit visit) {
  for (const v1::ValueBatch::Run& run : batch.runs()) {
    for (int64_t item : run.ints().items()) visit(item);
  }
}

}  // namespace

std::string Client::RandomChannel() { return absl::StrCat("channels/s", Random(kChannels)); }

grpc::Status Client::ChannelCreate() {
  grpc::ClientContext context;
  v1::CreateChannelRequest request;
  const std::string name = RandomChannel();
  request.set_channel_id(name.substr(name.find('/') + 1));
  if (name == kBroadcast) {
    request.mutable_config()->set_kind(v1::ChannelConfig::BROADCAST);
  } else {
    request.mutable_config()->set_capacity(Random(2) == 0 ? Random(4) : 1000);
  }
  v1::Channel made;
  return channels_->Create(&context, request, &made);
}

grpc::Status Client::ChannelClose() {
  grpc::ClientContext context;
  v1::CloseChannelRequest request;
  request.set_name(RandomChannel());
  request.set_discard(Random(2) == 0);
  v1::Channel closed;
  return channels_->Close(&context, request, &closed);
}

grpc::Status Client::ChannelList() {
  grpc::ClientContext context;
  v1::ListChannelsRequest request;
  request.set_page_size(Random(3));
  v1::ListChannelsResponse answer;
  return channels_->List(&context, request, &answer);
}

grpc::Status Client::ChannelSend() {
  grpc::ClientContext context;
  v1::SendRequest request;
  request.set_name(RandomChannel());
  request.mutable_value()->set_int_(Random(1000));
  if (Random(2) == 0) {
    request.mutable_timeout()->set_nanos(Random(20) * 1'000'000);
  } else {
    SetDeadline(context, Random(30));
  }
  v1::SendResponse answer;
  return channels_->Send(&context, request, &answer);
}

grpc::Status Client::ChannelSendMany() {
  grpc::ClientContext context;
  SetDeadline(context, 5 + Random(50));
  v1::SendManyResponse answer;
  auto writer = channels_->SendMany(&context, &answer);
  v1::SendManyRequest request;
  request.set_name(RandomChannel());
  int64_t sent = 0;
  for (int i = Random(5); i >= 0; --i) {
    const int count = Random(100);
    AddInts(sent, count, request.mutable_values());
    sent += count;
    if (!writer->Write(request)) break;
    request.Clear();
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (status.ok() && answer.sent_count() != sent) {
    return grpc::Status(grpc::INTERNAL, absl::StrCat(answer.sent_count(), " of ", sent, " values are in the channel"));
  }
  return status;
}

grpc::Status Client::ChannelReceive() {
  grpc::ClientContext context;
  SetDeadline(context, 5 + Random(50));
  auto stream = channels_->Receive(&context);
  v1::ReceiveRequest request;
  const std::string name = RandomChannel();
  request.mutable_options()->set_name(name);
  const bool acknowledge = name != kBroadcast && Random(2) == 0;
  request.mutable_options()->set_acknowledge(acknowledge);
  const int64_t credit = Random(200);
  request.set_credit(credit);
  stream->Write(request);
  v1::ReceiveResponse answer;
  int64_t received = 0;
  for (int messages = Random(10); messages > 0 && stream->Read(&answer); --messages) {
    ForEachInt(answer.values(), [&](int64_t) { ++received; });
    if (received > credit) {
      context.TryCancel();
      return grpc::Status(grpc::INTERNAL, absl::StrCat(received, " values for a credit of ", credit));
    }
    if (acknowledge && received > 0 && Random(2) == 0) {
      request.Clear();
      request.set_acknowledged_number(Random(static_cast<int>(received)) + 1);
      stream->Write(request);
    }
  }
  switch (Random(3)) {
    case 0: context.TryCancel(); break;
    case 1:
      request.Clear();
      request.set_stop(true);
      stream->Write(request);
      stream->WritesDone();
      break;
    default: stream->WritesDone(); break;
  }
  while (stream->Read(&answer)) {
  }
  const grpc::Status status = stream->Finish();
  if (status.error_code() == grpc::CANCELLED) ++successes_["Receive"];
  return status;
}

// Values that a client has in a channel of its own come out whole and in order, whatever becomes of the receivers.
grpc::Status Client::ChannelKeepsItsValues() {
  const std::string id = absl::StrCat("own-", random_());
  const std::string name = absl::StrCat("channels/", id);
  const int64_t count = 1 + Random(2000);
  {
    grpc::ClientContext context;
    v1::CreateChannelRequest request;
    request.set_channel_id(id);
    request.mutable_config()->set_capacity(count);
    v1::Channel made;
    if (grpc::Status status = channels_->Create(&context, request, &made); !status.ok()) return status;
  }
  {
    grpc::ClientContext context;
    v1::SendManyResponse answer;
    auto writer = channels_->SendMany(&context, &answer);
    v1::SendManyRequest request;
    request.set_name(name);
    AddInts(1, count, request.mutable_values());
    writer->Write(request);
    writer->WritesDone();
    if (grpc::Status status = writer->Finish(); !status.ok()) return status;
  }
  if (Random(2) == 0) {
    grpc::ClientContext context;
    v1::CloseChannelRequest request;
    request.set_name(name);
    v1::Channel closed;
    if (grpc::Status status = channels_->Close(&context, request, &closed); !status.ok()) return status;
  }
  int64_t done = 0;
  for (int deaths = Random(4);; --deaths) {
    grpc::ClientContext context;
    SetDeadline(context, 20'000);
    auto stream = channels_->Receive(&context);
    v1::ReceiveRequest request;
    request.mutable_options()->set_name(name);
    request.mutable_options()->set_acknowledge(true);
    request.set_credit(count);
    stream->Write(request);
    v1::ReceiveResponse answer;
    int64_t here = 0;    // of this stream
    int64_t wrong = -1;  // what came in the place of another
    while (done + here < count && stream->Read(&answer)) {
      ForEachInt(answer.values(), [&](int64_t value) {
        ++here;
        if (value != done + here && wrong < 0) wrong = value;
      });
      if (wrong >= 0) break;
      if (deaths > 0 && Random(2) == 0) break;
    }
    if (wrong >= 0) return grpc::Status(grpc::INTERNAL, absl::StrCat(wrong, " came behind ", done, " and ", here));
    if (here == 0 && deaths <= 0) {
      return grpc::Status(grpc::INTERNAL, absl::StrCat("nothing came behind ", done, " of ", count, ": ",
                                                       stream->Finish().error_message()));
    }
    // Acknowledges some, and dies or ends.
    const int64_t acknowledged = deaths > 0 ? Random(static_cast<int>(here) + 1) : here;
    request.Clear();
    request.set_acknowledged_number(acknowledged);
    if (acknowledged > 0) stream->Write(request);
    done += acknowledged;
    // Not a cancellation: that could overtake what was acknowledged.
    stream->WritesDone();
    while (stream->Read(&answer)) {
    }
    if (grpc::Status status = stream->Finish(); !status.ok()) return status;
    if (done == count) break;
  }
  grpc::ClientContext context;
  v1::CloseChannelRequest request;
  request.set_name(name);
  v1::Channel closed;
  const grpc::Status status = channels_->Close(&context, request, &closed);
  // One that was closed before is gone with its last value.
  return status.error_code() == grpc::NOT_FOUND ? grpc::Status::OK : status;
}

grpc::Status Client::ChannelAttach() {
  grpc::ClientContext context;
  SetDeadline(context, 20 + Random(50));
  auto stream = channels_->Attach(&context);
  v1::AttachRequest request;
  request.mutable_options()->set_send_to(RandomChannel());
  request.mutable_options()->set_receive_from(RandomChannel());
  for (int i = Random(5); i >= 0; --i) {
    AddInts(0, Random(50), request.mutable_values());
    request.set_credit(Random(50));
    if (!stream->Write(request)) break;
    request.Clear();
  }
  if (Random(2) == 0) {
    request.set_stop(true);
    stream->Write(request);
  }
  if (Random(3) == 0) context.TryCancel();
  stream->WritesDone();
  v1::AttachResponse answer;
  while (stream->Read(&answer)) {
  }
  const grpc::Status status = stream->Finish();
  if (status.error_code() == grpc::CANCELLED) ++successes_["Attach"];
  return status;
}

grpc::Status Client::AwaitNothingUnacknowledged(const std::string& channel) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  for (;;) {
    grpc::ClientContext context;
    v1::GetChannelRequest request;
    request.set_name(channel);
    v1::Channel now;
    if (grpc::Status status = channels_->Get(&context, request, &now); !status.ok()) return status;
    if (now.unacknowledged_count() == 0) return grpc::Status::OK;
    if (absl::Now() > deadline) return grpc::Status(grpc::INTERNAL, "a dead client's values did not come back");
    std::this_thread::yield();
  }
}

// Kills a client that holds values unacknowledged: all of them come back.
grpc::Status Client::DoomedReceiver() {
  const std::string id = absl::StrCat("doomed-", random_());
  const std::string name = absl::StrCat("channels/", id);
  constexpr int64_t kCount = 100;
  {
    grpc::ClientContext context;
    v1::CreateChannelRequest request;
    request.set_channel_id(id);
    v1::Channel made;
    if (grpc::Status status = channels_->Create(&context, request, &made); !status.ok()) return status;
  }
  {
    grpc::ClientContext context;
    v1::SendManyResponse answer;
    auto writer = channels_->SendMany(&context, &answer);
    v1::SendManyRequest request;
    request.set_name(name);
    AddInts(0, kCount, request.mutable_values());
    writer->Write(request);
    writer->WritesDone();
    if (grpc::Status status = writer->Finish(); !status.ok()) return status;
  }
  const absl::Status killed =
      bench::KillOnceItWrites({bench::RunfilePath("tests/stress/doomed_client"), address_, name});
  if (!killed.ok()) return grpc::Status(grpc::INTERNAL, killed.ToString());
  // Until the daemon knows of the death, whoever receives gets what lies behind those values.
  if (grpc::Status status = AwaitNothingUnacknowledged(name); !status.ok()) return status;
  grpc::ClientContext context;
  SetDeadline(context, 20'000);
  auto stream = channels_->Receive(&context);
  v1::ReceiveRequest request;
  request.mutable_options()->set_name(name);
  request.set_credit(kCount);
  stream->Write(request);
  stream->WritesDone();
  v1::ReceiveResponse answer;
  int64_t received = 0;
  bool in_order = true;
  while (stream->Read(&answer)) {
    ForEachInt(answer.values(), [&](int64_t value) { in_order = value == received++ && in_order; });
  }
  const grpc::Status status = stream->Finish();
  if (!status.ok())
    return grpc::Status(grpc::INTERNAL, absl::StrCat("after a client's death: ", status.error_message()));
  if (received != kCount || !in_order) {
    return grpc::Status(grpc::INTERNAL,
                        absl::StrCat(received, " values came back, ", in_order ? "" : "not ", "in order"));
  }
  grpc::ClientContext close_context;
  v1::CloseChannelRequest close;
  close.set_name(name);
  v1::Channel closed;
  return channels_->Close(&close_context, close, &closed);
}

}  // namespace interpd::stress
