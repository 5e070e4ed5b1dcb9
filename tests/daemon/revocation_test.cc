// Who a client is over TLS and over a unix socket, and what becomes of open calls when that changes.
#include <gmock/gmock.h>
#include <grpcpp/security/credentials.h>

#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/time/clock.h"
#include "daemon/audit_log.h"
#include "daemon/tls_credentials.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "proto/token_file.h"
#include "tests/daemon/test_server.h"
#include "tests/daemon/tls_files.h"

namespace interpd::daemon {
namespace {

using ::testing::HasSubstr;

// A stream that has begun, and what a client asks of it: to be read until it ends.
template <typename Stream>
struct Open {
  grpc::ClientContext context;
  std::unique_ptr<Stream> stream;

  // The status, and its reason.
  std::string End() {
    grpc::Status status = stream->Finish();
    return absl::StrCat(static_cast<int>(status.error_code()), " ", InfoOf(status).reason());
  }
};
const std::string kGone = absl::StrCat(static_cast<int>(grpc::UNAUTHENTICATED), " NOT_AUTHENTICATED");
const std::string kLess = absl::StrCat(static_cast<int>(grpc::PERMISSION_DENIED), " NOT_PERMITTED");

using Receiving = Open<grpc::ClientReaderWriter<v1::ReceiveRequest, v1::ReceiveResponse>>;

// Makes a channel "one", and waits for its values.
std::unique_ptr<Receiving> Receive(const std::shared_ptr<grpc::Channel>& connection) {
  auto channels = v1::Channels::NewStub(connection);
  {
    grpc::ClientContext context;
    Patience(context);
    v1::CreateChannelRequest request;
    request.set_channel_id("one");
    v1::Channel made;
    grpc::Status status = channels->Create(&context, request, &made);
    EXPECT_TRUE(status.ok() || InfoOf(status).reason() == "CHANNEL_EXISTS") << status.error_message();
  }
  auto open = std::make_unique<Receiving>();
  Patience(open->context);
  open->stream = channels->Receive(&open->context);
  v1::ReceiveRequest request;
  request.mutable_options()->set_name("channels/one");
  request.set_credit(1);
  EXPECT_TRUE(open->stream->Write(request));
  v1::ReceiveResponse attached;
  EXPECT_TRUE(open->stream->Read(&attached) && attached.attached()) << open->End();
  return open;
}

// Sends a value, which comes.
void ExpectItGoesOn(Receiving& receiving, const std::shared_ptr<grpc::Channel>& connection) {
  grpc::ClientContext context;
  Patience(context);
  v1::SendRequest send;
  send.set_name("channels/one");
  send.mutable_value()->set_int_(7);
  v1::SendResponse sent;
  ASSERT_TRUE(v1::Channels::NewStub(connection)->Send(&context, send, &sent).ok());
  v1::ReceiveResponse received;
  ASSERT_TRUE(receiving.stream->Read(&received));
  EXPECT_EQ(received.last_number(), 1);
}

class RevocationTest : public ServerTest {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/interpd-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
    tls_.emplace(directory_);
    tls_->Make("server", "localhost");
  }
  void TearDown() override { interpd::testing::Channels().DiscardAll(); }

