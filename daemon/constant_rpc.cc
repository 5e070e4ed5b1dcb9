#include "daemon/constant_rpc.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "daemon/constant_proto.h"

namespace interpd::daemon {
namespace {

// Content that puts under way may hold, beside one of the greatest size; no more than another such.
constexpr int64_t kSpareBytes = int64_t{256} << 20;

// What has to come of a content for as long as its put is patient (ServerOptions).
constexpr size_t kLeastProgress = 64 << 10;

absl::Status ContentTooLarge(int64_t bytes, int64_t limit) {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::CONSTANT_TOO_LARGE,
                   absl::StrCat("the constant has ", bytes, " bytes on its way here, over the limit of ", limit,
                                "; start the daemon with a larger --max-constant-bytes"),
                   {{"bytes", absl::StrCat(bytes)}, {"limit", absl::StrCat(limit)}});
}

// How much there is of others' is nothing for a user.
absl::Status TooManyPuts(const Principal& principal, int64_t bytes, int64_t limit) {
  if (principal.role == Role::kUser) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::TOO_MANY_PUTS,
                     absl::StrCat("puts under way hold the ", limit, " bytes that they may; try again later"),
                     {{"limit", absl::StrCat(limit)}});
  }
  return MakeError(absl::StatusCode::kResourceExhausted, v1::TOO_MANY_PUTS,
                   absl::StrCat("puts under way hold ", bytes, " bytes of ", limit, " that they may; try again later"),
                   {{"bytes", absl::StrCat(bytes)}, {"limit", absl::StrCat(limit)}});
}

}  // namespace

PutConstantRpc::~PutConstantRpc() { state_.put_bytes -= held_bytes_; }

void PutConstantRpc::Listen(void* tag) {
  service_.RequestPut(&context_, &stream_, state_.loop.queue(), state_.loop.queue(), tag);
}

void PutConstantRpc::OnAccepted() {
  if (state_.draining) return Fail(ServerDraining());
  state_.open_streams.insert(this);
  BePatient();
  Read();
}

void PutConstantRpc::BePatient() {
  alarm_.Set(state_.loop.queue(), absl::ToChronoTime(absl::Now() + state_.options.put_patience), waited_.Begin());
}

void PutConstantRpc::Waited(bool ok) {
  if (!ok || finished() || putting_) return;
  if (content_.size() - size_before_ < kLeastProgress) {
    return FailEarly(MakeError(absl::StatusCode::kDeadlineExceeded, v1::CANCELLED_BY_CLIENT,
                               absl::StrCat("less than ", kLeastProgress, " bytes of the constant have come in ",
                                            absl::FormatDuration(state_.options.put_patience))));
  }
  size_before_ = content_.size();
  BePatient();
}

void PutConstantRpc::FailEarly(const absl::Status& status) {
  alarm_.Cancel();
  Fail(status);
}

void PutConstantRpc::OnRead(bool ok) {
  if (finished() || putting_) return;
  if (!ok) {
    if (id_.empty()) return FailEarly(InvalidField("options", "are missing: there was no message"));
    if (content_.size() == content_.capacity()) return Put();
    return FailEarly(InvalidField("data", absl::StrCat("has ", content_.size(), " bytes, not the ", content_.capacity(),
                                                       " that `size_bytes` says")));
  }
  v1::PutConstantRequest request;
  absl::Status taken = Parse(request_bytes_, &request);
  if (taken.ok()) taken = Take(request);
  if (!taken.ok()) return FailEarly(taken);
  Read();
}

