// Valid requests with damaged bytes, sent to the real daemon: each is answered in time, none of them harms it or the
// neighbour. A seed is printed; INTERPD_FUZZ_SEED repeats a run, INTERPD_FUZZ_SECONDS (5) bounds it.
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "tests/bench/daemon.h"
#include "tests/bench/rpc_load.h"

namespace interpd::fuzz {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

struct Sample {
  std::string method;
  std::string bytes;
};

void Nest(v1::Value* value, int depth) {
  for (; depth > 0; --depth) {
    value->set_container(v1::LIST);
    value = value->add_items();
  }
  value->set_str("deep");
}

void AddChannelSamples(std::vector<Sample>& samples) {
  const std::string prefix = "/interpd.v1.Channels/";
  v1::CreateChannelRequest create;
  create.set_channel_id("target");
  create.mutable_config()->set_capacity(100);
  create.set_request_id("request");
  samples.push_back({prefix + "Create", create.SerializeAsString()});
  v1::GetChannelRequest get;
  get.set_name("channels/target");
  samples.push_back({prefix + "Get", get.SerializeAsString()});
  v1::ListChannelsRequest list;
  list.set_page_size(3);
  samples.push_back({prefix + "List", list.SerializeAsString()});
  v1::CloseChannelRequest close;
  close.set_name("channels/target");
  samples.push_back({prefix + "Close", close.SerializeAsString()});

  v1::SendRequest send;
  send.set_name("channels/target");
  v1::Value* list_value = send.mutable_value();
  list_value->set_container(v1::LIST);
  list_value->add_items()->set_channel("channels/target");
  list_value->add_items()->set_pickle("\x80\x05K.");
  v1::Buffer* buffer = list_value->add_items()->mutable_buffer();
  buffer->set_data(std::string(24, 'x'));
  buffer->set_format("d");
  buffer->add_shape(3);
  send.mutable_timeout()->set_nanos(1'000'000);
  samples.push_back({prefix + "Send", send.SerializeAsString()});

  v1::ValueBatch batch;
  batch.add_runs()->mutable_ints()->add_items(7);
  batch.add_runs()->mutable_floats()->add_items(0.5);
  batch.add_runs()->mutable_strs()->add_items("text");
  batch.add_runs()->mutable_bytes()->add_items("bytes");
  *batch.add_runs()->mutable_values()->add_items() = send.value();
  v1::SendManyRequest many;
  many.set_name("channels/target");
  *many.mutable_values() = batch;
  samples.push_back({prefix + "SendMany", many.SerializeAsString()});
  v1::ReceiveRequest receive;
  receive.mutable_options()->set_name("channels/target");
  receive.mutable_options()->set_acknowledge(true);
  receive.set_credit(3);
  samples.push_back({prefix + "Receive", receive.SerializeAsString()});
  v1::AttachRequest attach;
  attach.mutable_options()->set_send_to("channels/target");
  attach.mutable_options()->set_receive_from("channels/target");
  *attach.mutable_values() = batch;
  attach.set_credit(1);
  attach.set_stop(true);
  samples.push_back({prefix + "Attach", attach.SerializeAsString()});
}

// One valid request of each method but Drain.
std::vector<Sample> Samples() {
  const std::string prefix = "/interpd.v1.Interpreters/";
  std::vector<Sample> samples;
  v1::CallRequest call;
  call.set_name("interpreters/target");
  call.set_target("echo");
  call.add_args()->set_int_(-7);
  call.add_args()->set_str("text \xE2\x82\xAC");
  call.add_args()->set_big_int(std::string(20, '\x7F'));
  call.add_args()->set_surrogate_str("\xED\xA0\x80");
  v1::Value* dict = call.add_args();
  dict->set_container(v1::DICT);
  dict->add_items()->set_bytes("key");
  dict->add_items()->set_float_(1.5);
  Nest(call.add_args(), 10);
  (*call.mutable_kwargs())["k"].set_bool_(true);
  samples.push_back({prefix + "Call", call.SerializeAsString()});
  Nest(call.mutable_args(0), 60);
  samples.push_back({prefix + "Call", call.SerializeAsString()});

  v1::CallStreamRequest stream;
  stream.mutable_options()->set_name("interpreters/target");
  stream.mutable_options()->set_ordered(true);
  for (int i = 0; i < 3; ++i) {
    v1::CallStreamRequest::Item* item = stream.add_calls();
    item->set_id(i);
    *item->mutable_call() = call;
  }
  samples.push_back({prefix + "CallStream", stream.SerializeAsString()});

  v1::ExecRequest exec;
  exec.set_name("interpreters/target");
  exec.set_source("x = [1, 'two']\nprint(x)\n");
  exec.set_filename("file.py");
  exec.add_args("argument");
  samples.push_back({prefix + "Exec", exec.SerializeAsString()});

  v1::CreateRequest create;
  create.set_interpreter_id("target");
  create.mutable_config()->add_path("/nowhere");
  create.mutable_config()->set_setup_source("pass");
  create.mutable_config()->set_queue_limit(10);
  create.set_request_id("request");
  samples.push_back({prefix + "Create", create.SerializeAsString()});

  v1::CloseRequest close;
  close.set_name("interpreters/nobody");
  close.mutable_grace_period()->set_seconds(1);
  samples.push_back({prefix + "Close", close.SerializeAsString()});

  v1::ListRequest list;
  list.set_page_size(3);
  list.set_page_token("token");
  samples.push_back({prefix + "List", list.SerializeAsString()});

  v1::LogsRequest logs;
  logs.set_name("interpreters/target");
  samples.push_back({prefix + "Logs", logs.SerializeAsString()});
  samples.push_back({prefix + "Get", logs.SerializeAsString()});
  samples.push_back({prefix + "Interrupt", logs.SerializeAsString()});
  samples.push_back({"/interpd.v1.Admin/GetInfo", ""});
  AddChannelSamples(samples);
  return samples;
}

std::string Damage(std::string bytes, std::mt19937_64& random) {
  auto below = [&](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  for (int times = below(4); times > 0; --times) {
    const size_t at = below(bytes.size());
    switch (below(6)) {
      case 0:  // flips a bit
        if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(8));
        break;
      case 1:  // writes any byte
        if (!bytes.empty()) bytes[at] = static_cast<char>(random());
        break;
      case 2: bytes.resize(at); break;
      case 3:  // takes a piece out
        bytes.erase(at, below(8));
        break;
      case 4:  // says a piece twice
        bytes.insert(below(bytes.size()), bytes.substr(at, below(64)));
        break;
      case 5:
        for (int i = below(32); i > 0; --i) bytes.insert(bytes.begin() + at, static_cast<char>(random()));
        break;
    }
  }
  return bytes;
}

// What may wait for ever: Logs that a damaged request tells to follow, and senders and receivers of a channel.
bool MayLast(const Sample& sample) {
  for (const char* method : {"/Logs", "/Send", "/SendMany", "/Receive", "/Attach"}) {
    if (sample.method.ends_with(method)) return true;
  }
  return false;
}

// Sends one request message and reads all answers.
grpc::Status Send(grpc::GenericStub& stub, const Sample& sample) {
  grpc::CompletionQueue queue;
  auto wait = [&] {
    void* tag;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(MayLast(sample) ? 200 : 10'000));
  auto call = stub.PrepareCall(&context, sample.method, &queue);
  call->StartCall(nullptr);
  wait();
  grpc::Slice slice(sample.bytes);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
  wait();
  grpc::ByteBuffer answer;
  do {
    call->Read(&answer, nullptr);
  } while (wait());
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status;
}

TEST(RequestFuzzTest, DamagedRequestsAreAnswered) {
  const uint64_t seed = FromEnvironment("INTERPD_FUZZ_SEED", std::random_device()());
  const absl::Time end = absl::Now() + absl::Seconds(FromEnvironment("INTERPD_FUZZ_SECONDS", 5));
  std::cout << "INTERPD_FUZZ_SEED=" << seed << std::endl;
  std::mt19937_64 random(seed);
  auto started = bench::Daemon::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  bench::Daemon& daemon = **started;
  for (const char* name : {"target", "neighbour"}) {
    ASSERT_TRUE(daemon.Create(name).ok());
    ASSERT_TRUE(daemon.Exec(name, "def echo(*args, **kwargs): return args\ndef nothing(): pass").ok());
  }

  grpc::GenericStub stub(bench::Connect(daemon.process().address()));
  const std::vector<Sample> samples = Samples();
  std::map<grpc::StatusCode, int> answers;
  int count = 0;
  for (; absl::Now() < end; ++count) {
    Sample sample = samples[random() % samples.size()];
    sample.bytes = Damage(sample.bytes, random);
    const grpc::Status status = Send(stub, sample);
    ++answers[status.error_code()];
    ASSERT_TRUE(status.error_code() != grpc::UNAVAILABLE && status.error_code() != grpc::UNKNOWN &&
                (status.error_code() != grpc::DEADLINE_EXCEEDED || MayLast(sample)))
        << sample.method << " request " << count << ": " << status.error_code() << " " << status.error_message();
    if (count % 100 == 0) {
      absl::Status neighbour = daemon.Call("neighbour", "nothing");
      ASSERT_TRUE(neighbour.ok()) << "request " << count << ": " << neighbour;
    }
  }
  for (const auto& [code, times] : answers) std::cout << "status " << code << ": " << times << "\n";
  EXPECT_GT(count, 100);
  EXPECT_GT(answers[grpc::OK], 0);
  EXPECT_GT(answers[grpc::INVALID_ARGUMENT] + answers[grpc::INTERNAL], 0);

  auto exit_code = daemon.process().Terminate(absl::Seconds(30));
  ASSERT_TRUE(exit_code.ok()) << exit_code.status();
  EXPECT_EQ(*exit_code, 0);
}

}  // namespace
}  // namespace interpd::fuzz