  void StartTls(AccessConfig access, ClientCertificate certificate) {
    auto certificates = TlsCertificates::Load(
        {.cert = tls_->Path("server.pem"), .key = tls_->Path("server.key"), .client_ca = tls_->Path("ca.pem")});
    ASSERT_TRUE(certificates.ok()) << certificates.status();
    ServerOptions options;
    options.access = std::move(access);
    options.audit = audit_;
    options.connection_age = connection_age_;
    auto server = Server::Start(interpd::testing::Host(), interpd::testing::Channels(),
                                {{"127.0.0.1:0", (*certificates)->Credentials(certificate)}}, std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::shared_ptr<grpc::Channel> WithCertificate(const std::string& name) {
    return grpc::CreateChannel(server_->addresses()[0],
                               grpc::SslCredentials({.pem_root_certs = tls_->Read("ca.pem"),
                                                     .pem_private_key = tls_->Read(name + ".key"),
                                                     .pem_cert_chain = tls_->Read(name + ".pem")}));
  }
  std::shared_ptr<grpc::Channel> WithToken(const std::string& token) {
    return grpc::CreateChannel(
        server_->addresses()[0],
        grpc::CompositeChannelCredentials(grpc::SslCredentials({.pem_root_certs = tls_->Read("ca.pem")}),
                                          grpc::AccessTokenCredentials(token)));
  }
  std::string AddTokenOf(const std::string& principal, absl::Time expires = absl::InfiniteFuture()) {
    std::string token = MakeToken();
    EXPECT_TRUE(AddToken(tls_->Path("tokens"),
                         {.hash = HashToken(token), .principal = principal, .role = "user", .expires = expires})
                    .ok());
    return token;
  }

  std::optional<TlsFiles> tls_;
  AuditLog* audit_ = nullptr;
  absl::Duration connection_age_ = absl::Hours(1);
};

// gRPC says that the common name of a subject without one is "".
TEST_F(RevocationTest, CertificatesWithoutACommonNameAreNotOnePrincipal) {
  tls_->Make("build", "", 2, "DNS:build.example,DNS:shared.example");
  tls_->Make("deploy", "", 2, "DNS:deploy.example,DNS:shared.example");
  tls_->Make("nameless", "", 2, "");
  StartTls({.rules = {{.certificate = "*", .role = "user"}}}, ClientCertificate::kRequired);
  const auto owner = [this](const std::string& name) {
    grpc::ClientContext context;
    Patience(context);
    v1::CreateChannelRequest request;
    request.set_channel_id("one");
    v1::Channel made;
    grpc::Status status = v1::Channels::NewStub(WithCertificate(name))->Create(&context, request, &made);
    return status.ok() ? made.owner() : InfoOf(status).reason();
  };
  EXPECT_EQ(owner("build"), "cert:build.example");
  EXPECT_EQ(owner("deploy"), "cert:deploy.example");
  EXPECT_EQ(owner("nameless"), "NOT_AUTHENTICATED");
}

TEST_F(RevocationTest, StreamsOfARevokedTokenEndAndThoseOfOthersGoOn) {
  const std::string alice = AddTokenOf("alice"), bob = AddTokenOf("bob");
  const AccessConfig access = {.token_file = tls_->Path("tokens")};
  StartTls(access, ClientCertificate::kNone);
  auto hers = Receive(WithToken(alice));
  auto his = Receive(WithToken(bob));
  auto interpreters = v1::Interpreters::NewStub(WithToken(alice));
  Open<grpc::ClientReaderWriter<v1::CallStreamRequest, v1::CallStreamResponse>> calls;
  Patience(calls.context);
  calls.stream = interpreters->CallStream(&calls.context);
  // An answer says that the stream has begun.
  v1::CallStreamRequest request;
  request.add_calls()->mutable_call()->set_name("interpreters/none");
  ASSERT_TRUE(calls.stream->Write(request));
  v1::CallStreamResponse answer;
  ASSERT_TRUE(calls.stream->Read(&answer));

  ASSERT_EQ(RemoveTokens(tls_->Path("tokens"), "alice").value_or(0), 1);
  ASSERT_TRUE(server_->SetAccess(access).ok());
  EXPECT_EQ(hers->End(), kGone);
  EXPECT_EQ(calls.End(), kGone);
  // His value comes.
  ExpectItGoesOn(*his, WithToken(bob));
  his->context.TryCancel();
}

// An old connection takes no new calls, so that what it was made with is looked at again; nobody notices.
TEST_F(RevocationTest, StreamsOutliveTheAgeOfTheirConnection) {
  absl::StatusOr<std::unique_ptr<AuditLog>> log = AuditLog::Open(tls_->Path("audit"));
  ASSERT_TRUE(log.ok());
  audit_ = log->get();
  connection_age_ = absl::Milliseconds(300);
  tls_->Make("client", "client.example");
  StartTls({}, ClientCertificate::kRequired);
  std::shared_ptr<grpc::Channel> connection = WithCertificate("client");
  auto receiving = Receive(connection);
  auto channels = v1::Channels::NewStub(connection);
  std::set<std::string> peers;
  int64_t sent = 0;
  while (peers.size() < 3) {
    grpc::ClientContext context;
    Patience(context);
    v1::SendRequest send;
    send.set_name("channels/one");
    send.mutable_value()->set_int_(7);
    v1::SendResponse response;
    grpc::Status status = channels->Send(&context, send, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ++sent;
    v1::ReceiveResponse received;
    ASSERT_TRUE(receiving->stream->Read(&received));
    EXPECT_EQ(received.last_number(), sent);
    v1::ReceiveRequest more;
    more.set_credit(1);
    ASSERT_TRUE(receiving->stream->Write(more));
    (*log)->Flush(absl::InfiniteDuration());
    peers.clear();
    std::ifstream file(tls_->Path("audit"));
    for (std::string line; std::getline(file, line);) {
      const size_t peer = line.find("\"peer\"");
      peers.insert(line.substr(peer, line.find(',', peer) - peer));
    }
  }
  receiving->context.TryCancel();
  receiving->End();
  server_.reset();  // before the log
}

TEST_F(RevocationTest, AStreamEndsWhenItsTokenExpires) {
  // Times in the file are whole seconds.
  const std::string token = AddTokenOf("brief", absl::Now() + absl::Seconds(3));
  StartTls({.token_file = tls_->Path("tokens")}, ClientCertificate::kNone);
  auto receiving = Receive(WithToken(token));
  EXPECT_EQ(receiving->End(), kGone);
}

class UnixRevocationTest : public ServerTest {
 protected:
  static AccessConfig Me(const std::string& role) {
    return {.rules = {{.unix_user = absl::StrCat(geteuid()), .role = role}}};
  }
  void StartAs(const std::string& role) {
    ServerOptions options;
    options.access = Me(role);
    Start(std::move(options));
  }
  void TearDown() override { interpd::testing::Channels().DiscardAll(); }

  double InFlight() {
    const MetricsPage page = server_->Metrics();
    for (const MetricFamily& family : page.families()) {
      if (family.name == "interpd_rpcs_in_flight") return family.samples.at(0).value;
    }
    return -1;
  }
};

TEST_F(UnixRevocationTest, CallsEndWhenTheirRoleIsTooLittleOrAnother) {
  StartAs("user");
  auto as_user = Receive(channel_);
  // What changes nothing ends nothing: a value still comes.
  ASSERT_TRUE(server_->SetAccess(Me("user")).ok());
  ExpectItGoesOn(*as_user, channel_);
  ASSERT_TRUE(server_->SetAccess(Me("viewer")).ok());
  EXPECT_EQ(as_user->End(), kLess);

  // What a viewer may, and is begun by an admin, shows an admin's things.
  ASSERT_TRUE(server_->SetAccess(Me("admin")).ok());
  auto health = grpc::health::v1::Health::NewStub(channel_);
  Open<grpc::ClientReader<grpc::health::v1::HealthCheckResponse>> watch;
  Patience(watch.context);
  watch.stream = health->Watch(&watch.context, grpc::health::v1::HealthCheckRequest());
  grpc::health::v1::HealthCheckResponse serving;
  ASSERT_TRUE(watch.stream->Read(&serving));
  ASSERT_TRUE(server_->SetAccess(Me("viewer")).ok());
  grpc::Status status = watch.stream->Finish();
  EXPECT_EQ(InfoOf(status).reason(), "NOT_PERMITTED");
  EXPECT_THAT(status.error_message(), HasSubstr("is a viewer now"));
}

TEST_F(UnixRevocationTest, WhatRunsIsInterrupted) {
  StartAs("user");
  ASSERT_TRUE(Create("one").ok());
  grpc::ClientContext context;
  Patience(context);
  v1::ExecRequest request;
  request.set_name("interpreters/one");
  request.set_source(kEndless);
  auto exec = interpreters_->Exec(&context, request);
  v1::ExecResponse message;
  ASSERT_TRUE(exec->Read(&message));
  EXPECT_EQ(message.output().data(), "begun\n");
  ASSERT_TRUE(server_->SetAccess(Me("viewer")).ok());
  while (exec->Read(&message)) EXPECT_FALSE(message.has_result());
  grpc::Status status = exec->Finish();
  EXPECT_EQ(status.error_code(), grpc::PERMISSION_DENIED) << status.error_message();
  ASSERT_TRUE(server_->SetAccess(Me("user")).ok());
  EXPECT_EQ(Exec("one", "print('free')"), "free\n");
  Close("one");
}

// A message that no client takes, larger than what is sent ahead, holds the end of a call up, but not for long.
TEST_F(UnixRevocationTest, ACallWhoseClientDoesNotReadIsCutOff) {
  StartAs("user");
  auto receiving = Receive(channel_);
  v1::SendRequest send;
  send.set_name("channels/one");
  send.mutable_value()->set_bytes(std::string(48 << 20, 'x'));
  grpc::ClientContext context;
  Patience(context);
  v1::SendResponse sent;
  ASSERT_TRUE(channels_->Send(&context, send, &sent).ok());
  // Once it is not in the channel, it is on its way.
  v1::Channel channel;
  do {
    grpc::ClientContext get_context;
    Patience(get_context);
    v1::GetChannelRequest get;
    get.set_name("channels/one");
    ASSERT_TRUE(channels_->Get(&get_context, get, &channel).ok());
  } while (channel.length() > 0);
  ASSERT_TRUE(server_->SetAccess(Me("viewer")).ok());
  while (InFlight() > 0) absl::SleepFor(absl::Milliseconds(10));
  v1::ReceiveResponse half;
  EXPECT_FALSE(receiving->stream->Read(&half));
  EXPECT_EQ(receiving->stream->Finish().error_code(), grpc::CANCELLED);
}

}  // namespace
}  // namespace interpd::daemon