absl::Status PutConstantRpc::Take(const v1::PutConstantRequest& request) {
  if (request.has_options()) {
    if (!id_.empty()) return InvalidField("options", "may be set in the first message only");
    absl::Status begun = Begin(request.options());
    if (!begun.ok()) return begun;
  } else if (id_.empty()) {
    return InvalidField("options", "are missing from the first message");
  }
  if (request.data().size() > content_.capacity() - content_.size()) {
    return InvalidField("data",
                        absl::StrCat("has more than the ", content_.capacity(), " bytes that `size_bytes` says"));
  }
  // Counted as it comes: what is only said to come holds no memory.
  const int64_t bytes = static_cast<int64_t>(request.data().size());
  const int64_t limit = state_.options.max_constant_bytes;
  const int64_t all_limit = limit + std::min(limit, kSpareBytes);
  if (bytes > all_limit - state_.put_bytes) return TooManyPuts(principal(), state_.put_bytes, all_limit);
  held_bytes_ += bytes;
  state_.put_bytes += bytes;
  content_.Append(request.data());
  return absl::OkStatus();
}

absl::Status PutConstantRpc::Begin(const v1::PutConstantRequest::Options& options) {
  absl::StatusOr<std::string> id = ParseConstantName(principal(), options.name(), "options.name");
  if (!id.ok()) return id.status();
  if (options.size_bytes() <= 0) return InvalidField("options.size_bytes", "must be above 0");
  if (options.persist() && !state_.constants.can_persist()) {
    return InvalidField("options.persist",
                        "needs a directory for constants; start the daemon with --constants-dir DIR");
  }
  if (options.persist() && !principal().space.empty()) {
    return MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_PERMITTED,
                     "only an admin's constants persist; put it without options.persist",
                     {{"method", rule().method}, {"role", RoleName(principal().role)}});
  }
  const int64_t limit = state_.options.max_constant_bytes;
  if (options.size_bytes() > limit) return ContentTooLarge(options.size_bytes(), limit);
  ConstantContent content(static_cast<size_t>(options.size_bytes()));
  if (content.capacity() == 0) return TooManyPuts(principal(), state_.put_bytes, limit);
  content_ = std::move(content);
  id_ = *id;
  persist_ = options.persist() ? Persist::kYes : Persist::kNo;
  return absl::OkStatus();
}

void PutConstantRpc::Put() {
  putting_ = true;
  alarm_.Cancel();
  Ref();  // until the answer
  state_.put_threads.Submit([this] {
    absl::StatusOr<interp::PublishResult> result = state_.constants.Put(id_, std::move(content_), persist_, give_up_);
    state_.loop.Post([this, result = std::move(result)] {
      if (result.ok()) {
        v1::PutConstantResponse response;
        EncodeConstant(principal(), result->info, state_.constants, response.mutable_constant());
        response.set_unchanged(!result->is_new);
        Reply(response);
      } else {
        Fail(give_up_ && absl::IsCancelled(result.status()) ? ended_ : result.status());
      }
      state_.options.on_interpreter_closed();  // memory may go back
      Unref();
    });
  });
}

void PutConstantRpc::End(const absl::Status& status) {
  if (finished()) return;
  if (!putting_) return FailEarly(status);
  if (!give_up_.exchange(true)) ended_ = status;
}

void DeleteConstantRpc::Listen(void* tag) {
  service_.RequestDelete(&context_, &request_bytes_, &responder_, state_.loop.queue(), state_.loop.queue(), tag);
}

void DeleteConstantRpc::Handle(v1::DeleteConstantRequest& request) {
  if (state_.draining) return Fail(ServerDraining());
  absl::StatusOr<std::string> id = ParseConstantName(principal(), request.name());
  if (!id.ok()) return Fail(id.status());
  Ref();  // until the answer
  state_.file_thread.Submit([this, id = *std::move(id)] {
    absl::StatusOr<interp::ConstantInfo> deleted = state_.constants.Delete(id);
    state_.loop.Post([this, deleted = std::move(deleted)] {
      if (deleted.ok()) {
        v1::Constant answer;
        EncodeConstant(principal(), *deleted, state_.constants, &answer);
        Reply(answer);
      } else {
        Fail(deleted.status());
      }
      Unref();
    });
  });
}

}  // namespace interpd::daemon
