#include "client/cli/job_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/files.h"
#include "client/cli/job_fields.h"
#include "client/cli/job_inputs.h"
#include "client/cli/job_script.h"
#include "client/cli/job_settings.h"
#include "client/cli/json_escapes.h"
#include "client/value_batch.h"

namespace interpd::client {
namespace {

// Inputs that stand in the file, beyond which they travel in messages of their own.
constexpr size_t kMaxValuesInSpec = size_t{1} << 20;

// One job of the file.
struct Entry {
  YAML::Node node;
  std::string path;  // "jobs[1]"
  JobPlan plan;
  std::vector<std::string> after;  // as the file has it
  std::set<int> local;             // those of them that are of the file, by their positions in it
};

class Reader {
 public:
  Reader(Session& session, std::string file, absl::Time now)
      : session_(session),
        file_(std::move(file)),
        context_{.file = file_ == "-" ? "standard input" : file_, .now = now} {
    directory_ = file_ == "-" ? AbsolutePath(".") : std::filesystem::path(AbsolutePath(file_)).parent_path().string();
  }

  absl::StatusOr<JobFile> Read() {
    if (file_ == "-") {
      if (absl::Status status = session_.TakeStdin("the job file"); !status.ok()) return status;
    }
    absl::StatusOr<std::string> text = ReadFile(file_);
    if (!text.ok()) return text.status();
    absl::Status status = FindJobs(JoinSurrogates(*std::move(text)));
    for (size_t i = 0; i < entries_.size() && status.ok(); ++i) status = ReadKey(i);
    for (size_t i = 0; i < entries_.size() && status.ok(); ++i) status = ReadJob(entries_[i]);
    if (!status.ok()) return status;
    return InOrder();
  }

 private:
  absl::Status FindJobs(const std::string& text) {
    std::vector<YAML::Node> documents;
    // yaml-cpp reports by exceptions; they end here.
    try {
      documents = YAML::LoadAll(text);
    } catch (const YAML::Exception& error) {
      return absl::InvalidArgumentError(
          absl::StrCat(context_.file, ":", error.mark.line + 1, ":", error.mark.column + 1, ": ", error.msg));
    }
    for (const YAML::Node& document : documents) {
      if (document.IsNull()) continue;
      if (!document.IsMap())
        return YamlError(context_.file, document, "", "this must be a job, or a mapping with jobs");
      const YAML::Node jobs = document["jobs"];
      if (!jobs.IsDefined()) {
        Add(document);
        continue;
      }
      bool seen = false;
      for (const auto& item : document) {
        const YAML::Node& key = item.first;
        if (key.Scalar() != "jobs")
          return YamlError(context_.file, key, key.Scalar(), "there is no such key beside jobs");
        if (std::exchange(seen, true)) return YamlError(context_.file, key, "jobs", "said twice");
      }
      if (!jobs.IsSequence()) return YamlError(context_.file, jobs, "jobs", "this must be a list of jobs");
      for (const YAML::Node& job : jobs) Add(job);
    }
    if (entries_.empty()) return absl::InvalidArgumentError(absl::StrCat(context_.file, ": there is no job"));
    return absl::OkStatus();
  }

  void Add(const YAML::Node& node) {
    Entry& entry = entries_.emplace_back();
    entry.node = node;
    entry.path = absl::StrCat("jobs[", entries_.size() - 1, "]");
  }

  std::string PathIn(const std::string& path) const {
    return AbsolutePath(path.starts_with('/') ? path : absl::StrCat(directory_, "/", path));
  }

