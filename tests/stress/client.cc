#include "tests/stress/client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/bench/child_process.h"
#include "tests/bench/rpc_load.h"

namespace interpd::stress {
namespace {

// Few names, so that clients get in each other's way.
constexpr int kNames = 6;

// Endless in every way that an interrupt has to reach.
constexpr const char* kEndless[] = {
    "while True: pass",
    "while True: print('x' * 1000)",
    "import time\nwhile True: time.sleep(0.01)",
    "try:\n  while True: pass\nexcept KeyboardInterrupt:\n  while True: pass",
    "import asyncio\nasync def f():\n  while True: await asyncio.sleep(0)\nasyncio.run(f())",
};

constexpr const char* kEnding[] = {
    "x = sum(range(1000))",
    "print('hello')",
    "raise ValueError('as it should')",
    "def nonsense(:",
    "import sys; sys.exit(3)",
    "import os; os.write(2, b'raw')",
    "import threading; threading.Thread(target=lambda: print('from a thread')).start()",
    "import threading, time; threading.Thread(target=time.sleep, args=(0.05,)).start()",
    "leak = open('/dev/null')",
    "import os\nfor _ in range(5): os.pipe()",
    "def echo(*args): return args",
    "import subprocess; print(subprocess.run(['echo', 'child'], capture_output=True).stdout)",
    "import atexit; atexit.register(print, 'bye')",
};

constexpr const char* kTargets[] = {"math:gcd",        "echo",          "os:getcwd",       "no_such_name",
                                    "os:no_such_name", "builtins:list", "builtins:object", "time:time"};

bool IsExpected(grpc::StatusCode code) {
  switch (code) {
    case grpc::OK:
    case grpc::CANCELLED:
    case grpc::DEADLINE_EXCEEDED:
    case grpc::NOT_FOUND:
    case grpc::ALREADY_EXISTS:
    case grpc::FAILED_PRECONDITION:
    case grpc::RESOURCE_EXHAUSTED: return true;
    default: return false;
  }
}

void SetDeadline(grpc::ClientContext& context, int milliseconds) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(milliseconds));
}

}  // namespace

const std::vector<Client::Operation> Client::kOperations = {
    {"Create", 12, &Client::Create},
    {"Get", 4, &Client::Get},
    {"List", 4, &Client::List},
    {"Close", 6, &Client::Close},
    {"Interrupt", 3, &Client::Interrupt},
    {"Logs", 3, &Client::Logs},
    {"Exec", 12, &Client::ExecToTheEnd},
    {"Exec cancelled", 4, &Client::ExecCancelled},
    {"Exec past its deadline", 4, &Client::ExecPastDeadline},
    {"Exec read slowly", 2, &Client::ExecReadSlowly},
    {"Call", 12, &Client::Call},
    {"Call past its deadline", 3, &Client::CallPastDeadline},
    {"CallStream", 6, &Client::CallStream},
    {"CallStream cancelled", 3, &Client::CallStreamCancelled},
    {"doomed client", 1, &Client::DoomedClient},
    {"channel Create", 6, &Client::ChannelCreate},
    {"channel Close", 3, &Client::ChannelClose},
    {"channel List", 2, &Client::ChannelList},
    {"Send", 6, &Client::ChannelSend},
    {"SendMany", 6, &Client::ChannelSendMany},
    {"Receive", 6, &Client::ChannelReceive},
    {"Attach", 4, &Client::ChannelAttach},
    {"a channel's values", 4, &Client::ChannelKeepsItsValues},
    {"doomed receiver", 1, &Client::DoomedReceiver},
};

Client::Client(const std::string& address, uint64_t seed) : address_(address), random_(seed) {
  std::shared_ptr<grpc::Channel> connection = bench::Connect(address);
  interpreters_ = v1::Interpreters::NewStub(connection);
  channels_ = v1::Channels::NewStub(connection);
}

absl::Status Client::Step() {
  static const int kWeights = [] {
    int sum = 0;
    for (const Operation& operation : kOperations) sum += operation.weight;
    return sum;
  }();
  int pick = Random(kWeights);
  for (const Operation& operation : kOperations) {
    pick -= operation.weight;
    if (pick >= 0) continue;
    const grpc::Status status = (this->*operation.run)();
    if (status.ok()) ++successes_[operation.name];
    if (IsExpected(status.error_code())) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(operation.name, ": ", status.error_code(), " ", status.error_message()));
  }
  return absl::InternalError("weights do not add up");
}

std::string Client::RandomName() { return absl::StrCat("interpreters/s", Random(kNames)); }

