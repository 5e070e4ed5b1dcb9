#include "daemon/jobs/active_job.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/proto_time.h"
#include "daemon/value_batch.h"

namespace interpd::daemon {
namespace {

// Tasks that wait for another attempt, in memory. While there are more, none is begun for the first time.
constexpr size_t kMaxPending = 10'000;
constexpr int64_t kScanRows = 1'000;

constexpr absl::Duration kLongestBackoff = absl::Hours(1);

}  // namespace

bool ActiveJob::HasTask(absl::Time now) const {
  if (scan_from_ && pending_.size() < kMaxPending / 2) return true;
  if (!pending_.empty() && pending_.top().due_time <= now) return true;
  return record.next_index < record.task_count && pending_.size() < kMaxPending;
}

absl::Time ActiveJob::NextTaskTime() const {
  if ((scan_from_ && pending_.size() < kMaxPending / 2) ||
      (record.next_index < record.task_count && pending_.size() < kMaxPending)) {
    return absl::InfinitePast();
  }
  return pending_.empty() ? absl::InfiniteFuture() : pending_.top().due_time;
}

int64_t ActiveJob::TaskCount() const {
  if (scan_from_) return record.task_count;
  return record.task_count - record.next_index + static_cast<int64_t>(pending_.size());
}

absl::Status ActiveJob::Scan(Journal& journal) {
  while (scan_from_ && pending_.size() < kMaxPending) {
    absl::StatusOr<std::vector<TaskRecord>> tasks =
        journal.UnfinishedTasks(record.id, *scan_from_, scan_end_, kScanRows);
    if (!tasks.ok()) return tasks.status();
    for (TaskRecord& task : *tasks) {
      scan_from_ = task.index;
      task.outcome.clear();
      pending_.push(std::move(task));
    }
    if (static_cast<int64_t>(tasks->size()) < kScanRows) scan_from_.reset();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TaskRecord>> ActiveJob::TakeTask(absl::Time now, Journal& journal) {
  if (scan_from_ && pending_.size() < kMaxPending / 2) {
    absl::Status scanned = Scan(journal);
    if (!scanned.ok()) return scanned;
  }
  std::optional<TaskRecord> task;
  if (!pending_.empty() && pending_.top().due_time <= now) {
    task = pending_.top();
    pending_.pop();
  } else if (record.next_index < record.task_count && pending_.size() < kMaxPending) {
    task.emplace();
    task->job = record.id;
    task->index = record.next_index++;
  } else {
    return std::nullopt;
  }
  task->state = v1::Task::RUNNING;
  ++task->attempt;
  ++running;
  return task;
}

void ActiveJob::PutBack(const TaskRecord& task) {
  --running;
  TaskRecord kept = task;
  kept.outcome.clear();
  pending_.push(std::move(kept));
}

absl::StatusOr<channels::Value> ActiveJob::Item(int64_t index, Journal& journal, ChannelNames& names) {
  if (record.spec.has_range()) return channels::Value::Int(record.spec.range().begin() + index);
  const int64_t place = index - first_input_;
  const bool known = place >= 0 && place < static_cast<int64_t>(inputs_.size());
  // One that could not be had may be there now: the channel that it names, for another attempt.
  if (!known || !inputs_[static_cast<size_t>(place)].ok()) {
    absl::StatusOr<Journal::Input> found = journal.FindInput(record.input_of, index);
    if (!found.ok()) return found.status();
    v1::ValueBatch batch;
    inputs_.clear();
    first_input_ = found->first_index;
    if (!batch.ParseFromString(found->batch)) {
      return MakeError(absl::StatusCode::kInternal, v1::INTERNAL_ERROR, "the journal's inputs are damaged");
    }
    absl::Status decoded = DecodeEach(batch, names, &inputs_);
    if (!decoded.ok()) return decoded;
  }
  const int64_t offset = index - first_input_;
  if (offset >= static_cast<int64_t>(inputs_.size())) {
    return MakeError(absl::StatusCode::kInternal, v1::INTERNAL_ERROR, absl::StrCat("the journal has no input ", index));
  }
  absl::StatusOr<channels::Value>& input = inputs_[static_cast<size_t>(offset)];
  if (!input.ok()) return input.status();
  return input->Share();
}

void ActiveJob::Forget() {
  pending_ = {};
  scan_from_.reset();
  inputs_.clear();
  inputs_.shrink_to_fit();
  context.reset();
  waiting_for.clear();
}

absl::Duration ActiveJob::BackoffAfter(int failures) const {
  absl::Duration backoff = DecodeDuration(record.spec.backoff());
  for (int i = 1; i < failures && backoff < kLongestBackoff; ++i) backoff *= 2;
  return std::min(backoff, kLongestBackoff);
}

double ActiveJob::weight() const { return std::exp2(record.spec.priority() / 10.0); }

}  // namespace interpd::daemon
