#include "daemon/constant_store.h"

#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "channels/error.h"
#include "channels/value.h"
#include "daemon/constant_value.h"
#include "daemon/errors.h"

namespace interpd::daemon {
namespace {

absl::Status NotPersisted(std::string_view id, std::string_view file, const absl::Status& why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::CONSTANT_NOT_PERSISTED,
                   absl::StrCat("constants/", id, " stays as it was: ", why.message()),
                   {{"constant", id}, {"file", file}});
}

// The system's own "no memory" in the words of the contract.
absl::Status Explained(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status) || !channels::GetErrorInfo(status).reason.empty()) return status;
  return MakeError(status.code(), v1::CONSTANT_TOO_LARGE, status.message());
}

}  // namespace

void ConstantContent::Append(std::string_view piece) {
  CHECK_LE(piece.size(), capacity_ - size_);
  if (!piece.empty()) std::memcpy(bytes_.get() + size_, piece.data(), piece.size());
  size_ += piece.size();
}

absl::Status ConstantStore::Load(absl::FunctionRef<bool(std::string_view id)> next) {
  if (files_ == nullptr) return absl::OkStatus();
  absl::StatusOr<std::vector<std::string>> ids = files_->List();
  if (!ids.ok()) return ids.status();
  for (const std::string& id : *ids) {
    if (!next(id)) return absl::CancelledError("not all constants were read");
    const absl::Time start = absl::Now();
    const auto named = [&](const absl::Status& status) {
      return absl::Status(status.code(), absl::StrCat(files_->PathOf(id), ": ", status.message()));
    };
    absl::StatusOr<std::string> content = files_->Read(id);
    if (!content.ok()) return content.status();
    absl::StatusOr<channels::Value> value = DecodeConstantValue(*content, "value");
    if (!value.ok()) return named(value.status());
    content->clear();
    content->shrink_to_fit();
    absl::StatusOr<channels::Ref<interp::Constant>> built = pool_.Build(*value, {});
    if (!built.ok()) return named(built.status());
    {
      absl::MutexLock lock(mutex_);
      digests_[id] = (*built)->facts().digest;
    }
    absl::StatusOr<interp::PublishResult> published = pool_.Publish(id, *std::move(built));
    if (!published.ok()) return named(published.status());
    LOG(INFO) << "constants/" << id << " is back: " << published->info.facts.object_count << " objects, "
              << published->info.facts.byte_count << " bytes, in " << absl::Now() - start;
  }
  return absl::OkStatus();
}

absl::StatusOr<interp::PublishResult> ConstantStore::Put(std::string_view id, ConstantContent content, Persist persist,
                                                         const std::atomic<bool>& cancelled) {
  if (cancelled) return CancelledByClient();
  channels::Ref<interp::Constant> constant;
  {
    absl::StatusOr<channels::Value> value = DecodeConstantValue(content.bytes(), "data");
    if (!value.ok()) return value.status();
    if (persist == Persist::kNo) content = {};
    absl::StatusOr<channels::Ref<interp::Constant>> built =
        pool_.Build(*value, {.progress = [&cancelled](double) { return !cancelled; }});
    if (!built.ok()) return Explained(built.status());
    constant = *std::move(built);
  }
  if (persist == Persist::kNo) {
    absl::MutexLock lock(commit_);
    return pool_.Publish(id, std::move(constant));
  }
  const std::string digest = constant->facts().digest;
  std::string aside;
  absl::Cleanup drop = [&] {
    if (!aside.empty()) files_->Drop(aside);
  };
  const auto write_aside = [&] {
    absl::StatusOr<std::string> written = files_->WriteAside(id, content.bytes());
    if (written.ok()) aside = *std::move(written);
    return written.status();
  };
  const auto failed = [&](const absl::Status& why) { return NotPersisted(id, files_->PathOf(id), why); };
  // The long part of writing holds up no other name.
  if (!IsPersistent(id, digest)) {
    if (absl::Status written = write_aside(); !written.ok()) return failed(written);
  }
  if (cancelled) return CancelledByClient();
  absl::MutexLock lock(commit_);
  if (!IsPersistent(id, digest)) {
    if (aside.empty()) {  // somebody has replaced the file meanwhile
      if (absl::Status written = write_aside(); !written.ok()) return failed(written);
    }
    if (absl::Status committed = files_->Commit(aside, id); !committed.ok()) return failed(committed);
    aside.clear();
    absl::MutexLock digests_lock(mutex_);
    digests_[id] = digest;
  }
  return pool_.Publish(id, std::move(constant));
}

absl::StatusOr<interp::ConstantInfo> ConstantStore::Delete(std::string_view id) {
  absl::MutexLock lock(commit_);
  absl::StatusOr<interp::ConstantInfo> found = pool_.Get(id);
  if (!found.ok()) return found.status();
  if (files_ != nullptr) {
    absl::Status removed = files_->Remove(id);
    if (!removed.ok()) return NotPersisted(id, files_->PathOf(id), removed);
    absl::MutexLock digests_lock(mutex_);
    digests_.erase(id);
  }
  if (absl::Status deleted = pool_.Delete(id); !deleted.ok()) return deleted;
  found->deleted = true;
  return found;
}

bool ConstantStore::IsPersistent(std::string_view id, std::string_view digest) const {
  absl::MutexLock lock(mutex_);
  auto found = digests_.find(id);
  return found != digests_.end() && found->second == digest;
}

}  // namespace interpd::daemon
