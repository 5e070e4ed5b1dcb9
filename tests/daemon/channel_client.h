// A server over this process's channels, and clients that send to them and receive from them.
//
// Who includes this: tests of channels over gRPC.
#ifndef INTERPD_TESTS_DAEMON_CHANNEL_CLIENT_H_
#define INTERPD_TESTS_DAEMON_CHANNEL_CLIENT_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/daemon/test_server.h"

namespace interpd::daemon {

inline std::vector<int64_t> Range(int64_t first, int64_t last) {
  std::vector<int64_t> numbers;
  for (int64_t i = first; i <= last; ++i) numbers.push_back(i);
  return numbers;
}

inline v1::ValueBatch Ints(int64_t first, int64_t last) {
  v1::ValueBatch batch;
  v1::ValueBatch::Ints* ints = batch.add_runs()->mutable_ints();
  for (int64_t i : Range(first, last)) ints->add_items(i);
  return batch;
}

// Appends the ints of a batch, which holds nothing else.
inline void Append(const v1::ValueBatch& batch, std::vector<int64_t>* numbers) {
  for (const v1::ValueBatch::Run& run : batch.runs()) {
    ASSERT_TRUE(run.has_ints()) << run.ShortDebugString();
    numbers->insert(numbers->end(), run.ints().items().begin(), run.ints().items().end());
  }
}

// A client on a Receive or an Attach.
template <typename Request, typename Response>
class Stream {
 public:
  explicit Stream(
      std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> (v1::Channels::Stub::*method)(grpc::ClientContext*),
      v1::Channels::Stub& stub) {
    Patience(context_);
    stream_ = (stub.*method)(&context_);
  }

  // What goes into the next message.
  Request& next() { return request_; }
  Stream& Say() {
    stream_->Write(std::exchange(request_, {}));
    return *this;
  }
  Stream& Ask(int64_t credit) {
    request_.set_credit(credit);
    return Say();
  }
  Stream& Acknowledge(int64_t number) {
    request_.set_acknowledged_number(number);
    return Say();
  }
  Stream& Stop() {
    request_.set_stop(true);
    return Say();
  }
  void DoneWriting() { stream_->WritesDone(); }

  // Waits for the first answer.
  void Attached() {
    Response answer;
    ASSERT_TRUE(stream_->Read(&answer));
    EXPECT_TRUE(answer.attached());
    EXPECT_EQ(answer.values().runs_size(), 0);
  }

  // Reads answers until so many values have come.
  std::vector<int64_t> Take(size_t count) {
    std::vector<int64_t> numbers;
    while (numbers.size() < count && ReadOne(&numbers)) {
    }
    EXPECT_EQ(numbers.size(), count);
    return numbers;
  }

  // Reads to the end of the stream.
  grpc::Status End(std::vector<int64_t>* rest = nullptr) {
    std::vector<int64_t> numbers;
    while (ReadOne(rest == nullptr ? &numbers : rest)) {
    }
    return stream_->Finish();
  }

  grpc::Status Cancel() {
    context_.TryCancel();
    return End();
  }

  bool ReadOne(std::vector<int64_t>* numbers) {
    Response answer;
    if (!stream_->Read(&answer)) return false;
    ended_ = ended_ || answer.ended();
    const size_t before = numbers->size();
    Append(answer.values(), numbers);
    received_ += static_cast<int64_t>(numbers->size() - before);
    if (numbers->size() > before) {
      EXPECT_EQ(answer.last_number(), received_);
    }
    if constexpr (requires { answer.sent_count(); }) sent_ = answer.sent_count();
    return true;
  }
  bool ended() const { return ended_; }
  int64_t sent() const { return sent_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
  Request request_;
  int64_t received_ = 0;
  int64_t sent_ = 0;
  bool ended_ = false;
};
using Receiver = Stream<v1::ReceiveRequest, v1::ReceiveResponse>;
using Attachment = Stream<v1::AttachRequest, v1::AttachResponse>;

class ChannelsTest : public ServerTest {
 protected:
  explicit ChannelsTest(ServerOptions options = {}) { Start(std::move(options)); }
  ~ChannelsTest() override {
    // Every test leaves the books at zero, whatever it did to its clients.
    v1::ListChannelsResponse all = List();
    for (const v1::Channel& channel : all.channels()) Close(channel.name(), /*discard=*/true);
    EXPECT_EQ(List().channels_size(), 0);
    while (Info().channel_value_count() != 0) std::this_thread::yield();
  }