grpc::Status Client::Create() {
  grpc::ClientContext context;
  v1::CreateRequest request;
  // Never a fresh name: what this makes must be found again and closed.
  request.set_interpreter_id(absl::StrCat("s", Random(kNames)));
  if (Random(4) == 0) request.mutable_config()->set_queue_limit(1 + Random(3));
  if (Random(4) == 0) request.mutable_config()->set_setup_source("def echo(*args): return args");
  if (Random(10) == 0) request.mutable_config()->set_setup_source("raise RuntimeError('a set-up that fails')");
  if (Random(10) == 0) SetDeadline(context, Random(20));
  v1::Interpreter answer;
  return interpreters_->Create(&context, request, &answer);
}

grpc::Status Client::Get() {
  grpc::ClientContext context;
  v1::GetRequest request;
  request.set_name(RandomName());
  v1::Interpreter answer;
  return interpreters_->Get(&context, request, &answer);
}

grpc::Status Client::List() {
  grpc::ClientContext context;
  v1::ListRequest request;
  request.set_page_size(Random(5));
  v1::ListResponse answer;
  return interpreters_->List(&context, request, &answer);
}

grpc::Status Client::Close() {
  grpc::ClientContext context;
  v1::CloseRequest request;
  request.set_name(RandomName());
  request.mutable_grace_period()->set_nanos(Random(50) * 1'000'000);
  v1::Interpreter answer;
  const grpc::Status status = interpreters_->Close(&context, request, &answer);
  // FAILED: it was closed while it was being made, and that failed.
  if (status.ok() && answer.state() != v1::Interpreter::CLOSED && answer.state() != v1::Interpreter::FAILED) {
    return grpc::Status(grpc::INTERNAL,
                        absl::StrCat("closed into state ", v1::Interpreter::State_Name(answer.state())));
  }
  return status;
}

grpc::Status Client::Interrupt() {
  grpc::ClientContext context;
  v1::InterruptRequest request;
  request.set_name(RandomName());
  v1::InterruptResponse answer;
  return interpreters_->Interrupt(&context, request, &answer);
}

grpc::Status Client::Logs() {
  grpc::ClientContext context;
  v1::LogsRequest request;
  request.set_name(RandomName());
  request.set_follow(Random(2) == 0);
  if (request.follow()) SetDeadline(context, 10 + Random(50));
  auto reader = interpreters_->Logs(&context, request);
  v1::LogsResponse answer;
  while (reader->Read(&answer)) {
  }
  return reader->Finish();
}

grpc::Status Client::Exec(const std::string& source, grpc::ClientContext& context) {
  v1::ExecRequest request;
  request.set_name(RandomName());
  request.set_source(source);
  auto reader = interpreters_->Exec(&context, request);
  v1::ExecResponse answer;
  bool ended = false;
  while (reader->Read(&answer)) ended = answer.has_result();
  const grpc::Status status = reader->Finish();
  if (status.ok() && !ended) return grpc::Status(grpc::INTERNAL, "an exec ended without its result");
  return status;
}

grpc::Status Client::ExecToTheEnd() {
  grpc::ClientContext context;
  return Exec(kEnding[Random(std::size(kEnding))], context);
}

grpc::Status Client::ExecPastDeadline() {
  grpc::ClientContext context;
  SetDeadline(context, Random(60));
  const grpc::Status status = Exec(kEndless[Random(std::size(kEndless))], context);
  if (status.error_code() == grpc::DEADLINE_EXCEEDED) ++successes_["Exec past its deadline"];
  return status;
}

grpc::Status Client::ExecCancelled() {
  grpc::ClientContext context;
  v1::ExecRequest request;
  request.set_name(RandomName());
  request.set_source("while True: print('x' * 100)");
  auto reader = interpreters_->Exec(&context, request);
  v1::ExecResponse answer;
  for (int i = Random(20); i >= 0 && reader->Read(&answer); --i) {
  }
  context.TryCancel();
  while (reader->Read(&answer)) {
  }
  const grpc::Status status = reader->Finish();
  if (status.error_code() == grpc::CANCELLED) ++successes_["Exec cancelled"];
  return status;
}

grpc::Status Client::ExecReadSlowly() {
  constexpr size_t kBytes = 4 << 20;
  grpc::ClientContext context;
  v1::ExecRequest request;
  request.set_name(RandomName());
  request.set_source(absl::StrCat("import sys\nfor _ in range(", kBytes, " // 1024): sys.stdout.write('y' * 1024)"));
  auto reader = interpreters_->Exec(&context, request);
  v1::ExecResponse answer;
  size_t bytes = 0;
  bool whole = false;
  for (int reads = 0; reader->Read(&answer); ++reads) {
    // The reader that this test is about: one that has better things to do for a while.
    if (reads < 20) absl::SleepFor(absl::Milliseconds(5));
    bytes += answer.output().data().size();
    whole = answer.has_result() && !answer.result().has_exception();
  }
  const grpc::Status status = reader->Finish();
  // A neighbour's Interrupt or Close may have ended it; otherwise not a byte may be missing.
  if (status.ok() && whole && bytes < kBytes) {
    return grpc::Status(grpc::INTERNAL, absl::StrCat("a slow reader got ", bytes, " of ", kBytes, " bytes"));
  }
  return status;
}

