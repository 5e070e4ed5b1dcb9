// Every RPC of the API, with every role, on what is the caller's own, somebody else's, and nobody's. An RPC that is new
// needs a rule (daemon/access_rules.h) and a case here.
#include "daemon/access_rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/tls_credentials.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "interpd/v1/jobs.pb.h"
#include "proto/token_file.h"
#include "tests/daemon/test_server.h"
#include "tests/daemon/tls_files.h"

namespace interpd::daemon {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

// Every method of the services that the daemon has, as in the table of rules.
std::vector<const MethodDescriptor*> AllMethods() {
  v1::SubmitJobsRequest linked_in;  // so that the pool knows its file
  std::vector<const MethodDescriptor*> methods;
  for (const char* name : {"interpd.v1.Interpreters", "interpd.v1.Channels", "interpd.v1.Constants", "interpd.v1.Jobs",
                           "interpd.v1.Admin", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}) {
    const ServiceDescriptor* service = DescriptorPool::generated_pool()->FindServiceByName(name);
    EXPECT_NE(service, nullptr) << name;
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) methods.push_back(service->method(i));
  }
  return methods;
}

std::string PathOf(const MethodDescriptor& method) {
  return absl::StrCat(method.service()->full_name(), "/", method.name());
}

TEST(AccessRulesTest, EveryMethodHasOneRuleAndEveryRuleAMethod) {
  std::set<std::string> methods, ruled;
  for (const MethodDescriptor* method : AllMethods()) methods.insert(PathOf(*method));
  for (const AccessRule& rule : kAccessRules) {
    EXPECT_TRUE(ruled.insert(std::string(rule.method)).second) << rule.method << " has two rules";
  }
  EXPECT_EQ(methods, ruled);
}

// Services that were written since, in any file of the API, are in the list above.
TEST(AccessRulesTest, EveryServiceOfTheApiIsLookedAt) {
  std::set<std::string> looked_at;
  for (const MethodDescriptor* method : AllMethods()) looked_at.insert(method->service()->full_name());
  for (const char* file : {"admin", "channels", "constants", "interpreters", "jobs", "value", "error_reason"}) {
    const auto* descriptor =
        DescriptorPool::generated_pool()->FindFileByName(absl::StrCat("interpd/v1/", file, ".proto"));
    ASSERT_NE(descriptor, nullptr) << file;
    for (int i = 0; i < descriptor->service_count(); ++i) {
      EXPECT_TRUE(looked_at.contains(descriptor->service(i)->full_name())) << descriptor->service(i)->full_name();
    }
  }
}

enum class Kind { kNone, kInterpreter, kChannel, kConstant, kJob };

// What a client sends, about the resource of that name.
struct Case {
  Kind kind;
  std::function<std::vector<std::string>(const std::string& name)> messages;
};

template <typename Request>
std::function<std::vector<std::string>(const std::string&)> Named(std::function<void(Request&)> more = [](Request&) {
}) {
  return [more](const std::string& name) {
    Request request;
    request.set_name(name);
    more(request);
    return std::vector<std::string>{request.SerializeAsString()};
  };
}

std::function<std::vector<std::string>(const std::string&)> Just(const Message& message) {
  return [bytes = message.SerializeAsString()](const std::string&) { return std::vector<std::string>{bytes}; };
}

v1::SubmitJobsRequest FailingJob() {
  v1::SubmitJobsRequest submit;
  submit.add_jobs()->set_script("raise SystemExit(1)");
  return submit;
}

