#include "daemon/jobs/job_dispatcher.h"

#include <algorithm>
#include <limits>

#include "absl/log/check.h"

namespace interpd::daemon {
namespace {

// Jobs of an owner that are looked at for one whose patience has run out: of ten thousand, those that come first.
constexpr int kLookedAt = 64;

// Slot-seconds that an owner pays for, at most: it may have used slots that nobody else wanted, or that a clock that
// was set has added.
constexpr double kMostAhead = 30;

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
  if (!wants) return Remove(job);
  Owner& owner = OwnerOf(job);
  if (!busy_.contains(&owner)) owner.pass = std::clamp(owner.pass, floor_, floor_ + kMostAhead);
  job.pass = std::max(job.pass, owner.floor);
  job.queued_pass = job.pass;
  job.wants_slot_since = now;
  owner.wanting.emplace(job.pass, job.record.id);
  by_id_[job.record.id] = &job;
  Changed(owner, now);
}

void JobDispatcher::Remove(ActiveJob& job) {
  if (!job.queued_pass) return;
  Owner& owner = OwnerOf(job);
  owner.wanting.erase({*job.queued_pass, job.record.id});
  by_id_.erase(job.record.id);
  job.queued_pass.reset();
  job.wants_slot_since = absl::InfiniteFuture();
  Changed(owner, accounted_);
}

void JobDispatcher::Changed(Owner& owner, absl::Time now) {
  if (owner.wanting.empty() || owner.slots > 0) {
    owner.none_since = absl::InfiniteFuture();
  } else {
    owner.none_since = std::min(owner.none_since, now);
  }
  if (owner.wanting.empty() && owner.slots == 0) {
    busy_.erase(&owner);
  } else {
    busy_.insert(&owner);
  }
}

void JobDispatcher::WorkerStarted(ActiveJob& job, std::shared_ptr<JobWorker> worker) {
  job.workers.push_back(std::move(worker));
  working_.insert(&job);
  ++used_;
  Owner& owner = OwnerOf(job);
  ++owner.slots;
  Changed(owner, accounted_);
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
  Owner& owner = OwnerOf(job);
  --owner.slots;
  Changed(owner, now);
}

void JobDispatcher::Account(absl::Time now) {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - std::min(accounted_, now)));
  accounted_ = now;
  for (Owner* owner : busy_) {
    owner->pass += seconds * static_cast<double>(owner->slots);
    owner->staying = 0;
    owner->working.clear();
  }
  for (ActiveJob* job : working_) {
    Owner& owner = OwnerOf(*job);
    const double pass = job->pass + seconds * static_cast<double>(job->workers.size()) / job->weight();
    if (job->queued_pass) {
      owner.wanting.erase({*job->queued_pass, job->record.id});
      job->queued_pass = pass;
      owner.wanting.emplace(pass, job->record.id);
    }
    job->pass = pass;
    owner.working.push_back(job);
    owner.staying += std::count_if(job->workers.begin(), job->workers.end(), [](auto& one) { return !one->yielding; });
  }
  double least_owner = std::numeric_limits<double>::infinity();
  for (Owner* owner : busy_) {
    std::sort(owner->working.begin(), owner->working.end(),
              [](const ActiveJob* a, const ActiveJob* b) { return a->pass > b->pass; });
    double least = std::numeric_limits<double>::infinity();
    if (!owner->working.empty()) least = owner->working.back()->pass;
    if (!owner->wanting.empty()) least = std::min(least, owner->wanting.begin()->first);
    if (least != std::numeric_limits<double>::infinity()) owner->floor = std::max(owner->floor, least);
    least_owner = std::min(least_owner, owner->pass);
  }
  if (!busy_.empty()) floor_ = std::max(floor_, least_owner);
  for (Owner* owner : busy_) owner->pass = std::min(owner->pass, floor_ + kMostAhead);
  if (by_id_.empty() || used_ < slots_) return;
  YieldToOwners(now);
  for (Owner* owner : busy_) YieldWithin(*owner, now);
}

