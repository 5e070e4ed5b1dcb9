// How jobs come into the engine: whole in one request, or as uploads whose inputs follow.
#include <sys/random.h>

#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/jobs/job_engine.h"
#include "daemon/jobs/job_errors.h"

namespace interpd::daemon {
namespace {

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

absl::Status TooManyTasks() {
  return InvalidField("inputs", absl::StrCat("are more than ", kMaxTasks - 1, ", which is as many as a job may have"));
}

}  // namespace

absl::Status JobEngine::Check(const SubmitCommand& submit, size_t accepted) {
  if (draining_.load(std::memory_order_relaxed)) return ServerDraining();
  if (!submit.request_id.empty()) {
    // A client that repeats what it has not brought to an end.
    std::vector<int64_t> begun;
    for (const auto& [id, upload] : uploads_) {
      if (upload.request_id.starts_with(RequestPrefix(submit.owner, submit.request_id))) begun.push_back(id);
    }
    DoDropUpload(begun);
  }
  const size_t unfinished = jobs_.size() + uploads_.size() + accepted + submit.jobs.size();
  if (unfinished > static_cast<size_t>(options_.max_unfinished)) return TooManyJobs(options_.max_unfinished);
  for (const NewJob& job : submit.jobs) {
    for (const std::string& name : job.spec.after()) {
      const std::string id = name.substr(name.find('/') + 1);
      absl::StatusOr<std::optional<JobRecord>> after = journal_.FindJob(id);
      if (!after.ok()) return after.status();
      if (!after->has_value() || !MayUse(submit.owner, **after)) return JobNotFound(id);
    }
    int64_t count = FirstTaskCount(job.spec);
    for (const InputBatch& batch : job.inputs) count += batch.count;
    if (count >= kMaxTasks) return TooManyTasks();
  }
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
    record.state = submit.complete ? v1::Job::QUEUED : kReceivingInputs;
    absl::Status written = journal_.InsertJob(&record, job.script);
    for (const std::string& name : record.spec.after()) {
      if (!written.ok()) break;
      const std::string id = name.substr(name.find('/') + 1);
      // Checked before, or inserted just now.
      absl::StatusOr<std::optional<JobRecord>> after = journal_.FindJob(id);
      if (!after.ok()) return after.status();
      for (const JobRecord& sibling : submit.records) {
        if (sibling.name == id) *after = sibling;
      }
      if (!after->has_value()) return JobNotFound(id);
      written = journal_.InsertDependency(record.id, (*after)->id);
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
  if (upload == uploads_.end()) return std::move(done)(JobNotFound(absl::StrCat(job)));
  JobRecord& record = upload->second;
  int64_t count = record.task_count;
  for (const InputBatch& batch : inputs) count += batch.count;
  if (count >= kMaxTasks) return std::move(done)(TooManyTasks());
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
  std::move(done)(std::vector<JobRecord>{record});
}

void JobEngine::DoFinishUpload(std::vector<int64_t> jobs, Answer done) {
  std::vector<JobRecord> records;
  for (int64_t id : jobs) {
    auto upload = uploads_.find(id);
    if (upload == uploads_.end()) return std::move(done)(JobNotFound(absl::StrCat(id)));
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
    uploads_.erase(upload);
    deleting_.push_back(id);
    again_ = true;
  }
}

}  // namespace interpd::daemon
