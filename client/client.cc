#include "client/client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/random.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/address.h"
#include "client/client_impl.h"

namespace interpd::client {
namespace {

constexpr char kCollection[] = "interpreters/";
constexpr int kMaxMessageBytes = 64 << 20;

// gRPC reads its target as a URI.
std::string GrpcTarget(const Address& address) {
  if (!address.is_unix) return absl::StrCat("dns:///", address.ToString());
  std::string target = "unix:";
  for (unsigned char c : address.path) {
    if (absl::ascii_isalnum(c) || absl::StrContains("/-._~", static_cast<char>(c))) {
      target += static_cast<char>(c);
    } else {
      absl::StrAppend(&target, "%", absl::Hex(c, absl::kZeroPad2));
    }
  }
  return target;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(const Address& address,
                                                                          const ConnectOptions& options) {
  if (address.is_unix) return grpc::InsecureChannelCredentials();
  if (options.insecure) {
    if (!address.is_local()) {
      return absl::InvalidArgumentError(
          absl::StrCat("insecure TCP is for this machine alone, and ", address.host, " is another; use TLS"));
    }
    return grpc::InsecureChannelCredentials();
  }
  if (options.tls_cert_file.empty() != options.tls_key_file.empty()) {
    return absl::InvalidArgumentError("a TLS certificate of ours needs its key, and a key its certificate");
  }
  std::string token;
  grpc::SslCredentialsOptions tls;
  for (auto [path, pem] :
       {std::pair(&options.tls_ca_file, &tls.pem_root_certs), std::pair(&options.tls_cert_file, &tls.pem_cert_chain),
        std::pair(&options.tls_key_file, &tls.pem_private_key), std::pair(&options.token_file, &token)}) {
    if (path->empty()) continue;
    std::ifstream file(*path);
    std::ostringstream text;
    text << file.rdbuf();
    *pem = text.str();
    if (!file || pem->empty()) return absl::InvalidArgumentError(absl::StrCat("cannot read ", *path));
  }
  absl::StripAsciiWhitespace(&token);
  if (token.empty()) return grpc::SslCredentials(tls);
  // It goes with each call as "authorization: Bearer ...", and over TLS only.
  return grpc::CompositeChannelCredentials(grpc::SslCredentials(tls), grpc::AccessTokenCredentials(token));
}

absl::Status WaitForConnection(grpc::Channel& channel, const Address& address, const ConnectOptions& options) {
  const auto deadline = absl::ToChronoTime(absl::Now() + options.timeout);
  bool timed_out = false;
  while (!timed_out) {
    grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return absl::OkStatus();
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE && !options.wait_for_daemon) break;
    timed_out = !channel.WaitForStateChange(state, deadline);
  }
  std::string why;
  if (address.is_unix) why = ExplainUnixFailure(address.path);
  if (why.empty() && timed_out) {
    why = absl::StrCat("no answer within ", absl::FormatDuration(options.timeout));
  } else if (why.empty()) {
    why = address.is_unix    ? "what listens there broke the connection off"
          : options.insecure ? "nobody listens there, or it wants TLS"
                             : "nobody listens there, or one side does not trust the other's TLS certificate";
  }
  return absl::UnavailableError(absl::StrCat("cannot connect to ", address.ToString(), ": ", why));
}

}  // namespace

std::string MakeRequestId() {
  std::string bytes(16, '\0');
  CHECK_EQ(getrandom(bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return absl::BytesToHexString(bytes);
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(std::string_view address_text, const ConnectOptions& options) {
  absl::StatusOr<Address> address = ParseAddress(address_text);
  if (!address.ok()) return address.status();
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = MakeCredentials(*address, options);
  if (!credentials.ok()) return credentials.status();

  grpc::ChannelArguments arguments;
  // gRPC's own retries cost a third of the time of a call; Create repeats itself by its request_id.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Otherwise clients of one process would share a connection, and one flooded stream would hold up the others.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);

  auto impl = std::make_unique<Impl>();
  impl->channel = grpc::CreateCustomChannel(GrpcTarget(*address), *credentials, arguments);
  absl::Status connected = WaitForConnection(*impl->channel, *address, options);
  if (!connected.ok()) return connected;
  impl->interpreters = v1::Interpreters::NewStub(impl->channel);
  impl->channels = v1::Channels::NewStub(impl->channel);
  impl->constants = v1::Constants::NewStub(impl->channel);
  impl->jobs = v1::Jobs::NewStub(impl->channel);
  impl->admin = v1::Admin::NewStub(impl->channel);
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

absl::StatusOr<v1::Interpreter> Client::Create(v1::CreateRequest request, const RpcOptions& options) {
  return impl_->Create<v1::Interpreter>(*impl_->interpreters, &v1::Interpreters::Stub::Create, request, options);
}

absl::StatusOr<v1::Interpreter> Client::Get(std::string_view name, const RpcOptions& options) {
  v1::GetRequest request;
  request.set_name(ResourceName(name));
  return impl_->Unary(*impl_->interpreters, &v1::Interpreters::Stub::Get, request, options);
}

absl::StatusOr<v1::ListResponse> Client::List(const v1::ListRequest& request, const RpcOptions& options) {
  return impl_->Unary(*impl_->interpreters, &v1::Interpreters::Stub::List, request, options);
}

absl::StatusOr<std::vector<v1::Interpreter>> Client::List(const RpcOptions& options) {
  std::vector<v1::Interpreter> interpreters;
  v1::ListRequest request;
  request.set_page_size(1000);
  do {
    absl::StatusOr<v1::ListResponse> page = List(request, options);
    if (!page.ok()) return page.status();
    for (v1::Interpreter& interpreter : *page->mutable_interpreters()) interpreters.push_back(std::move(interpreter));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return interpreters;
}

absl::StatusOr<v1::CallResponse> Client::Call(v1::CallRequest request, const RpcOptions& options) {
  QualifyName(request);
  return impl_->Unary(*impl_->interpreters, &v1::Interpreters::Stub::Call, request, options);
}

absl::StatusOr<v1::InterruptResponse> Client::Interrupt(std::string_view name, const RpcOptions& options) {
  v1::InterruptRequest request;
  request.set_name(ResourceName(name));
  return impl_->Unary(*impl_->interpreters, &v1::Interpreters::Stub::Interrupt, request, options);
}

absl::StatusOr<v1::Interpreter> Client::Close(v1::CloseRequest request, const RpcOptions& options) {
  QualifyName(request);
  return impl_->Unary(*impl_->interpreters, &v1::Interpreters::Stub::Close, request, options);
}

absl::StatusOr<v1::Stats> Client::GetStats(const RpcOptions& options) {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::GetStats, v1::GetStatsRequest(), options);
}
absl::StatusOr<v1::Info> Client::GetInfo(const RpcOptions& options) {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::GetInfo, v1::GetInfoRequest(), options);
}

absl::StatusOr<v1::DrainResponse> Client::Drain(const v1::DrainRequest& request, const RpcOptions& options) {
  return impl_->Unary(*impl_->admin, &v1::Admin::Stub::Drain, request, options);
}

absl::StatusOr<v1::ExecResult> Client::Exec(v1::ExecRequest request, std::function<void(const v1::Output&)> on_output,
                                            const RpcOptions& options) {
  QualifyName(request);
  RpcContext context(options);
  std::unique_ptr<grpc::ClientReader<v1::ExecResponse>> reader = impl_->interpreters->Exec(context.get(), request);
  v1::ExecResponse response;
  v1::ExecResult result;
  while (reader->Read(&response)) {
    if (response.has_output()) on_output(response.output());
    if (response.has_result()) result = std::move(*response.mutable_result());
  }
  grpc::Status status = reader->Finish();
  if (!status.ok()) return ToAbslStatus(status);
  return result;
}

absl::Status Client::Logs(v1::LogsRequest request, std::function<void(const v1::LogsResponse&)> on_entry,
                          const RpcOptions& options) {
  QualifyName(request);
  RpcContext context(options);
  std::unique_ptr<grpc::ClientReader<v1::LogsResponse>> reader = impl_->interpreters->Logs(context.get(), request);
  v1::LogsResponse response;
  while (reader->Read(&response)) on_entry(response);
  return ToAbslStatus(reader->Finish());
}

void Client::CreateAsync(v1::CreateRequest request, Callback<v1::Interpreter> callback, const RpcOptions& options) {
  if (request.request_id().empty()) request.set_request_id(MakeRequestId());
  (new AsyncUnary<v1::Interpreter>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->interpreters->PrepareAsyncCreate(context, request, impl_->poller.queue());
  });
}

void Client::GetAsync(std::string_view name, Callback<v1::Interpreter> callback, const RpcOptions& options) {
  v1::GetRequest request;
  request.set_name(ResourceName(name));
  (new AsyncUnary<v1::Interpreter>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->interpreters->PrepareAsyncGet(context, request, impl_->poller.queue());
  });
}

void Client::CallAsync(v1::CallRequest request, Callback<v1::CallResponse> callback, const RpcOptions& options) {
  QualifyName(request);
  (new AsyncUnary<v1::CallResponse>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->interpreters->PrepareAsyncCall(context, request, impl_->poller.queue());
  });
}

void Client::InterruptAsync(std::string_view name, Callback<v1::InterruptResponse> callback,
                            const RpcOptions& options) {
  v1::InterruptRequest request;
  request.set_name(ResourceName(name));
  (new AsyncUnary<v1::InterruptResponse>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->interpreters->PrepareAsyncInterrupt(context, request, impl_->poller.queue());
  });
}