std::vector<JobDispatcher::Owner*> JobDispatcher::Wanting() const {
  std::vector<Owner*> wanting;
  for (Owner* owner : busy_) {
    if (!owner->wanting.empty()) wanting.push_back(owner);
  }
  // What each has now counts as if it had used it already: several free slots go to several owners.
  const auto place = [](const Owner* owner) {
    return owner->pass + static_cast<double>(owner->slots) * absl::ToDoubleSeconds(kQuantum);
  };
  std::sort(wanting.begin(), wanting.end(), [&](const Owner* a, const Owner* b) { return place(a) < place(b); });
  return wanting;
}

// One interpreter for each owner that is far behind and has fewer.
void JobDispatcher::YieldToOwners(absl::Time now) {
  if (busy_.size() < 2) return;
  std::vector<Owner*> behind = Wanting(), ahead(busy_.begin(), busy_.end());
  std::sort(ahead.begin(), ahead.end(), [](const Owner* a, const Owner* b) { return a->pass > b->pass; });
  // Those that yield already are on their way.
  int64_t leaving = used_;
  for (Owner* owner : ahead) leaving -= owner->staying;
  const auto yields = [&](Owner& owner) {
    for (ActiveJob* job : owner.working) {
      for (const auto& worker : job->workers) {
        if (worker->yielding || !worker->MayYield(now, kQuantum)) continue;
        worker->yielding = true;
        --owner.staying;
        return true;
      }
    }
    return false;
  };
  for (size_t i = static_cast<size_t>(leaving); i < behind.size(); ++i) {
    for (Owner* owner : ahead) {
      if (behind[i]->pass + absl::ToDoubleSeconds(kQuantum) > owner->pass) break;
      if (owner->staying > behind[i]->staying && yields(*owner)) break;
    }
  }
}

// One interpreter for each of its jobs that is far behind; those that yield already are on their way.
void JobDispatcher::YieldWithin(Owner& owner, absl::Time now) {
  auto behind = owner.wanting.begin();
  if (behind == owner.wanting.end()) return;
  for (ActiveJob* job : owner.working) {
    for (const auto& worker : job->workers) {
      if (worker->yielding && ++behind == owner.wanting.end()) return;
    }
  }
  for (ActiveJob* job : owner.working) {
    for (const auto& worker : job->workers) {
      if (behind->first + absl::ToDoubleSeconds(kQuantum) / job->weight() > job->pass) return;
      if (worker->yielding || behind->second == job->record.id || !worker->MayYield(now, kQuantum)) continue;
      worker->yielding = true;
      if (++behind == owner.wanting.end()) return;
    }
  }
}

ActiveJob* JobDispatcher::NextForSlot(absl::Time now) {
  if (by_id_.empty() || used_ >= 3 * slots_) return nullptr;
  const std::vector<Owner*> owners = Wanting();
  if (used_ < slots_) return by_id_.at(owners.front()->wanting.begin()->second);
  for (const Owner* owner : owners) {
    if (owner->none_since + kPatience <= now) return by_id_.at(owner->wanting.begin()->second);
  }
  if (used_ >= 2 * slots_) return nullptr;
  for (const Owner* owner : owners) {
    int looked_at = 0;
    for (const auto& [pass, id] : owner->wanting) {
      if (++looked_at > kLookedAt) break;
      ActiveJob* job = by_id_.at(id);
      if (job->workers.empty() && job->wants_slot_since + kPatience <= now) return job;
    }
  }
  return nullptr;
}

absl::Time JobDispatcher::NextTime() const {
  // Yielding is looked for whenever a task has ended; patience runs out by itself.
  const bool may_exceed = !by_id_.empty() && used_ >= slots_ && used_ < 3 * slots_;
  return may_exceed ? accounted_ + kPatience / 4 : absl::InfiniteFuture();
}

}  // namespace interpd::daemon
