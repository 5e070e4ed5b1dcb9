// Every RPC of the API, with messages that are valid and mean anything, damaged, or no messages at all, sent to the
// real daemon: it stays well, answers its neighbour, and leaks nothing. A seed is printed; INTERPD_FUZZ_SEED repeats a
// run, INTERPD_FUZZ_SECONDS (5) bounds it.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "daemon/access_rules.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "interpd/v1/channels.pb.h"
#include "interpd/v1/constants.pb.h"
#include "interpd/v1/jobs.pb.h"
#include "tests/bench/daemon.h"
#include "tests/bench/rpc_load.h"

namespace interpd::fuzz {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using google::protobuf::Reflection;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

class Fuzzer {
 public:
  explicit Fuzzer(uint64_t seed) : random_(seed) {}

  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  // What is sent for a method: mostly messages of its type.
  std::vector<std::string> Messages(const MethodDescriptor& method) {
    std::vector<std::string> messages;
    for (size_t count = method.client_streaming() ? Below(4) : 1; count > 0; --count) {
      std::unique_ptr<Message> message(MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
      Fill(*message, 0);
      std::string bytes = Below(8) == 0 ? Bytes(Below(300)) : message->SerializeAsString();
      for (size_t damages = Below(6) == 0 ? 1 + Below(4) : 0; damages > 0 && !bytes.empty(); --damages) {
        bytes[Below(bytes.size())] = static_cast<char>(random_());
      }
      messages.push_back(std::move(bytes));
    }
    return messages;
  }

 private:
  std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }

  std::string Text(const FieldDescriptor& field) {
    static constexpr const char* kTexts[] = {"",
                                             "target",
                                             "interpreters/target",
                                             "channels/target",
                                             "constants/target",
                                             "jobs/target",
                                             "echo",
                                             "os:getpid",
                                             "../..",
                                             "a/b",
                                             "interpreters/",
                                             "interpreters/unix:root/target",
                                             "channels/~1",
                                             "\xE2\x80\xAE",
                                             "1 + 1",
                                             "pass"};
    switch (Below(10)) {
      case 0: {
        std::string text(Below(5000), 'x');
        return text;
      }
      case 1: return field.type() == FieldDescriptor::TYPE_BYTES ? Bytes(Below(64)) : std::string(Below(9), '\0');
      default: return kTexts[Below(std::size(kTexts))];
    }
  }

  template <typename T>
  T Number() {
    switch (Below(6)) {
      case 0: return std::numeric_limits<T>::max();
      case 1: return std::numeric_limits<T>::lowest();
      case 2: return static_cast<T>(random_());
      default: return static_cast<T>(Below(20));
    }
  }

  void Fill(Message& message, int depth) {
    const Descriptor& type = *message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (Below(3) == 0) continue;
      for (size_t times = field.is_repeated() ? Below(4) : 1; times > 0; --times)
        Set(message, reflection, field, depth);
    }
  }

  void Set(Message& message, const Reflection& reflection, const FieldDescriptor& field, int depth) {
    const bool many = field.is_repeated();
#define INTERPD_SET(Kind, value) \
  many ? reflection.Add##Kind(&message, &field, value) : reflection.Set##Kind(&message, &field, value)
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: INTERPD_SET(Int32, Number<int32_t>()); break;
      case FieldDescriptor::CPPTYPE_INT64: INTERPD_SET(Int64, Number<int64_t>()); break;
      case FieldDescriptor::CPPTYPE_UINT32: INTERPD_SET(UInt32, Number<uint32_t>()); break;
      case FieldDescriptor::CPPTYPE_UINT64: INTERPD_SET(UInt64, Number<uint64_t>()); break;
      case FieldDescriptor::CPPTYPE_DOUBLE: INTERPD_SET(Double, Number<double>()); break;
      case FieldDescriptor::CPPTYPE_FLOAT: INTERPD_SET(Float, Number<float>()); break;
      case FieldDescriptor::CPPTYPE_BOOL: INTERPD_SET(Bool, Below(2) == 0); break;
      case FieldDescriptor::CPPTYPE_ENUM: INTERPD_SET(EnumValue, static_cast<int>(Below(8))); break;
      case FieldDescriptor::CPPTYPE_STRING: INTERPD_SET(String, Text(field)); break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (depth > 6) break;
        Fill(many ? *reflection.AddMessage(&message, &field) : *reflection.MutableMessage(&message, &field), depth + 1);
        break;
    }
#undef INTERPD_SET
  }

  std::mt19937_64 random_;
};