v1::CallRequest Client::RandomCall() {
  v1::CallRequest request;
  request.set_name(RandomName());
  request.set_target(kTargets[Random(std::size(kTargets))]);
  for (int i = Random(3); i > 0; --i) request.add_args()->set_int_(Random(1000));
  return request;
}

grpc::Status Client::Call() {
  grpc::ClientContext context;
  v1::CallResponse answer;
  return interpreters_->Call(&context, RandomCall(), &answer);
}

grpc::Status Client::CallPastDeadline() {
  grpc::ClientContext context;
  SetDeadline(context, Random(30));
  v1::CallRequest request;
  request.set_name(RandomName());
  request.set_target("time:sleep");
  request.add_args()->set_float_(0.02 * Random(3));
  v1::CallResponse answer;
  const grpc::Status status = interpreters_->Call(&context, request, &answer);
  if (status.error_code() == grpc::DEADLINE_EXCEEDED) ++successes_["Call past its deadline"];
  return status;
}

grpc::Status Client::CallStream() {
  grpc::ClientContext context;
  auto stream = interpreters_->CallStream(&context);
  const bool ordered = Random(2) == 0;
  const int messages = 1 + Random(5);
  int64_t sent = 0;
  for (int i = 0; i < messages; ++i) {
    v1::CallStreamRequest request;
    if (i == 0) request.mutable_options()->set_ordered(ordered);
    for (int calls = Random(20); calls > 0; --calls) {
      v1::CallStreamRequest::Item* item = request.add_calls();
      item->set_id(sent++);
      *item->mutable_call() = RandomCall();
    }
    if (!stream->Write(request)) break;
  }
  stream->WritesDone();
  v1::CallStreamResponse response;
  int64_t answered = 0;
  while (stream->Read(&response)) {
    for (const v1::CallStreamResponse::Item& item : response.results()) {
      if (ordered && item.id() != answered) {
        context.TryCancel();
        return grpc::Status(grpc::INTERNAL, absl::StrCat("answer ", item.id(), " came in place of ", answered));
      }
      ++answered;
    }
  }
  const grpc::Status status = stream->Finish();
  if (status.ok() && answered != sent) {
    return grpc::Status(grpc::INTERNAL, absl::StrCat(answered, " answers to ", sent, " calls"));
  }
  return status;
}

grpc::Status Client::CallStreamCancelled() {
  grpc::ClientContext context;
  auto stream = interpreters_->CallStream(&context);
  v1::CallStreamRequest request;
  request.mutable_options()->set_name(RandomName());
  for (int i = 0; i < 30; ++i) {
    v1::CallStreamRequest::Item* item = request.add_calls();
    item->set_id(i);
    item->mutable_call()->set_target("time:sleep");
    item->mutable_call()->add_args()->set_float_(0.005);
  }
  stream->Write(request);
  v1::CallStreamResponse response;
  // One message of answers is sure to come, more are not.
  if (Random(2) == 0) stream->Read(&response);
  context.TryCancel();
  const grpc::Status status = stream->Finish();
  if (status.error_code() == grpc::CANCELLED) ++successes_["CallStream cancelled"];
  return status;
}

// Kills a client whose code runs, then shows that the code was ended: a call behind it gets its turn.
grpc::Status Client::DoomedClient() {
  const std::string id = absl::StrCat("doomed-", random_());
  const std::string name = absl::StrCat("interpreters/", id);
  {
    grpc::ClientContext context;
    v1::CreateRequest request;
    request.set_interpreter_id(id);
    v1::Interpreter answer;
    if (grpc::Status status = interpreters_->Create(&context, request, &answer); !status.ok()) return status;
  }
  const absl::Status killed =
      bench::KillOnceItWrites({bench::RunfilePath("tests/stress/doomed_client"), address_, name});
  if (!killed.ok()) return grpc::Status(grpc::INTERNAL, killed.ToString());
  {
    grpc::ClientContext context;
    SetDeadline(context, 20'000);
    v1::CallRequest request;
    request.set_name(name);
    request.set_target("time:time");
    v1::CallResponse answer;
    const grpc::Status status = interpreters_->Call(&context, request, &answer);
    if (!status.ok()) {
      return grpc::Status(grpc::INTERNAL, absl::StrCat("after a client's death: ", status.error_message()));
    }
  }
  grpc::ClientContext context;
  v1::CloseRequest request;
  request.set_name(name);
  v1::Interpreter answer;
  return interpreters_->Close(&context, request, &answer);
}

}  // namespace interpd::stress
