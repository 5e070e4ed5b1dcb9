// How jobs come into the engine: whole in one request, or as uploads whose inputs follow.
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/jobs/job_errors.h"

namespace interpd::daemon {
namespace {

// Other jobs that those of one request name together, to wait for.
constexpr int kMaxAfter = 10'000;

constexpr size_t kNameLength = 10;
constexpr size_t kUidLength = 26;  // of 36 characters: 134 bits

// Not to be guessed, and never the same twice.
std::string RandomText(size_t length) {
  static constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyz0123456789";
  // Bytes from here on would make the first characters more frequent than the others.
  constexpr size_t kFair = 256 / kCharacters.size() * kCharacters.size();
  std::string text;
  while (text.size() < length) {
    // All at once: std::random_device, which asks for each number, took a quarter of the time of a submit.
    unsigned char random[64];
    PCHECK(getrandom(random, sizeof(random), 0) == sizeof(random));
    for (size_t i = 0; i < sizeof(random) && text.size() < length; ++i) {
      if (random[i] < kFair) text.push_back(kCharacters[random[i] % kCharacters.size()]);
    }
  }
  return text;
}

int64_t FirstTaskCount(const v1::JobSpec& spec) {
  switch (spec.inputs_case()) {
    case v1::JobSpec::kRange: return spec.range().end() - spec.range().begin();
    case v1::JobSpec::kValues: return 0;          // counted as they come
    case v1::JobSpec::kResultsOfAfter: return 0;  // not known yet
    case v1::JobSpec::INPUTS_NOT_SET: break;
  }
  return 1;
}

// Of the same request of the same owner; then comes a job's place in it.
std::string RequestPrefix(const std::string& owner, const std::string& request_id) {
  return absl::StrCat(owner, "\n", request_id, "\n");
}

int64_t BytesOf(const std::vector<InputBatch>& inputs) {
  int64_t bytes = 0;
  for (const InputBatch& batch : inputs) bytes += kRowBytes + static_cast<int64_t>(batch.bytes.size());
  return bytes;
}

int64_t BytesOf(const NewJob& job) {
  return kRowBytes + static_cast<int64_t>(job.spec.ByteSizeLong() + job.script.size()) + BytesOf(job.inputs);
}

// What one owner's unfinished jobs may be: the others shall have room, too.
int64_t MostJobs(const std::string& owner, const JobOptions& options) {
  return owner.empty() ? options.max_unfinished : std::max<int64_t>(1, options.max_unfinished / 2);
}
int64_t MostBytes(const JobOptions& options) { return options.keep_bytes / 2; }

}  // namespace

absl::Status JobEngine::Check(const SubmitCommand& submit, UnfinishedJobs& accepted) {
  if (draining_.load(std::memory_order_relaxed)) return ServerDraining();
  InJournal in_journal(*this);
  if (!submit.request_id.empty()) {
    // A client that repeats what it has not brought to an end.
    std::vector<int64_t> begun;
    for (const auto& [id, upload] : uploads_) {
      if (upload.request_id.starts_with(RequestPrefix(submit.owner, submit.request_id))) begun.push_back(id);
    }
    DoDropUpload(begun);
  }
  absl::Status refused = CheckNew(submit, accepted);
  if (refused.ok() || submit.request_id.empty()) return refused;
  // What was accepted before is answered again, whatever would refuse it by now.
  absl::StatusOr<std::vector<JobRecord>> before = journal_.FindRequest(RequestPrefix(submit.owner, submit.request_id));
  if (!before.ok()) return before.status();
  return before->empty() ? refused : absl::OkStatus();
}

absl::Status JobEngine::CheckNew(const SubmitCommand& submit, UnfinishedJobs& accepted) {
  UnfinishedJobs::Use more = {.jobs = static_cast<int64_t>(submit.jobs.size())};
  int after_count = 0;
  for (const NewJob& job : submit.jobs) {
    more.bytes += BytesOf(job);
    after_count += job.spec.after_size() + job.spec.after_submitted_size();
    int64_t count = FirstTaskCount(job.spec);
    for (const InputBatch& batch : job.inputs) count += batch.count;
    if (count >= kMaxTasks) return TooManyTasks();
  }
  if (after_count > kMaxAfter) {
    return InvalidField("jobs",
                        absl::StrCat("name ", after_count, " jobs to wait for; a request may name ", kMaxAfter));
  }
  const UnfinishedJobs::Use own_new = accepted.Of(submit.owner);
  absl::Status room = CheckRoom(submit.owner, {own_new.jobs + more.jobs, own_new.bytes + more.bytes},
                                accepted.total().jobs + more.jobs);
  if (!room.ok()) return room;
  for (const NewJob& job : submit.jobs) {
    for (const std::string& name : job.spec.after()) {
      const std::string_view id = JobIdOf(name);
      absl::StatusOr<std::optional<Journal::Key>> after = journal_.FindKey(id);
      if (!after.ok()) return after.status();
      if (!after->has_value() || !MayUse(submit.owner, (*after)->owner)) return JobNotFound(id);
    }
  }
  accepted.Add(submit.owner, more);
  return absl::OkStatus();
}

absl::Status JobEngine::CheckRoom(const std::string& owner, UnfinishedJobs::Use more, int64_t more_of_all) const {
  if (unfinished_.total().jobs + more_of_all > options_.max_unfinished) return TooManyJobs(options_.max_unfinished);
  const UnfinishedJobs::Use own = unfinished_.Of(owner);
  const int64_t most_jobs = MostJobs(owner, options_);
  if (own.jobs + more.jobs > most_jobs) return TooManyOwnJobs(most_jobs);
  const int64_t most_bytes = MostBytes(options_);
  if (own.bytes + more.bytes > most_bytes) return TooManyBytes(most_bytes);
  return absl::OkStatus();
}

absl::Status JobEngine::Insert(SubmitCommand& submit) {
  submit.records.clear();
  submit.repeated = false;
  const std::string request = submit.request_id.empty() ? "" : RequestPrefix(submit.owner, submit.request_id);
  if (!request.empty()) {
    absl::StatusOr<std::vector<JobRecord>> before = journal_.FindRequest(request);
    if (!before.ok()) return before.status();
    submit.repeated = !before->empty();
    submit.records = *std::move(before);
    if (submit.repeated) return absl::OkStatus();
  }
  const absl::Time now = absl::Now();
  for (size_t i = 0; i < submit.jobs.size(); ++i) {
    NewJob& job = submit.jobs[i];
    JobRecord record;
    // All of a request are made at one time, in the order of their ids.
    record.create_time = now;
    record.name = RandomText(kNameLength);
    record.uid = RandomText(kUidLength);
    record.owner = submit.owner;
    if (!request.empty()) record.request_id = absl::StrCat(request, i);
    record.spec = job.spec;
    for (int position : job.spec.after_submitted()) {
      record.spec.add_after(JobResourceName(submit.records[static_cast<size_t>(position)].name));
    }
    record.spec.clear_after_submitted();
    record.task_count = FirstTaskCount(job.spec);
    if (submit.parent != nullptr) {
      record.parent = submit.parent->id;
      record.parent_name = submit.parent->name;
      record.input_of = submit.parent->input_of;
      record.task_count = submit.parent->task_count;
    }
    for (const InputBatch& batch : job.inputs) record.task_count += batch.count;
    record.bytes = BytesOf(job);
    record.state = submit.complete ? v1::Job::QUEUED : kReceivingInputs;
    absl::Status written = journal_.InsertJob(&record, job.script);
    for (const std::string& name : job.spec.after()) {
      if (!written.ok()) break;
      absl::StatusOr<std::optional<Journal::Key>> after = journal_.FindKey(JobIdOf(name));
      if (!after.ok()) return after.status();
      if (!after->has_value()) return JobNotFound(JobIdOf(name));  // it was there when this was checked
      written = journal_.InsertDependency(record.id, (*after)->id);
    }
    for (int position : job.spec.after_submitted()) {
      if (!written.ok()) break;
      written = journal_.InsertDependency(record.id, submit.records[static_cast<size_t>(position)].id);
    }
    int64_t first = 0;
    for (const InputBatch& batch : job.inputs) {
      if (written.ok()) written = journal_.InsertInput(record.id, first, batch.bytes);
      first += batch.count;
    }
    if (!written.ok()) return written;
    submit.records.push_back(std::move(record));
  }
  return absl::OkStatus();
}

void JobEngine::Submitted(SubmitCommand& submit, const absl::Status& status) {
  if (!status.ok()) return std::move(submit.done)(status);
  if (!submit.repeated) {
    for (const JobRecord& record : submit.records) {
      if (submit.complete) {
        Admit(record);
      } else {
        uploads_[record.id] = record;
        unfinished_.Add(record);
      }
    }
  }
  for (JobRecord& record : submit.records) {
    if (ActiveJob* job = Find(record.id)) record = job->record;
  }
  std::move(submit.done)(std::move(submit.records));
}

void JobEngine::Admit(JobRecord record) {
  ActiveJob& job = Adopt(std::move(record));
  absl::Status found = Await(job);
  if (!found.ok()) LOG(ERROR) << "jobs/" << job.record.name << ": " << found.message();
  Settle(job, absl::Now());
  again_ = true;
}

void JobEngine::DoAddInputs(int64_t job, std::vector<InputBatch> inputs, Answer done) {
  auto upload = uploads_.find(job);
  if (upload == uploads_.end()) return std::move(done)(UploadGone());
  JobRecord& record = upload->second;
  int64_t count = record.task_count;
  for (const InputBatch& batch : inputs) count += batch.count;
  if (count >= kMaxTasks) return std::move(done)(TooManyTasks());
  const int64_t bytes = BytesOf(inputs);
  const int64_t most_bytes = MostBytes(options_);
  if (unfinished_.Of(record.owner).bytes + bytes > most_bytes) return std::move(done)(TooManyBytes(most_bytes));
  absl::Status written = InTransaction(Journal::Sync::kNo, [&] {
    int64_t first = record.task_count;
    for (const InputBatch& batch : inputs) {
      absl::Status inserted = journal_.InsertInput(job, first, batch.bytes);
      if (!inserted.ok()) return inserted;
      first += batch.count;
    }
    return absl::OkStatus();
  });
  if (!written.ok()) return std::move(done)(written);
  record.task_count = count;
  unfinished_.Grow(record, bytes);
  std::move(done)(std::vector<JobRecord>{record});
}

void JobEngine::DoFinishUpload(std::vector<int64_t> jobs, Answer done) {
  std::vector<JobRecord> records;
  for (int64_t id : jobs) {
    auto upload = uploads_.find(id);
    if (upload == uploads_.end()) return std::move(done)(UploadGone());
    records.push_back(upload->second);
    records.back().state = v1::Job::QUEUED;
  }
  absl::Status written = InTransaction(Journal::Sync::kYes, [&] {
    for (const JobRecord& record : records) {
      absl::Status updated = journal_.UpdateJob(record);
      if (!updated.ok()) return updated;
    }
    return absl::OkStatus();
  });
  if (!written.ok()) {
    DoDropUpload(jobs);
    return std::move(done)(written);
  }
  for (JobRecord& record : records) {
    uploads_.erase(record.id);
    unfinished_.Remove(record);
    Admit(record);
    record = Find(record.id)->record;
  }
  std::move(done)(std::move(records));
}

void JobEngine::DoDropUpload(const std::vector<int64_t>& jobs) {
  for (int64_t id : jobs) {
    auto upload = uploads_.find(id);
    if (upload == uploads_.end()) continue;
    // Its request id is free at once. If that cannot be written, it is when the rows are gone.
    upload->second.state = kDeleting;
    absl::Status marked = InTransaction(Journal::Sync::kNo, [&] { return journal_.UpdateJob(upload->second); });
    if (!marked.ok()) LOG(WARNING) << "an upload that was given up: " << marked.message();
    unfinished_.Remove(upload->second);
    uploads_.erase(upload);
    deleting_.push_back(id);
    again_ = true;
  }
}

}  // namespace interpd::daemon