  grpc::Status Create(const std::string& id, int64_t capacity = 1024, v1::Channel* made = nullptr) {
    grpc::ClientContext context;
    v1::CreateChannelRequest request;
    request.set_channel_id(id);
    request.mutable_config()->set_capacity(capacity);
    v1::Channel ignored;
    return channels_->Create(&context, request, made == nullptr ? &ignored : made);
  }
  grpc::Status CreateBroadcast(const std::string& id) {
    grpc::ClientContext context;
    v1::CreateChannelRequest request;
    request.set_channel_id(id);
    request.mutable_config()->set_kind(v1::ChannelConfig::BROADCAST);
    v1::Channel ignored;
    return channels_->Create(&context, request, &ignored);
  }

  v1::Channel Get(const std::string& name, grpc::Status* status = nullptr) {
    grpc::ClientContext context;
    v1::GetChannelRequest request;
    request.set_name(name);
    v1::Channel channel;
    grpc::Status got = channels_->Get(&context, request, &channel);
    if (status != nullptr) {
      *status = got;
    } else {
      EXPECT_TRUE(got.ok()) << got.error_message();
    }
    return channel;
  }
  std::string Missing(const std::string& name) {
    grpc::Status status;
    Get(name, &status);
    return InfoOf(status).reason();
  }

  v1::ListChannelsResponse List(const v1::ListChannelsRequest& request = {}) {
    grpc::ClientContext context;
    v1::ListChannelsResponse response;
    EXPECT_TRUE(channels_->List(&context, request, &response).ok());
    return response;
  }

  v1::Channel Close(const std::string& name, bool discard = false) {
    grpc::ClientContext context;
    v1::CloseChannelRequest request;
    request.set_name(name);
    request.set_discard(discard);
    v1::Channel channel;
    EXPECT_TRUE(channels_->Close(&context, request, &channel).ok());
    return channel;
  }

  grpc::Status Send(const std::string& name, int64_t number, int milliseconds = -1) {
    grpc::ClientContext context;
    Patience(context);
    v1::SendRequest request;
    request.set_name(name);
    request.mutable_value()->set_int_(number);
    if (milliseconds >= 0) request.mutable_timeout()->set_nanos(milliseconds * 1'000'000);
    v1::SendResponse response;
    return channels_->Send(&context, request, &response);
  }

  grpc::Status SendMany(const std::string& name, const std::vector<v1::ValueBatch>& batches, int64_t* sent) {
    grpc::ClientContext context;
    Patience(context);
    v1::SendManyResponse response;
    auto writer = channels_->SendMany(&context, &response);
    v1::SendManyRequest request;
    request.set_name(name);
    for (const v1::ValueBatch& batch : batches) {
      *request.mutable_values() = batch;
      if (!writer->Write(request)) break;
      request.Clear();
    }
    writer->WritesDone();
    grpc::Status status = writer->Finish();
    *sent = response.sent_count();
    return status;
  }

  std::unique_ptr<Receiver> Receive(const std::string& name, bool acknowledge = false) {
    auto receiver = std::make_unique<Receiver>(&v1::Channels::Stub::Receive, *channels_);
    receiver->next().mutable_options()->set_name(name);
    receiver->next().mutable_options()->set_acknowledge(acknowledge);
    receiver->Say();
    return receiver;
  }
  std::unique_ptr<Attachment> Attach(const std::string& send_to, const std::string& receive_from) {
    auto attachment = std::make_unique<Attachment>(&v1::Channels::Stub::Attach, *channels_);
    attachment->next().mutable_options()->set_send_to(send_to);
    attachment->next().mutable_options()->set_receive_from(receive_from);
    return attachment;
  }

  // All that is in a channel, which is then empty.
  std::vector<int64_t> Drain(const std::string& name) {
    const int64_t length = Get(name).length();
    auto receiver = Receive(name);
    receiver->Ask(length).DoneWriting();
    std::vector<int64_t> numbers;
    grpc::Status status = receiver->End(&numbers);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(numbers.size(), static_cast<size_t>(length));
    return numbers;
  }

  v1::Info Info() {
    grpc::ClientContext context;
    v1::Info info;
    EXPECT_TRUE(admin_->GetInfo(&context, {}, &info).ok());
    return info;
  }

  template <typename Condition>
  void WaitFor(Condition condition) {
    while (!condition(Get("channels/c"))) std::this_thread::yield();
  }
  void WaitForLength(int64_t length) {
    WaitFor([=](const v1::Channel& channel) { return channel.length() == length; });
  }
};

}  // namespace interpd::daemon

#endif  // INTERPD_TESTS_DAEMON_CHANNEL_CLIENT_H_