// Sends the messages and reads all answers, for a while.
grpc::Status Send(grpc::GenericStub& stub, const std::string& method, const std::vector<std::string>& messages) {
  grpc::CompletionQueue queue;
  auto wait = [&] {
    void* tag;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  bool good = wait();
  for (const std::string& message : messages) {
    if (!good) break;
    grpc::Slice slice(message);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    good = wait();
  }
  if (good) {
    call->WritesDone(nullptr);
    wait();
  }
  grpc::ByteBuffer answer;
  do {
    call->Read(&answer, nullptr);
  } while (wait());
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status;
}

TEST(SurfaceFuzzTest, EveryMethodTakesAnything) {
  // So that the pool knows their files.
  grpc::health::v1::HealthCheckRequest health;
  grpc::reflection::v1alpha::ServerReflectionRequest reflection;
  v1::SubmitJobsRequest jobs;
  v1::PutConstantRequest constants;
  v1::AttachRequest channels;

  const uint64_t seed = FromEnvironment("INTERPD_FUZZ_SEED", std::random_device()());
  const absl::Time end = absl::Now() + absl::Seconds(FromEnvironment("INTERPD_FUZZ_SECONDS", 5));
  std::cout << "INTERPD_FUZZ_SEED=" << seed << std::endl;
  Fuzzer fuzzer(seed);

  std::vector<const MethodDescriptor*> methods;
  for (const daemon::AccessRule& rule : daemon::kAccessRules) {
    if (rule.method == "interpd.v1.Admin/Drain") continue;  // it would end the run
    std::string name(rule.method);
    name[name.rfind('/')] = '.';
    methods.push_back(DescriptorPool::generated_pool()->FindMethodByName(name));
    ASSERT_NE(methods.back(), nullptr) << name;
  }

  auto started = bench::Daemon::Start();
  ASSERT_TRUE(started.ok()) << started.status();
  bench::Daemon& daemon = **started;
  for (const char* name : {"target", "neighbour"}) ASSERT_TRUE(daemon.Create(name).ok());
  ASSERT_TRUE(daemon.Exec("neighbour", "def nothing(): pass").ok());

  grpc::GenericStub stub(bench::Connect(daemon.process().address()));
  std::map<grpc::StatusCode, int> answers;
  int count = 0;
  for (; absl::Now() < end || count < 200; ++count) {
    const MethodDescriptor& method = *methods[fuzzer.Below(methods.size())];
    const std::string path = absl::StrCat("/", method.service()->full_name(), "/", method.name());
    const grpc::Status status = Send(stub, path, fuzzer.Messages(method));
    ++answers[status.error_code()];
    ASSERT_TRUE(status.error_code() != grpc::UNAVAILABLE && status.error_code() != grpc::UNKNOWN)
        << path << " request " << count << ": " << status.error_code() << " " << status.error_message();
    if (count % 100 == 0) {
      absl::Status neighbour = daemon.Call("neighbour", "nothing");
      ASSERT_TRUE(neighbour.ok()) << "request " << count << ": " << neighbour;
    }
  }
  for (const auto& [code, times] : answers) std::cout << "status " << code << ": " << times << "\n";
  EXPECT_GT(answers[grpc::OK], 0);
  EXPECT_GT(answers[grpc::INVALID_ARGUMENT], 0);

  auto exit_code = daemon.process().Terminate(absl::Seconds(60));
  ASSERT_TRUE(exit_code.ok()) << exit_code.status();
  EXPECT_EQ(*exit_code, 0);
}

}  // namespace
}  // namespace interpd::fuzz