std::map<std::string, Case> Cases() {
  std::map<std::string, Case> cases;
  const std::string i = "interpd.v1.Interpreters/", c = "interpd.v1.Channels/", k = "interpd.v1.Constants/";
  cases[i + "Create"] = {Kind::kNone, Just(v1::CreateRequest())};
  cases[i + "Get"] = {Kind::kInterpreter, Named<v1::GetRequest>()};
  cases[i + "List"] = {Kind::kNone, Just(v1::ListRequest())};
  cases[i + "Exec"] = {Kind::kInterpreter, Named<v1::ExecRequest>([](auto& r) { r.set_source("1"); })};
  cases[i + "Call"] = {Kind::kInterpreter, Named<v1::CallRequest>([](auto& r) { r.set_target("os:getpid"); })};
  cases[i + "CallStream"] = {Kind::kInterpreter, [](const std::string& name) {
                               v1::CallStreamRequest request;
                               request.mutable_options()->set_name(name);
                               request.add_calls()->mutable_call()->set_target("os:getpid");
                               return std::vector<std::string>{request.SerializeAsString()};
                             }};
  cases[i + "Interrupt"] = {Kind::kInterpreter, Named<v1::InterruptRequest>()};
  cases[i + "Close"] = {Kind::kInterpreter, Named<v1::CloseRequest>()};
  cases[i + "Logs"] = {Kind::kInterpreter, Named<v1::LogsRequest>()};

  cases[c + "Create"] = {Kind::kNone, Just(v1::CreateChannelRequest())};
  cases[c + "Get"] = {Kind::kChannel, Named<v1::GetChannelRequest>()};
  cases[c + "List"] = {Kind::kNone, Just(v1::ListChannelsRequest())};
  cases[c + "Close"] = {Kind::kChannel, Named<v1::CloseChannelRequest>()};
  cases[c + "Send"] = {Kind::kChannel, Named<v1::SendRequest>([](auto& r) { r.mutable_value()->set_int_(1); })};
  cases[c + "SendMany"] = {Kind::kChannel, [](const std::string& name) {
                             v1::SendManyRequest request;
                             request.set_name(name);
                             request.mutable_values()->add_runs()->mutable_ints()->add_items(1);
                             return std::vector<std::string>{request.SerializeAsString()};
                           }};
  cases[c + "Receive"] = {Kind::kChannel, [](const std::string& name) {
                            v1::ReceiveRequest request;
                            request.mutable_options()->set_name(name);
                            request.set_credit(1);
                            return std::vector<std::string>{request.SerializeAsString()};
                          }};
  cases[c + "Attach"] = {Kind::kChannel, [](const std::string& name) {
                           v1::AttachRequest request;
                           request.mutable_options()->set_receive_from(name);
                           request.set_credit(1);
                           return std::vector<std::string>{request.SerializeAsString()};
                         }};

  cases[k + "Put"] = {Kind::kNone, [](const std::string&) {
                        v1::Value value;
                        value.set_int_(7);
                        v1::PutConstantRequest request;
                        request.set_data(value.SerializeAsString());
                        request.mutable_options()->set_name("constants/fresh");
                        request.mutable_options()->set_size_bytes(static_cast<int64_t>(request.data().size()));
                        return std::vector<std::string>{request.SerializeAsString()};
                      }};
  cases[k + "Get"] = {Kind::kConstant, Named<v1::GetConstantRequest>()};
  cases[k + "List"] = {Kind::kNone, Just(v1::ListConstantsRequest())};
  cases[k + "Delete"] = {Kind::kConstant, Named<v1::DeleteConstantRequest>()};

  const std::string j = "interpd.v1.Jobs/";
  cases[j + "Submit"] = {Kind::kNone, Just(FailingJob())};
  cases[j + "Get"] = {Kind::kJob, Named<v1::GetJobRequest>()};
  cases[j + "List"] = {Kind::kNone, Just(v1::ListJobsRequest())};
  cases[j + "Watch"] = {Kind::kJob, [](const std::string& name) {
                          v1::WatchJobsRequest request;
                          request.add_names(name);
                          return std::vector<std::string>{request.SerializeAsString()};
                        }};
  cases[j + "Logs"] = {Kind::kJob, Named<v1::JobLogsRequest>()};
  cases[j + "Results"] = {Kind::kJob, Named<v1::JobResultsRequest>()};
  cases[j + "Cancel"] = {Kind::kJob, Named<v1::CancelJobRequest>()};
  cases[j + "Retry"] = {Kind::kJob, Named<v1::RetryJobRequest>()};
  cases[j + "Delete"] = {Kind::kJob, Named<v1::DeleteJobRequest>()};

  cases["interpd.v1.Admin/GetInfo"] = {Kind::kNone, Just(v1::GetInfoRequest())};
  cases["interpd.v1.Admin/GetStats"] = {Kind::kNone, Just(v1::GetStatsRequest())};
  cases["interpd.v1.Admin/Drain"] = {Kind::kNone, Just(v1::DrainRequest())};
  cases["grpc.health.v1.Health/Check"] = {Kind::kNone, Just(grpc::health::v1::HealthCheckRequest())};
  cases["grpc.health.v1.Health/Watch"] = {Kind::kNone, Just(grpc::health::v1::HealthCheckRequest())};
  grpc::reflection::v1alpha::ServerReflectionRequest reflect;
  reflect.set_list_services("");
  cases["grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"] = {Kind::kNone, Just(reflect)};
  return cases;
}

