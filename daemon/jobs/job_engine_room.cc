// Room in the journal: jobs that go since they are old, or since it is too big; and their rows, some each round.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "daemon/jobs/job_engine.h"

namespace interpd::daemon {
namespace {

constexpr absl::Duration kCleanUpPause = absl::Minutes(1);
constexpr int64_t kDeletedRows = 500;  // in one transaction
constexpr int64_t kFreedPages = 500;

}  // namespace

void JobEngine::CleanUp(absl::Time now) {
  if (deleting_.empty() && now < next_clean_up_) return;
  InJournal in_journal(*this);
  absl::Status cleaned = CleanUpSome(now);
  if (!cleaned.ok()) {
    LOG(WARNING) << "the journal of jobs could not be cleaned up: " << cleaned.message();
    next_clean_up_ = now + kCleanUpPause;
  } else if (!deleting_.empty()) {
    again_ = true;
  }
}

absl::Status JobEngine::CleanUpSome(absl::Time now) {
  if (!deleting_.empty()) {
    absl::StatusOr<bool> gone = false;
    absl::Status deleted = InTransaction(Journal::Sync::kNo, [&] {
      gone = journal_.DeleteSome(deleting_.back(), kDeletedRows);
      return gone.status();
    });
    if (!deleted.ok()) return deleted;
    if (*gone) deleting_.pop_back();
    return deleting_.empty() ? journal_.Shrink(kFreedPages) : absl::OkStatus();
  }
  next_clean_up_ = now + kCleanUpPause;
  absl::StatusOr<int64_t> used = journal_.UsedBytes();
  if (!used.ok()) return used.status();
  absl::StatusOr<std::optional<int64_t>> oldest = std::optional<int64_t>();
  bool too_big = *used > options_.keep_bytes;
  if (too_big) {
    oldest = OldestOfGreatestOwner();
    if (!oldest.ok()) return oldest.status();
  }
  if (!oldest->has_value()) {
    too_big = false;
    bytes_of_owners_.reset();
    oldest = journal_.OldestEnded(now - options_.keep);
    if (!oldest.ok()) return oldest.status();
  }
  if (!oldest->has_value() || jobs_.contains(**oldest)) return journal_.Shrink(kFreedPages);
  absl::StatusOr<std::optional<JobRecord>> record = journal_.FindJob(**oldest);
  if (!record.ok()) return record.status();
  LOG(INFO) << "jobs/" << (*record)->name << " is deleted: "
            << (too_big ? "the journal is over jobs.keep_bytes" : "it ended more than jobs.keep_days ago");
  (*record)->state = kDeleting;
  absl::Status updated = InTransaction(Journal::Sync::kNo, [&] { return journal_.UpdateJob(**record); });
  if (!updated.ok()) return updated;
  if (bytes_of_owners_) (*bytes_of_owners_)[(*record)->owner] -= (*record)->bytes;
  deleting_.push_back((*record)->id);
  next_clean_up_ = now;  // there may be more
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int64_t>> JobEngine::OldestOfGreatestOwner() {
  // Counted once, and then again when nothing is left to delete: to delete a job changes little.
  if (!bytes_of_owners_) {
    absl::StatusOr<std::map<std::string, int64_t>> bytes = journal_.BytesOfOwners();
    if (!bytes.ok()) return bytes.status();
    bytes_of_owners_ = *std::move(bytes);
  }
  int64_t sum = 0;
  std::vector<std::pair<int64_t, std::string_view>> owners;
  for (const auto& [owner, bytes] : *bytes_of_owners_) {
    if (bytes <= 0) continue;  // all of theirs has gone
    sum += bytes;
    owners.emplace_back(bytes, owner);
  }
  std::sort(owners.rbegin(), owners.rend());
  const int64_t mean = sum / std::max<int64_t>(1, static_cast<int64_t>(owners.size()));
  for (const auto& [bytes, owner] : owners) {
    // Those who use less than the others lose nothing because of them, even if theirs have not ended.
    if (bytes < mean) break;
    absl::StatusOr<std::optional<int64_t>> oldest =
        journal_.OldestEnded(absl::FromUnixSeconds(int64_t{1} << 40), owner);
    if (!oldest.ok() || oldest->has_value()) return oldest;
  }
  return std::optional<int64_t>();
}

}  // namespace interpd::daemon
