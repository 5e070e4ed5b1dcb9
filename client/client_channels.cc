// The methods of Client that deal with channels.
#include <grpcpp/support/sync_stream.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/client.h"
#include "client/client_impl.h"
#include "client/value_batch.h"

namespace interpd::client {
namespace {

constexpr char kCollection[] = "channels/";

// Of one message, so that it stays far below the limit of 64 MiB and the first values arrive while others are packed.
constexpr size_t kMaxBatchBytes = size_t{1} << 20;
constexpr int kMaxBatch = 4096;

}  // namespace

absl::StatusOr<v1::Channel> Client::CreateChannel(v1::CreateChannelRequest request, const RpcOptions& options) {
  return impl_->Create<v1::Channel>(*impl_->channels, &v1::Channels::Stub::Create, request, options);
}

absl::StatusOr<v1::Channel> Client::GetChannel(std::string_view name, const RpcOptions& options) {
  v1::GetChannelRequest request;
  request.set_name(ChannelResourceName(name));
  return impl_->Unary(*impl_->channels, &v1::Channels::Stub::Get, request, options);
}

absl::StatusOr<v1::ListChannelsResponse> Client::ListChannels(const v1::ListChannelsRequest& request,
                                                              const RpcOptions& options) {
  return impl_->Unary(*impl_->channels, &v1::Channels::Stub::List, request, options);
}

absl::StatusOr<std::vector<v1::Channel>> Client::ListChannels(const RpcOptions& options) {
  std::vector<v1::Channel> channels;
  v1::ListChannelsRequest request;
  request.set_page_size(1000);
  do {
    absl::StatusOr<v1::ListChannelsResponse> page = ListChannels(request, options);
    if (!page.ok()) return page.status();
    for (v1::Channel& channel : *page->mutable_channels()) channels.push_back(std::move(channel));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return channels;
}

absl::StatusOr<v1::Channel> Client::CloseChannel(v1::CloseChannelRequest request, const RpcOptions& options) {
  request.set_name(ChannelResourceName(request.name()));
  return impl_->Unary(*impl_->channels, &v1::Channels::Stub::Close, request, options);
}

absl::Status Client::Send(v1::SendRequest request, const RpcOptions& options) {
  request.set_name(ChannelResourceName(request.name()));
  return impl_->Unary(*impl_->channels, &v1::Channels::Stub::Send, request, options).status();
}

absl::Status Client::SendMany(std::string_view name, std::vector<v1::Value> values, const RpcOptions& options) {
  RpcContext context(options);
  v1::SendManyResponse response;
  std::unique_ptr<grpc::ClientWriter<v1::SendManyRequest>> writer = impl_->channels->SendMany(context.get(), &response);
  v1::SendManyRequest request;
  request.set_name(ChannelResourceName(name));
  size_t i = 0;
  do {
    size_t bytes = 0;
    for (int count = 0; i < values.size() && count < kMaxBatch && bytes < kMaxBatchBytes; ++count, ++i) {
      bytes += values[i].ByteSizeLong();
      AppendValue(std::move(values[i]), request.mutable_values());
    }
    if (!writer->Write(request)) break;  // the status says why
    request.Clear();
  } while (i < values.size());
  writer->WritesDone();
  return ToAbslStatus(writer->Finish());
}

void Client::CreateChannelAsync(v1::CreateChannelRequest request, Callback<v1::Channel> callback,
                                const RpcOptions& options) {
  if (request.request_id().empty()) request.set_request_id(MakeRequestId());
  (new AsyncUnary<v1::Channel>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->channels->PrepareAsyncCreate(context, request, impl_->poller.queue());
  });
}

void Client::GetChannelAsync(std::string_view name, Callback<v1::Channel> callback, const RpcOptions& options) {
  v1::GetChannelRequest request;
  request.set_name(ChannelResourceName(name));
  (new AsyncUnary<v1::Channel>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->channels->PrepareAsyncGet(context, request, impl_->poller.queue());
  });
}

void Client::CloseChannelAsync(v1::CloseChannelRequest request, Callback<v1::Channel> callback,
                               const RpcOptions& options) {
  request.set_name(ChannelResourceName(request.name()));
  (new AsyncUnary<v1::Channel>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->channels->PrepareAsyncClose(context, request, impl_->poller.queue());
  });
}

void Client::SendAsync(v1::SendRequest request, Callback<v1::SendResponse> callback, const RpcOptions& options) {
  request.set_name(ChannelResourceName(request.name()));
  (new AsyncUnary<v1::SendResponse>(std::move(callback), options))->Start([&](grpc::ClientContext* context) {
    return impl_->channels->PrepareAsyncSend(context, request, impl_->poller.queue());
  });
}

std::unique_ptr<ChannelStream> Client::OpenChannelStream(ChannelStreamOptions stream, const RpcOptions& options) {
  return std::make_unique<ChannelStream>(impl_->channels.get(), impl_->poller.queue(), std::move(stream), options);
}

std::string ChannelResourceName(std::string_view name_or_id) {
  return absl::StrCat(kCollection, ChannelId(name_or_id));
}

std::string_view ChannelId(std::string_view name_or_id) { return absl::StripPrefix(name_or_id, kCollection); }

}  // namespace interpd::client
