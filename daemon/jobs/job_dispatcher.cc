#include "daemon/jobs/job_dispatcher.h"

#include <algorithm>
#include <limits>

#include "absl/log/check.h"

namespace interpd::daemon {
namespace {

// Jobs that are looked at for one whose patience has run out: of ten thousand, those that come first.
constexpr int kLookedAt = 64;

}  // namespace

bool JobDispatcher::WantsSlot(const ActiveJob& job, absl::Time now) {
  const bool runs = job.record.state == v1::Job::QUEUED || job.record.state == v1::Job::RUNNING;
  const int64_t parallel = std::max(1, job.record.spec.parallel());
  if (!runs || job.not_before > now || static_cast<int64_t>(job.workers.size()) >= parallel || !job.HasTask(now)) {
    return false;
  }
  // Those that have nothing to do yet will take a task each.
  int64_t idle = 0;
  for (const auto& worker : job.workers) idle += worker->in_flight().empty() && !worker->yielding;
  return job.TaskCount() > idle;
}

void JobDispatcher::Update(ActiveJob& job, absl::Time now) {
  const bool wants = WantsSlot(job, now);
  if (wants == job.queued_pass.has_value()) return;
  if (wants) {
    job.pass = std::max(job.pass, floor_);
    job.queued_pass = job.pass;
    job.wants_slot_since = now;
    wanting_.emplace(job.pass, job.record.id);
    by_id_[job.record.id] = &job;
  } else {
    Remove(job);
  }
}

void JobDispatcher::Remove(ActiveJob& job) {
  if (!job.queued_pass) return;
  wanting_.erase({*job.queued_pass, job.record.id});
  by_id_.erase(job.record.id);
  job.queued_pass.reset();
  job.wants_slot_since = absl::InfiniteFuture();
}

void JobDispatcher::WorkerStarted(ActiveJob& job, std::shared_ptr<JobWorker> worker) {
  job.workers.push_back(std::move(worker));
  working_.insert(&job);
  ++used_;
}

void JobDispatcher::WorkerClosed(ActiveJob& job, const JobWorker& worker, absl::Time now) {
  auto found =
      std::find_if(job.workers.begin(), job.workers.end(), [&](const auto& one) { return one.get() == &worker; });
  CHECK(found != job.workers.end());
  job.workers.erase(found);
  if (job.workers.empty()) {
    working_.erase(&job);
    if (job.queued_pass) job.wants_slot_since = now;  // it has had its turn
  }
  --used_;
}

void JobDispatcher::Account(absl::Time now) {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - std::min(accounted_, now)));
  accounted_ = now;
  double least = wanting_.empty() ? std::numeric_limits<double>::infinity() : wanting_.begin()->first;
  for (ActiveJob* job : working_) {
    const double pass = job->pass + seconds * static_cast<double>(job->workers.size()) / job->weight();
    if (job->queued_pass) {
      wanting_.erase({*job->queued_pass, job->record.id});
      job->queued_pass = pass;
      wanting_.emplace(pass, job->record.id);
    }
    job->pass = pass;
    least = std::min(least, pass);
  }
  if (least != std::numeric_limits<double>::infinity()) floor_ = std::max(floor_, least);
  if (wanting_.empty() || used_ < slots_) return;

  // One interpreter for each that is far behind; those that yield already are on their way.
  auto behind = wanting_.begin();
  std::vector<ActiveJob*> ahead(working_.begin(), working_.end());
  std::sort(ahead.begin(), ahead.end(), [](const ActiveJob* a, const ActiveJob* b) { return a->pass > b->pass; });
  for (ActiveJob* job : ahead) {
    for (const auto& worker : job->workers) {
      if (worker->yielding && ++behind == wanting_.end()) return;
    }
  }
  for (ActiveJob* job : ahead) {
    for (const auto& worker : job->workers) {
      if (behind->first + absl::ToDoubleSeconds(kQuantum) / job->weight() > job->pass) return;
      if (worker->yielding || behind->second == job->record.id || !worker->MayYield(now, kQuantum)) continue;
      worker->yielding = true;
      if (++behind == wanting_.end()) return;
    }
  }
}

ActiveJob* JobDispatcher::NextForSlot(absl::Time now) {
  if (wanting_.empty()) return nullptr;
  if (used_ < slots_) return by_id_.at(wanting_.begin()->second);
  if (used_ >= 2 * slots_) return nullptr;
  int looked_at = 0;
  for (const auto& [pass, id] : wanting_) {
    if (++looked_at > kLookedAt) break;
    ActiveJob* job = by_id_.at(id);
    if (job->workers.empty() && job->wants_slot_since + kPatience <= now) return job;
  }
  return nullptr;
}

absl::Time JobDispatcher::NextTime() const {
  // Yielding is looked for whenever a task has ended; patience runs out by itself.
  const bool may_exceed = !wanting_.empty() && used_ >= slots_ && used_ < 2 * slots_;
  return may_exceed ? accounted_ + kPatience / 4 : absl::InfiniteFuture();
}

}  // namespace interpd::daemon