void Client::CloseAsync(v1::CloseRequest request, Callback<v1::Interpreter> callback, const RpcOptions& options) {
  QualifyName(request);
  (new AsyncUnary<v1::Interpreter>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->interpreters->PrepareAsyncClose(context, request, impl_->poller.queue());
  });
}

void Client::ExecAsync(v1::ExecRequest request, std::function<void(const v1::Output&)> on_output,
                       Callback<v1::ExecResult> callback, const RpcOptions& options) {
  QualifyName(request);
  auto result = std::make_shared<v1::ExecResult>();
  auto on_message = [on_output = std::move(on_output), result](v1::ExecResponse& response) {
    if (response.has_output()) on_output(response.output());
    if (response.has_result()) *result = std::move(*response.mutable_result());
  };
  auto on_end = [callback = std::move(callback), result](absl::Status status) mutable {
    if (status.ok()) {
      callback(std::move(*result));
    } else {
      callback(std::move(status));
    }
  };
  (new AsyncStream<v1::ExecResponse>(std::move(on_message), std::move(on_end), options))
      ->Start([&](grpc::ClientContext* context) {
        return impl_->interpreters->PrepareAsyncExec(context, request, impl_->poller.queue());
      });
}

void Client::LogsAsync(v1::LogsRequest request, std::function<void(const v1::LogsResponse&)> on_entry,
                       absl::AnyInvocable<void(absl::Status)> on_end, const RpcOptions& options) {
  QualifyName(request);
  (new AsyncStream<v1::LogsResponse>(std::move(on_entry), std::move(on_end), options))
      ->Start([&](grpc::ClientContext* context) {
        return impl_->interpreters->PrepareAsyncLogs(context, request, impl_->poller.queue());
      });
}

bool Client::WaitUntilConnected(absl::Time deadline) {
  return impl_->channel->WaitForConnected(absl::ToChronoTime(deadline));
}

std::unique_ptr<CallPipeline> Client::OpenPipeline(PipelineOptions pipeline, const RpcOptions& options) {
  return std::make_unique<CallPipeline>(impl_->interpreters.get(), impl_->poller.queue(), std::move(pipeline), options);
}

std::string ResourceName(std::string_view name_or_id) { return absl::StrCat(kCollection, ResourceId(name_or_id)); }

std::string_view ResourceId(std::string_view name_or_id) { return absl::StripPrefix(name_or_id, kCollection); }

}  // namespace interpd::client
