#include "client/cli/job_script.h"

#include <filesystem>
#include <utility>

#include "client/cli/files.h"
#include "client/cli/script_header.h"

namespace interpd::client {

absl::Status PlanScript(Session& session, const std::string& file, const JobSettings& flags, absl::Time now,
                        JobPlan* plan) {
  const bool from_stdin = file == "-";
  if (from_stdin) {
    if (absl::Status status = session.TakeStdin("the script"); !status.ok()) return status;
  }
  absl::StatusOr<std::string> script = ReadFile(file);
  if (!script.ok()) return script.status();
  // Where the script really lies, as Python has it, also when it was called by a link.
  std::error_code unresolved;
  const std::filesystem::path real = std::filesystem::canonical(file, unresolved);
  const std::string directory = from_stdin || unresolved ? AbsolutePath(".") : real.parent_path().string();

  absl::StatusOr<JobSettings> header = ReadScriptHeader(*script, from_stdin ? "standard input" : file, directory);
  if (!header.ok()) return header.status();
  v1::JobSpec& spec = plan->spec;
  spec.set_script_name(from_stdin ? "<stdin>" : AbsolutePath(file));
  spec.set_script(*std::move(script));
  if (!from_stdin) spec.set_display_name(std::filesystem::path(file).filename().string());
  if (session.DaemonIsHere()) {
    spec.mutable_interpreter()->set_cwd(AbsolutePath("."));
    spec.mutable_interpreter()->add_path(directory);
  }
  return Apply(Merge(*std::move(header), flags), session, now, plan);
}

}  // namespace interpd::client
