// A client that is killed in mid-exec: runs endless code, writes a byte to stdout once that code has shown that it
// runs, and never ends by itself.
//
// usage: doomed_client ADDRESS INTERPRETER
#include <unistd.h>

#include <iostream>
#include <memory>

#include "interpd/v1/interpreters.grpc.pb.h"
#include "tests/bench/rpc_load.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: doomed_client ADDRESS INTERPRETER\n";
    return 2;
  }
  auto interpreters = interpd::v1::Interpreters::NewStub(interpd::bench::Connect(argv[1]));
  grpc::ClientContext context;
  interpd::v1::ExecRequest request;
  request.set_name(argv[2]);
  request.set_source("while True: print('I run')");
  auto reader = interpreters->Exec(&context, request);
  interpd::v1::ExecResponse response;
  if (!reader->Read(&response)) {
    std::cerr << "doomed_client: " << reader->Finish().error_message() << "\n";
    return 1;
  }
  if (write(STDOUT_FILENO, "!", 1) != 1) return 1;
  while (reader->Read(&response)) {
  }
  std::cerr << "doomed_client: its code ended: " << reader->Finish().error_message() << "\n";
  return 1;
}
