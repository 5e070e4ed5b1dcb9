// Rows of constants, all of the real daemon: a mapping of a million entries beside private dicts, pickles and
// json.loads.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/value_json.h"
#include "client/client.h"
#include "tests/bench/daemon.h"
#include "tests/bench/peer.h"
#include "tests/bench/row.h"
#include "tests/bench/statistics.h"

namespace interpd::bench {
namespace {

using client::Client;

constexpr double kKilobyte = 1024;
constexpr int kReceivers = 8;

// What hosted code measures with. `keys` are strings of its own, in an order that no cache foresees; `few` of them,
// again and again, stay in a core's own cache, so that two cores share nothing but what is written.
constexpr char kHosted[] = R"(
import interpd, time

def see():
    start = time.perf_counter_ns()
    constant = interpd.constants["million"]
    return (time.perf_counter_ns() - start) / 1000

def touch():
    constant = interpd.constants["million"]
    total = 0
    for key in constant:
        total += constant[key] & 1
    return total

def prepare(entries, private):
    global keys, few, constant, own
    import random
    keys = [f"key{i:07d}" for i in random.Random(1).sample(range(entries), entries // 2)]
    few = keys[:2000] * (entries // 2000)
    constant = interpd.constants["million"]
    own = {f"key{i:07d}": i for i in range(entries)} if private else None
    return len(constant)

def read(mapping, keys):
    start = time.perf_counter_ns()
    for key in keys:
        mapping[key]
    return (time.perf_counter_ns() - start) / len(keys)

def read_constant(): return read(constant, keys)
def read_own(): return read(own, keys)
def read_few_of_constant(): return read(constant, few)
def read_few_of_own(): return read(own, few)
)";

// A daemon, a client of it, and a mapping of strings to ints as JSON text.
struct Subject {
  std::unique_ptr<ServerProcess> daemon;
  std::unique_ptr<Client> client;
  int entries = 0;
  std::string json;

  absl::StatusOr<v1::PutConstantResponse> Put(std::string_view name) const {
    absl::StatusOr<v1::Value> value = client::JsonToValue(json);
    if (!value.ok()) return value.status();
    absl::StatusOr<absl::Cord> constant = client::ConstantOf(*value);
    if (!constant.ok()) return constant.status();
    return client->PutConstant(name, *constant);
  }

  absl::Status Create(const std::string& name) const {
    v1::CreateRequest request;
    request.set_interpreter_id(name);
    request.mutable_config()->set_setup_source(kHosted);
    return client->Create(request).status();
  }

  // The number that a function returns.
  absl::StatusOr<double> Call(const std::string& name, const std::string& function,
                              std::vector<v1::Value> arguments = {}) const {
    v1::CallRequest request;
    request.set_name(name);
    request.set_target(function);
    for (v1::Value& argument : arguments) *request.add_args() = std::move(argument);
    absl::StatusOr<v1::CallResponse> answer = client->Call(std::move(request));
    if (!answer.ok()) return answer.status();
    if (answer->has_exception()) return absl::UnknownError(answer->exception().formatted());
    return answer->result().has_int_() ? static_cast<double>(answer->result().int_()) : answer->result().float_();
  }

  // `private_dict`: whether it has one, to compare with.
  absl::Status Prepare(const std::string& name, bool private_dict) const {
    std::vector<v1::Value> arguments(2);
    arguments[0].set_int_(entries);
    arguments[1].set_bool_(private_dict);
    return Call(name, "prepare", std::move(arguments)).status();
  }
};

absl::StatusOr<Subject> Start(const Options& options) {
  Subject subject;
  absl::StatusOr<std::unique_ptr<ServerProcess>> daemon = ServerProcess::Start({RunfilePath("daemon/interpd")});
  if (!daemon.ok()) return daemon.status();
  subject.daemon = *std::move(daemon);
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(subject.daemon->address());
  if (!client.ok()) return client.status();
  subject.client = *std::move(client);
  subject.entries = options.quick ? 100'000 : 1'000'000;
  subject.json = "{";
  for (int i = 0; i < subject.entries; ++i) {
    absl::StrAppendFormat(&subject.json, "%s\"key%07d\": %d", i == 0 ? "" : ", ", i, i);
  }
  subject.json += "}";
  return subject;
}

std::string Entries(const Subject& subject) { return absl::StrCat(subject.entries / 1000, "k entries"); }

absl::StatusOr<std::vector<Row>> MeasureLookUp(const Options& options) {
  absl::StatusOr<Subject> subject = Start(options);
  if (!subject.ok()) return subject.status();
  if (absl::Status s = subject->Put("million").status(); !s.ok()) return s;
  if (absl::Status s = subject->Create("one"); !s.ok()) return s;
  if (absl::Status s = subject->Prepare("one", /*private_dict=*/true); !s.ok()) return s;
  Pairs pairs;
  for (int round = -1; round < 4 * options.rounds; ++round) {
    absl::StatusOr<double> ours = subject->Call("one", "read_constant");
    if (!ours.ok()) return ours.status();
    absl::StatusOr<double> theirs = subject->Call("one", "read_own");
    if (!theirs.ok()) return theirs.status();
    if (round >= 0) pairs.Add(*ours, *theirs);  // the first computes the keys' hashes
  }
  return std::vector<Row>{{absl::StrCat("constant look-up, ", Entries(*subject)), Median(pairs.ours), "ns",
                           "a private dict", Median(pairs.peer), pairs.ratio(), "<= 1.05", pairs.ratio() <= 1.05}};
}

absl::StatusOr<std::vector<Row>> MeasureSharing(const Options& options) {
  absl::StatusOr<Subject> subject = Start(options);
  if (!subject.ok()) return subject.status();
  if (absl::Status s = subject->Put("million").status(); !s.ok()) return s;

  const std::string file = absl::StrCat("/tmp/interpd-bench-", getpid(), ".json");
  absl::Cleanup remove = [&] { std::remove(file.c_str()); };
  if (!(std::ofstream(file) << subject->json)) return absl::UnavailableError(absl::StrCat("cannot write ", file));

  // The peers first: they take so long that the daemon has given back by then what the put has left.
  const std::string count = options.quick ? "2" : absl::StrCat(kReceivers);
  std::vector<std::pair<std::string, double>> peers;
  for (const auto& [sides, peer] :
       {std::pair("interpreters", "concurrent.interpreters"), std::pair("processes", "multiprocessing, pickled")}) {
    absl::StatusOr<nlohmann::json> theirs = RunPythonPeer("constants.py", {"share", sides, file, count});
    if (!theirs.ok()) return theirs.status();
    peers.emplace_back(peer, Median((*theirs)["microseconds"].get<std::vector<double>>()));
  }

  std::vector<double> ours;
  for (int i = 0; i < kReceivers; ++i) {
    if (absl::Status s = subject->Create(absl::StrCat("i", i)); !s.ok()) return s;
    if (absl::Status s = subject->Call(absl::StrCat("i", i), "time:monotonic").status(); !s.ok()) return s;
  }
  absl::StatusOr<ProcessUse> before;
  for (int i = 0; i < kReceivers; ++i) {
    const std::string name = absl::StrCat("i", i);
    absl::StatusOr<double> microseconds = subject->Call(name, "see");
    if (!microseconds.ok()) return microseconds.status();
    ours.push_back(*microseconds);
    if (absl::StatusOr<double> touched = subject->Call(name, "touch"); !touched.ok()) return touched.status();
    // From the second on: the first has brought the constant's own pages in.
    if (i == 0) before = ReadProcessUse(subject->daemon->pid());
  }
  absl::StatusOr<ProcessUse> after = ReadProcessUse(subject->daemon->pid());
  if (!before.ok()) return before.status();
  if (!after.ok()) return after.status();
  const double kilobytes = static_cast<double>(after->rss_bytes - before->rss_bytes) / kKilobyte / (kReceivers - 1);

  std::vector<Row> rows;
  for (const auto& [peer, reference] : peers) {
    const double times = reference / Median(ours);
    rows.push_back({absl::StrCat("constant seen by one of 8, ", Entries(*subject)), Median(ours), "us", peer, reference,
                    times, ">= 100", times >= 100});
  }
  constexpr double kLimit = 64;
  rows.push_back({"constant, RSS per further interpreter", kilobytes, "KB", "limit", kLimit, kilobytes / kLimit, "< 1",
                  kilobytes < kLimit});
  return rows;
}

// The nanoseconds a look-up, the mean of so many interpreters at once.
absl::StatusOr<double> ReadAtOnce(const Subject& subject, int interpreters, const std::string& function) {
  std::vector<absl::StatusOr<double>> results(interpreters, 0.0);
  std::vector<std::thread> threads;
  for (int i = 0; i < interpreters; ++i) {
    threads.emplace_back([&, i] { results[i] = subject.Call(absl::StrCat("i", i), function); });
  }
  for (std::thread& thread : threads) thread.join();
  double sum = 0;
  for (const absl::StatusOr<double>& result : results) {
    if (!result.ok()) return result.status();
    sum += *result;
  }
  return sum / interpreters;
}

absl::StatusOr<std::vector<Row>> MeasureScaling(const Options& options) {
  absl::StatusOr<Subject> subject = Start(options);
  if (!subject.ok()) return subject.status();
  if (absl::Status s = subject->Put("million").status(); !s.ok()) return s;
  for (int i = 0; i < 2; ++i) {
    if (absl::Status s = subject->Create(absl::StrCat("i", i)); !s.ok()) return s;
    if (absl::Status s = subject->Prepare(absl::StrCat("i", i), /*private_dict=*/true); !s.ok()) return s;
  }
  Pairs gain;
  for (int round = -1; round < 4 * options.rounds; ++round) {
    double gains[2];
    for (int peer = 0; peer < 2; ++peer) {
      const std::string function = peer == 0 ? "read_few_of_constant" : "read_few_of_own";
      absl::StatusOr<double> one = ReadAtOnce(*subject, 1, function);
      if (!one.ok()) return one.status();
      absl::StatusOr<double> two = ReadAtOnce(*subject, 2, function);
      if (!two.ok()) return two.status();
      gains[peer] = 2 * *one / *two;
    }
    if (round >= 0) gain.Add(gains[0], gains[1]);
  }
  const double ours = Median(gain.ours);
  return std::vector<Row>{{"constant, 2 interpreters reading beside 1", ours, "x", "a private dict each",
                           Median(gain.peer), ours, ">= 1.95", ours >= 1.95}};
}

absl::StatusOr<std::vector<Row>> MeasurePut(const Options& options) {
  absl::StatusOr<Subject> subject = Start(options);
  if (!subject.ok()) return subject.status();
  const std::string file = absl::StrCat("/tmp/interpd-bench-", getpid(), ".json");
  absl::Cleanup remove = [&] { std::remove(file.c_str()); };
  if (!(std::ofstream(file) << subject->json)) return absl::UnavailableError(absl::StrCat("cannot write ", file));
  Pairs pairs;
  for (int round = 0; round < options.rounds; ++round) {
    const absl::Time start = absl::Now();
    if (absl::Status s = subject->Put("million").status(); !s.ok()) return s;
    const double ours = absl::ToDoubleMilliseconds(absl::Now() - start);
    absl::StatusOr<nlohmann::json> theirs = RunPythonPeer("constants.py", {"load", file});
    if (!theirs.ok()) return theirs.status();
    pairs.Add(ours, (*theirs)["seconds"].get<double>() * 1e3);
    if (absl::Status s = subject->client->DeleteConstant("million").status(); !s.ok()) return s;
  }
  return std::vector<Row>{{absl::StrCat("constant put of JSON, ", Entries(*subject)), Median(pairs.ours), "ms",
                           "json.loads", Median(pairs.peer), pairs.ratio(), "<= 1.5", pairs.ratio() <= 1.5}};
}

}  // namespace

std::vector<Measurement> ConstantMeasurements() {
  return {{"constant look-up", MeasureLookUp},
          {"constant sharing", MeasureSharing},
          {"constant scaling", MeasureScaling},
          {"constant put", MeasurePut}};
}

}  // namespace interpd::bench