// How a call ended, or, if it has answered before, that.
struct Outcome {
  grpc::Status status;
  std::string reason;
  std::vector<std::string> answers;  // the first

  bool operator==(const Outcome& other) const {
    return status.error_code() == other.status.error_code() && status.error_message() == other.status.error_message() &&
           status.error_details() == other.status.error_details() && reason == other.reason;
  }
  std::string Text() const {
    return absl::StrCat(static_cast<int>(status.error_code()), " ", reason, " ", status.error_message());
  }
};

class EveryRpcTest : public ServerTest {
 protected:
  // Four principals with a token each, over TLS.
  void SetUp() override {
    char directory[] = "/tmp/interpd-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    tls_.emplace(directory_);
    tls_->Make("server", "localhost");
    const std::string tokens = tls_->Path("tokens");
    for (auto [who, role] : {std::pair("vera", "viewer"), {"alice", "user"}, {"bob", "user"}, {"ada", "admin"}}) {
      tokens_[who] = MakeToken();
      ASSERT_TRUE(AddToken(tokens, {.hash = HashToken(tokens_[who]), .principal = who, .role = role}).ok());
    }
    auto certificates = TlsCertificates::Load({.cert = tls_->Path("server.pem"), .key = tls_->Path("server.key")});
    ASSERT_TRUE(certificates.ok()) << certificates.status();
    absl::StatusOr<std::unique_ptr<JobEngine>> jobs = JobEngine::Open({.directory = tls_->Path("state")});
    ASSERT_TRUE(jobs.ok()) << jobs.status();
    jobs_ = *std::move(jobs);
    ServerOptions options;
    options.jobs = jobs_.get();
    options.access.token_file = tokens;
    auto server = Server::Start(interpd::testing::Host(), interpd::testing::Channels(),
                                {{"127.0.0.1:0", (*certificates)->Credentials(ClientCertificate::kNone)}}, options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    for (const auto& [who, token] : tokens_) channels_of_[who] = Connect(token);
  }

  std::shared_ptr<grpc::Channel> Connect(const std::string& token) {
    std::shared_ptr<grpc::ChannelCredentials> tls = grpc::SslCredentials({.pem_root_certs = tls_->Read("ca.pem")});
    if (!token.empty()) tls = grpc::CompositeChannelCredentials(tls, grpc::AccessTokenCredentials(token));
    return grpc::CreateChannel(server_->addresses()[0], tls);
  }

  Outcome Call(const std::string& who, const std::string& method, const std::vector<std::string>& messages) {
    return CallOn(channels_of_.at(who), method, messages);
  }

  // Any method at all: sends the messages, and takes the first answer or the end.
  Outcome CallOn(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                 const std::vector<std::string>& messages) {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    Patience(context);
    grpc::CompletionQueue queue;
    auto next = [&queue] {
      void* tag;
      bool ok = false;
      EXPECT_TRUE(queue.Next(&tag, &ok));
      return ok;
    };
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call = stub.PrepareCall(&context, "/" + method, &queue);
    call->StartCall(nullptr);
    bool good = next();
    for (const std::string& message : messages) {
      if (!good) break;
      grpc::Slice slice(message);
      call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
      good = next();
    }
    if (good) {
      call->WritesDone(nullptr);
      next();
    }
    Outcome outcome;
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    if (next()) {
      grpc::Slice slice;
      EXPECT_TRUE(answer.DumpToSingleSlice(&slice).ok());
      outcome.answers.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
      context.TryCancel();  // it may have no end
    }
    call->Finish(&outcome.status, nullptr);
    next();
    if (outcome.answers.empty()) {
      outcome.reason = InfoOf(outcome.status).reason();
    } else {
      outcome.status = grpc::Status::OK;
    }
    queue.Shutdown();
    void* tag;
    bool ok;
    while (queue.Next(&tag, &ok)) {
    }
    if (method == "interpd.v1.Interpreters/CallStream" && !outcome.answers.empty()) {
      // Its calls fail one by one, in the answers.
      v1::CallStreamResponse response;
      EXPECT_TRUE(response.ParseFromString(outcome.answers[0]));
      if (response.results_size() > 0 && response.results(0).has_error()) {
        const v1::CallError& error = response.results(0).error();
        outcome.reason = error.reason();
        outcome.status = grpc::Status(static_cast<grpc::StatusCode>(error.code()), error.message());
      }
    }
    return outcome;
  }

  // Makes what there must be of that owner's, under the id "one"; the channel has a value. A job gets a name of its
  // own, and has failed. Returns the name.
  std::string Provide(const std::string& owner, Kind kind) {
    if (kind == Kind::kInterpreter) {
      v1::CreateRequest create;
      create.set_interpreter_id("one");
      Call(owner, "interpd.v1.Interpreters/Create", {create.SerializeAsString()});
    } else if (kind == Kind::kChannel) {
      v1::CloseChannelRequest close;  // what a case has left of it
      close.set_name("channels/one");
      close.set_discard(true);
      Call(owner, "interpd.v1.Channels/Close", {close.SerializeAsString()});
      v1::CreateChannelRequest create;
      create.set_channel_id("one");
      Call(owner, "interpd.v1.Channels/Create", {create.SerializeAsString()});
      v1::SendRequest send;
      send.set_name("channels/one");
      send.mutable_value()->set_int_(1);
      Call(owner, "interpd.v1.Channels/Send", {send.SerializeAsString()});
    } else if (kind == Kind::kConstant) {
      v1::Value value;
      value.set_int_(7);
      v1::PutConstantRequest put;
      put.set_data(value.SerializeAsString());
      put.mutable_options()->set_name("constants/one");
      put.mutable_options()->set_size_bytes(static_cast<int64_t>(put.data().size()));
      Call(owner, "interpd.v1.Constants/Put", {put.SerializeAsString()});
    } else if (kind == Kind::kJob) {
      Outcome submitted = Call(owner, "interpd.v1.Jobs/Submit", {FailingJob().SerializeAsString()});
      v1::SubmitJobsResponse response;
      EXPECT_TRUE(!submitted.answers.empty() && response.ParseFromString(submitted.answers[0])) << submitted.Text();
      v1::GetJobRequest get;
      get.set_name(response.jobs(0).name());
      v1::Job job;
      while (job.state() != v1::Job::FAILED) {
        Outcome outcome = Call(owner, "interpd.v1.Jobs/Get", {get.SerializeAsString()});
        if (outcome.answers.empty() || !job.ParseFromString(outcome.answers[0])) {
          ADD_FAILURE() << outcome.Text();
          break;
        }
      }
      return get.name();
    }
    return Collection(kind) + "one";
  }

  static std::string Collection(Kind kind) {
    if (kind == Kind::kJob) return "jobs/";
    return kind == Kind::kInterpreter ? "interpreters/" : kind == Kind::kChannel ? "channels/" : "constants/";
  }

  void TearDown() override {
    // The host is the process's: what was made goes.
    for (const char* who : {"alice", "bob", "ada"}) {
      Outcome list = Call(who, "interpd.v1.Interpreters/List", {""});
      v1::ListResponse found;
      ASSERT_TRUE(!list.answers.empty() && found.ParseFromString(list.answers[0]));
      for (const v1::Interpreter& interpreter : found.interpreters()) {
        if (absl::StrContains(interpreter.name(), "/job-")) continue;  // their engine's
        v1::CloseRequest close;
        close.set_name(interpreter.name());
        Call(who, "interpd.v1.Interpreters/Close", {close.SerializeAsString()});
      }
    }
    for (const char* who : {"alice", "bob", "ada"}) {
      v1::ListConstantsResponse found;
      found.ParseFromString(Call(who, "interpd.v1.Constants/List", {""}).answers.at(0));
      for (const v1::Constant& constant : found.constants()) {
        v1::DeleteConstantRequest request;
        request.set_name(constant.name());
        Call(who, "interpd.v1.Constants/Delete", {request.SerializeAsString()});
      }
    }
    interpd::testing::Channels().DiscardAll();
    server_.reset();  // before the jobs' engine
  }

  std::optional<TlsFiles> tls_;
  std::unique_ptr<JobEngine> jobs_;
  std::map<std::string, std::string> tokens_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_of_;
};

constexpr std::pair<const char*, Role> kWho[] = {
    {"vera", Role::kViewer}, {"alice", Role::kUser}, {"ada", Role::kAdmin}};

TEST_F(EveryRpcTest, AnswersEachRoleAsItsRuleSays) {
  const std::map<std::string, Case> cases = Cases();
  for (const MethodDescriptor* descriptor : AllMethods()) {
    const std::string method = PathOf(*descriptor);
    SCOPED_TRACE(method);
    const AccessRule* rule = nullptr;
    for (const AccessRule& candidate : kAccessRules) {
      if (candidate.method == method) rule = &candidate;
    }
    ASSERT_NE(rule, nullptr);
    auto found = cases.find(method);
    if (found == cases.end()) {
      // Not served by this build; once it is, it needs a case.
      EXPECT_EQ(Call("ada", method, {""}).status.error_code(), grpc::StatusCode::UNIMPLEMENTED)
          << "this RPC is served, and nothing says how to call it here";
      continue;
    }
    const Case& one = found->second;

    // Nobody: not for whoever has no token, or one that the daemon does not know.
    for (const std::string& token : {std::string(), MakeToken()}) {
      Outcome outcome = CallOn(Connect(token), method, one.messages(Collection(one.kind) + "one"));
      EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << outcome.Text();
      EXPECT_EQ(outcome.reason, "NOT_AUTHENTICATED");
    }

    for (auto [who, role] : kWho) {
      SCOPED_TRACE(who);
      const std::string collection = Collection(one.kind);
      std::map<std::string, std::string> names;
      if (one.kind != Kind::kNone) {
        for (const char* owner : {"alice", "bob", "ada"}) names[owner] = Provide(owner, one.kind);
      }
      // A viewer has nothing of its own; it sees the admins'.
      names["vera"] = names["ada"];
      Outcome own = Call(who, method, one.messages(names[who]));
      if (role < rule->least) {
        EXPECT_EQ(own.status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << own.Text();
        EXPECT_EQ(own.reason, "NOT_PERMITTED");
        continue;
      }
      EXPECT_TRUE(own.status.ok()) << own.Text();
      if (one.kind == Kind::kNone) continue;

      Outcome unknown = Call(who, method, one.messages(collection + "two"));
      EXPECT_EQ(unknown.status.error_code(), grpc::StatusCode::NOT_FOUND) << unknown.Text();
      if (one.kind == Kind::kJob) {
        // Names of jobs are the daemon's: one that is another's is as good as none.
        Outcome foreign = Call(who, method, one.messages(names["bob"]));
        if (role == Role::kUser) {
          EXPECT_EQ(absl::StrReplaceAll(foreign.Text(), {{names["bob"], "jobs/two"}}), unknown.Text());
        } else {
          EXPECT_TRUE(foreign.status.ok()) << foreign.Text();
        }
        continue;
      }
      Outcome nobodys = Call(who, method, one.messages(collection + "token:nobody/one"));
      Outcome foreign = Call(who, method, one.messages(collection + "token:bob/one"));
      if (role == Role::kUser) {
        // Bob's "two" is as unknown to Alice as what there is not, and his full names are no names to her.
        EXPECT_EQ(foreign.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << foreign.Text();
        const std::string as_unknown = absl::StrReplaceAll(foreign.Text(), {{"token:bob", "token:nobody"}});
        EXPECT_EQ(as_unknown, nobodys.Text());
        EXPECT_THAT(unknown.Text(), ::testing::Not(::testing::HasSubstr("bob")));
      } else {
        EXPECT_TRUE(foreign.status.ok()) << foreign.Text();
        EXPECT_EQ(nobodys.status.error_code(), grpc::StatusCode::NOT_FOUND) << nobodys.Text();
      }
    }
  }
}

TEST_F(EveryRpcTest, JobsAreListedForTheirOwners) {
  std::map<std::string, std::string> names;
  for (const char* owner : {"alice", "bob", "ada"}) names[owner] = Provide(owner, Kind::kJob);
  const auto listed = [this](const std::string& who) {
    v1::ListJobsResponse found;
    found.ParseFromString(Call(who, "interpd.v1.Jobs/List", {""}).answers.at(0));
    std::vector<std::string> names;
    for (const v1::Job& job : found.jobs()) names.push_back(absl::StrCat(job.name(), " ", job.owner()));
    return names;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(listed("alice"), ElementsAre(names["alice"] + " token:alice"));
  for (const char* who : {"vera", "ada"}) {
    EXPECT_THAT(listed(who),
                ElementsAre(names["ada"] + " ", names["bob"] + " token:bob", names["alice"] + " token:alice"));
  }
  // Nor may one come after another's.
  v1::SubmitJobsRequest submit;
  submit.add_jobs()->set_script("pass");
  submit.mutable_jobs(0)->add_after(names["bob"]);
  EXPECT_EQ(Call("alice", "interpd.v1.Jobs/Submit", {submit.SerializeAsString()}).reason, "JOB_NOT_FOUND");
}

// How many jobs others have, and what is in the daemon as a whole, is nothing for a user.
TEST_F(EveryRpcTest, AUserIsToldNothingOfOthersActivity) {
  const std::string first = Provide("alice", Kind::kJob);
  Provide("bob", Kind::kJob);
  const std::string second = Provide("alice", Kind::kJob);
  v1::ListJobsRequest request;
  request.set_page_size(1);
  v1::ListJobsResponse page;
  page.ParseFromString(Call("alice", "interpd.v1.Jobs/List", {request.SerializeAsString()}).answers.at(0));
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_EQ(page.jobs(0).name(), second);
  std::string token;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(page.next_page_token(), &token));
  EXPECT_THAT(token, ::testing::MatchesRegex("after:[0-9a-f]{32}"));
  // What the page has ended with may be deleted meanwhile.
  v1::DeleteJobRequest remove;
  remove.set_name(second);
  Call("alice", "interpd.v1.Jobs/Delete", {remove.SerializeAsString()});
  request.set_page_token(page.next_page_token());
  page.ParseFromString(Call("alice", "interpd.v1.Jobs/List", {request.SerializeAsString()}).answers.at(0));
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_EQ(page.jobs(0).name(), first);
  EXPECT_EQ(page.next_page_token(), "");
  for (const std::string after : {"2", "00000000000000000000000000000002", "one"}) {
    request.set_page_token(absl::WebSafeBase64Escape("after:" + after));
    EXPECT_EQ(Call("alice", "interpd.v1.Jobs/List", {request.SerializeAsString()}).reason, "INVALID_FIELD") << after;
  }

  const auto metrics = [this](const std::string& who) {
    v1::Stats stats;
    stats.ParseFromString(Call(who, "interpd.v1.Admin/GetStats", {""}).answers.at(0));
    std::set<std::string> names;
    for (const v1::Metric& metric : stats.metrics()) names.insert(metric.name());
    return names;
  };
  EXPECT_EQ(metrics("alice"),
            (std::set<std::string>{"interpd_build_info", "interpd_draining", "interpd_start_time_seconds"}));
  EXPECT_TRUE(metrics("vera").contains("interpd_rpcs_total"));
}

TEST_F(EveryRpcTest, ArgumentsOfJobsAreInNoList) {
  v1::SubmitJobsRequest submit = FailingJob();
  submit.mutable_jobs(0)->add_args("--secret");
  v1::SubmitJobsResponse submitted;
  submitted.ParseFromString(Call("alice", "interpd.v1.Jobs/Submit", {submit.SerializeAsString()}).answers.at(0));
  EXPECT_EQ(submitted.jobs(0).spec().args_size(), 0);
  v1::ListJobsResponse listed;
  listed.ParseFromString(Call("alice", "interpd.v1.Jobs/List", {""}).answers.at(0));
  ASSERT_EQ(listed.jobs_size(), 1);
  EXPECT_EQ(listed.jobs(0).spec().args_size(), 0);
  v1::WatchJobsRequest watch;
  watch.add_names(submitted.jobs(0).name());
  v1::WatchJobsResponse watched;
  watched.ParseFromString(Call("alice", "interpd.v1.Jobs/Watch", {watch.SerializeAsString()}).answers.at(0));
  EXPECT_EQ(watched.jobs(0).spec().args_size(), 0);
  v1::GetJobRequest get;
  get.set_name(submitted.jobs(0).name());
  const auto arguments = [&](const std::string& who) {
    v1::Job job;
    job.ParseFromString(Call(who, "interpd.v1.Jobs/Get", {get.SerializeAsString()}).answers.at(0));
    return absl::StrJoin(job.spec().args(), " ");
  };
  EXPECT_EQ(arguments("alice"), "--secret");
  EXPECT_EQ(arguments("ada"), "--secret");
  EXPECT_EQ(arguments("vera"), "");
}

TEST_F(EveryRpcTest, ListsAndNamesAreEachOwnersOwn) {
  for (Kind kind : {Kind::kInterpreter, Kind::kChannel, Kind::kConstant}) {
    for (const char* owner : {"alice", "bob", "ada"}) Provide(owner, kind);
  }
  auto names = [this](const std::string& who) {
    v1::ListResponse interpreters;
    v1::ListChannelsResponse channels;
    v1::ListConstantsResponse constants;
    std::vector<std::string> names;
    for (std::string token;;) {
      v1::ListRequest request;
      request.set_page_size(1);
      request.set_page_token(token);
      interpreters.ParseFromString(
          Call(who, "interpd.v1.Interpreters/List", {request.SerializeAsString()}).answers.at(0));
      for (const auto& one : interpreters.interpreters()) names.push_back(absl::StrCat(one.name(), " ", one.owner()));
      token = interpreters.next_page_token();
      if (token.empty()) break;
    }
    channels.ParseFromString(Call(who, "interpd.v1.Channels/List", {""}).answers.at(0));
    for (const auto& one : channels.channels()) names.push_back(absl::StrCat(one.name(), " ", one.owner()));
    constants.ParseFromString(Call(who, "interpd.v1.Constants/List", {""}).answers.at(0));
    for (const auto& one : constants.constants()) {
      if (one.state() == v1::Constant::ACTIVE) names.push_back(absl::StrCat(one.name(), " ", one.owner()));
    }
    return names;
  };
  using ::testing::UnorderedElementsAre;
  for (const std::string who : {"alice", "bob"}) {
    const std::string owner = " token:" + who;
    EXPECT_THAT(names(who),
                UnorderedElementsAre("interpreters/one" + owner, "channels/one" + owner, "constants/one" + owner));
  }
  for (const std::string who : {"vera", "ada"}) {
    EXPECT_THAT(names(who),
                UnorderedElementsAre("interpreters/one ", "interpreters/token:alice/one token:alice",
                                     "interpreters/token:bob/one token:bob", "channels/one ",
                                     "channels/token:alice/one token:alice", "channels/token:bob/one token:bob",
                                     "constants/one ", "constants/token:alice/one token:alice",
                                     "constants/token:bob/one token:bob"));
  }
}

// What hosted code opens by name is its owner's.
TEST_F(EveryRpcTest, HostedCodeIsInItsOwnersSpace) {
  for (Kind kind : {Kind::kInterpreter, Kind::kChannel, Kind::kConstant}) {
    for (const char* owner : {"alice", "bob"}) Provide(owner, kind);
  }
  auto run = [this](const std::string& who, const std::string& source) {
    v1::ExecRequest exec;
    exec.set_name("interpreters/one");
    exec.set_source(source);
    Outcome outcome = Call(who, "interpd.v1.Interpreters/Exec", {exec.SerializeAsString()});
    v1::ExecResponse response;
    EXPECT_TRUE(!outcome.answers.empty() && response.ParseFromString(outcome.answers[0])) << outcome.Text();
    return response.has_output() ? response.output().data() : response.result().exception().formatted();
  };
  EXPECT_EQ(run("alice", "import interpd; print(interpd.channel('one').recv(), interpd.channel('one').name)"),
            "1 one\n");
  EXPECT_EQ(run("alice", "import interpd; print(len(interpd.channel('one')))"), "0\n");
  EXPECT_EQ(run("bob", "import interpd; print(len(interpd.channel('one')))"), "1\n");
  EXPECT_EQ(run("bob", "import interpd; print(interpd.constants.keys())"), "['one']\n");
  for (const char* source :
       {"import interpd; interpd.channel('token:alice/one')", "import interpd; interpd.channel('/one')"}) {
    EXPECT_THAT(run("bob", source), ::testing::HasSubstr("ValueError")) << source;
  }
  EXPECT_THAT(run("bob", "import interpd; interpd.constants['token:alice/one']"), ::testing::HasSubstr("KeyError"));
}

}  // namespace
}  // namespace interpd::daemon