  absl::Status ReadKey(size_t index) {
    const YAML::Node& node = entries_[index].node;
    if (!node.IsMap()) return YamlError(context_.file, node, entries_[index].path, "this must be a job");
    const YAML::Node key = node["key"];
    if (!key.IsDefined()) return absl::OkStatus();
    const std::string path = absl::StrCat(entries_[index].path, ".key");
    if (!key.IsScalar() || key.Scalar().empty()) return YamlError(context_.file, key, path, "this must be a name");
    if (!keys_.emplace(key.Scalar(), static_cast<int>(index)).second) {
      return YamlError(context_.file, key, path, absl::StrCat("\"", key.Scalar(), "\" is the key of another job"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadJob(Entry& entry) {
    v1::JobSpec& spec = entry.plan.spec;
    const YAML::Node key = entry.node["key"];
    if (absl::Status status = ReadScript(entry); !status.ok()) return status;
    if (key.IsDefined()) spec.set_display_name(key.Scalar());
    YamlContext context = context_;
    context.special = [&](const std::string& name, const YAML::Node& value, const std::string& path) {
      return ReadSpecial(entry, name, value, path);
    };
    if (absl::Status status = ReadFields(context, entry.node, entry.path, &spec); !status.ok()) return status;
    v1::InterpreterConfig& interpreter = *spec.mutable_interpreter();
    if (!interpreter.cwd().empty()) interpreter.set_cwd(PathIn(interpreter.cwd()));
    if (!interpreter.venv().empty()) interpreter.set_venv(PathIn(interpreter.venv()));
    for (std::string& path : *interpreter.mutable_path()) path = PathIn(path);
    if (spec.values().ByteSizeLong() > kMaxValuesInSpec) {
      std::vector<v1::Value> values;
      TakeValues(spec.mutable_values(), &values);
      spec.mutable_values()->Clear();
      entry.plan.inputs = ListedInputs(std::move(values));
    }
    return ReadDependencies(entry);
  }

  absl::Status ReadScript(Entry& entry) {
    const YAML::Node file = entry.node["script_file"];
    const YAML::Node text = entry.node["script"];
    if (file.IsDefined() == text.IsDefined()) {
      return YamlError(context_.file, entry.node, entry.path, "a job has a script, or a script_file");
    }
    if (text.IsDefined()) {
      if (session_.DaemonIsHere()) entry.plan.spec.mutable_interpreter()->set_cwd(AbsolutePath("."));
      return absl::OkStatus();  // among the fields
    }
    const std::string path = absl::StrCat(entry.path, ".script_file");
    if (!file.IsScalar() || file.Scalar().empty()) return YamlError(context_.file, file, path, "this must be a path");
    absl::Status status = PlanScript(session_, PathIn(file.Scalar()), {}, context_.now, &entry.plan);
    if (status.ok()) return status;
    // A file that is not there keeps its code.
    return absl::Status(status.code(), YamlError(context_.file, file, path, status.message()).message());
  }

  // What is read in another way than by its type.
  absl::StatusOr<bool> ReadSpecial(Entry& entry, const std::string& name, const YAML::Node& value,
                                   const std::string& path) {
    v1::JobSpec& spec = entry.plan.spec;
    if (name == "key" || name == "script_file") return true;
    if (name == "interpreter") {
      // Where the job works was chosen already; what the file says replaces that key by key.
      absl::Status status =
          ReadFields({.file = context_.file, .now = context_.now}, value, path, spec.mutable_interpreter());
      if (!status.ok()) return status;
      return true;
    }
    if (name == "values" || name == "range" || name == "results_of_after" || name == "resultsOfAfter") {
      entry.plan.inputs = nullptr;  // those of the script's header
      if (name != "range" || !value.IsScalar()) return false;
      std::optional<v1::JobSpec::Range> range = ParseRange(value.Scalar());
      if (!range.has_value()) return YamlError(context_.file, value, path, "this must be {begin: A, end: B}, or A:B");
      *spec.mutable_range() = *range;
      return true;
    }
    return false;
  }

  // `after` may name jobs of the file.
  absl::Status ReadDependencies(Entry& entry) {
    v1::JobSpec& spec = entry.plan.spec;
    for (int position : spec.after_submitted()) {
      if (position < 0 || position >= static_cast<int>(entries_.size())) {
        return YamlError(context_.file, entry.node, absl::StrCat(entry.path, ".after_submitted"),
                         absl::StrCat("there is no jobs[", position, "]"));
      }
      entry.local.insert(position);
    }
    spec.clear_after_submitted();
    std::vector<std::string> others;
    for (const std::string& name : spec.after()) {
      if (auto found = keys_.find(name); found != keys_.end()) {
        entry.local.insert(found->second);
      } else {
        others.push_back(name);
      }
    }
    spec.mutable_after()->Assign(others.begin(), others.end());
    return absl::OkStatus();
  }

  // Each job behind those it waits for, and else as the file has them.
  absl::StatusOr<JobFile> InOrder() {
    JobFile made;
    made.positions.assign(entries_.size(), -1);
    for (size_t placed = 0; placed < entries_.size(); ++placed) {
      size_t next = 0;
      while (next < entries_.size() && !IsNext(next, made.positions)) ++next;
      if (next == entries_.size()) {
        const size_t stuck = std::find(made.positions.begin(), made.positions.end(), -1) - made.positions.begin();
        return YamlError(context_.file, entries_[stuck].node, absl::StrCat(entries_[stuck].path, ".after"),
                         "this job waits for itself, by way of others");
      }
      Entry& entry = entries_[next];
      for (int other : entry.local) entry.plan.spec.add_after_submitted(made.positions[other]);
      made.positions[next] = static_cast<int>(placed);
      const YAML::Mark mark = entry.node.Mark();
      made.places.push_back(absl::StrCat(context_.file, ":", mark.line + 1, ":", mark.column + 1, ": ", entry.path));
      *made.request.add_jobs() = std::move(entry.plan.spec);
      made.inputs.push_back(std::move(entry.plan.inputs));
    }
    return made;
  }

  bool IsNext(size_t index, const std::vector<int>& positions) const {
    return positions[index] < 0 && std::all_of(
                                       entries_[index].local.begin(), entries_[index].local.end(),
                                       [&](int other) { return positions[other] >= 0; });
  }

  Session& session_;
  const std::string file_;
  std::string directory_;
  const YamlContext context_;
  std::vector<Entry> entries_;
  std::map<std::string, int> keys_;
};

}  // namespace

absl::Status InJobFile(const JobFile& file, const absl::Status& status) {
  for (size_t i = 0; i < file.places.size(); ++i) {
    std::string_view rest = status.message();
    if (!absl::ConsumePrefix(&rest, absl::StrCat("jobs[", i, "]"))) continue;
    absl::Status said(status.code(), absl::StrCat(file.places[i], rest));
    status.ForEachPayload(
        [&said](std::string_view type, const absl::Cord& payload) { said.SetPayload(type, payload); });
    return said;
  }
  return status;
}

absl::StatusOr<JobFile> ReadJobFile(Session& session, const std::string& file, absl::Time now) {
  return Reader(session, file, now).Read();
}

}  // namespace interpd::client
