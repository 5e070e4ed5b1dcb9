// A client that is killed in the midst of something, and never ends by itself. It writes a byte to stdout once it is
// there: its endless code has shown that it runs, or it has received values and acknowledges none.
//
// usage: doomed_client ADDRESS INTERPRETER|CHANNEL
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include "interpd/v1/channels.grpc.pb.h"
#include "interpd/v1/interpreters.grpc.pb.h"
#include "tests/bench/rpc_load.h"

namespace interpd::stress {
namespace {

bool SayThatItHasCome() { return write(STDOUT_FILENO, "!", 1) == 1; }

int Exec(const std::string& address, const std::string& name) {
  auto interpreters = v1::Interpreters::NewStub(bench::Connect(address));
  grpc::ClientContext context;
  v1::ExecRequest request;
  request.set_name(name);
  request.set_source("while True: print('I run')");
  auto reader = interpreters->Exec(&context, request);
  v1::ExecResponse response;
  if (!reader->Read(&response)) {
    std::cerr << "doomed_client: " << reader->Finish().error_message() << "\n";
    return 1;
  }
  if (!SayThatItHasCome()) return 1;
  while (reader->Read(&response)) {
  }
  std::cerr << "doomed_client: its code ended: " << reader->Finish().error_message() << "\n";
  return 1;
}

int Receive(const std::string& address, const std::string& name) {
  auto channels = v1::Channels::NewStub(bench::Connect(address));
  grpc::ClientContext context;
  auto stream = channels->Receive(&context);
  v1::ReceiveRequest request;
  request.mutable_options()->set_name(name);
  request.mutable_options()->set_acknowledge(true);
  request.set_credit(70);
  stream->Write(request);
  v1::ReceiveResponse response;
  bool come = false;
  while (stream->Read(&response)) {
    if (come || response.values().runs().empty()) continue;
    come = true;
    if (!SayThatItHasCome()) return 1;
  }
  std::cerr << "doomed_client: its stream ended: " << stream->Finish().error_message() << "\n";
  return 1;
}

}  // namespace
}  // namespace interpd::stress

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: doomed_client ADDRESS INTERPRETER|CHANNEL\n";
    return 2;
  }
  const std::string name = argv[2];
  return name.starts_with("channels/") ? interpd::stress::Receive(argv[1], name) : interpd::stress::Exec(argv[1], name);
}
