// constant put, get, list, delete
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/print.h"
#include "client/cli/progress_bar.h"
#include "client/cli/value_json.h"

namespace interpd::client {
namespace {

struct PutOptions {
  std::string name;
  std::string file;
  std::string form;  // empty: as the file's name says
  bool persist = false;
};

// json, npy or bytes.
std::string FormOf(const PutOptions& options) {
  if (!options.form.empty()) return options.form;
  if (absl::EndsWith(options.file, ".json")) return "json";
  return absl::EndsWith(options.file, ".npy") ? "npy" : "bytes";
}

// The content of the file as a constant. An error names the file.
absl::StatusOr<absl::Cord> ReadConstant(const PutOptions& options) {
  absl::StatusOr<std::string> content = ReadFile(options.file);
  if (!content.ok()) return content.status();
  const std::string form = FormOf(options);
  if (form == "bytes") return ConstantOfBytes(absl::Cord(*std::move(content)));
  absl::StatusOr<absl::Cord> constant;
  if (form == "npy") {
    constant = ConstantOfNpy(absl::Cord(*std::move(content)));
  } else {
    absl::StatusOr<v1::Value> value = JsonToValue(*content);
    constant = value.ok() ? ConstantOf(*value) : absl::StatusOr<absl::Cord>(value.status());
  }
  if (constant.ok()) return constant;
  const std::string name = options.file == "-" ? "standard input" : options.file;
  return absl::Status(constant.status().code(), absl::StrCat(name, ": ", constant.status().message()));
}

int Put(Session& session, const PutOptions& options) {
  absl::StatusOr<absl::Cord> constant = ReadConstant(options);
  if (!constant.ok()) return session.Fail(constant.status());
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<v1::PutConstantResponse> put;
  {
    ProgressBar bar(session);
    const auto show = [&bar](int64_t sent, int64_t total) {
      bar.Show(sent, total, sent == total ? "; the daemon builds it" : "");
    };
    put = (*client)->PutConstant(options.name, *constant, {.persist = options.persist, .on_progress = show},
                                 session.rpc());
  }
  if (!put.ok()) return session.Fail(put.status());
  const std::string id(ConstantId(put->constant().name()));
  session.Out(session.json()          ? JsonDocument(*put)
              : session.options.quiet ? absl::StrCat(id, "\n")
                                      : absl::StrCat(id, " version ", put->constant().version(),
                                                     put->unchanged() ? ", unchanged" : "", "\n"));
  return kOk;
}

int List(Session& session) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<std::vector<v1::Constant>> constants = (*client)->ListConstants(session.rpc());
  if (!constants.ok()) return session.Fail(constants.status());
  if (session.json()) {
    session.Out(JsonDocument(*constants));
  } else if (session.options.quiet) {
    std::string ids;
    for (const v1::Constant& constant : *constants) {
      if (constant.state() == v1::Constant::ACTIVE) absl::StrAppend(&ids, ConstantId(constant.name()), "\n");
    }
    session.Out(ids);
  } else {
    session.Out(ConstantTable(*constants));
  }
  return kOk;
}

int Get(Session& session, const std::string& name) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<v1::Constant> constant = (*client)->GetConstant(name, session.rpc());
  if (!constant.ok()) return session.Fail(constant.status());
  session.Out(session.json()          ? JsonDocument(*constant)
              : session.options.quiet ? absl::StrCat(ConstantId(constant->name()), "\n")
                                      : ConstantFields(*constant, absl::Now()));
  return kOk;
}

int Delete(Session& session, const std::vector<std::string>& names) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  int code = kOk;
  std::vector<v1::Constant> deleted;
  for (const std::string& name : names) {
    absl::StatusOr<v1::Constant> constant = (*client)->DeleteConstant(name, session.rpc());
    if (!constant.ok()) {
      const int failure = session.Fail(constant.status());
      if (code == kOk) code = failure;
      continue;
    }
    if (session.options.quiet) session.Out(absl::StrCat(ConstantId(constant->name()), "\n"));
    deleted.push_back(*std::move(constant));
  }
  if (session.json()) {
    if (names.size() > 1) {
      session.Out(JsonDocument(deleted));
    } else if (!deleted.empty()) {
      session.Out(JsonDocument(deleted[0]));
    }
  }
  return code;
}

}  // namespace

void AddConstantCommands(CLI::App& app, Session& session) {
  CLI::App* constant =
      app.add_subcommand("constant", "Put and delete constants, read-only data that all interpreters share");
  constant->usage("interpctl constant COMMAND [OPTIONS]");
  constant->footer(
      "Hosted code finds a constant as interpd.constants[\"ID\"].\n"
      "`interpctl constant COMMAND --help` says more about a command.\n\n"
      "Example:\n"
      "  interpctl constant put prices prices.json\n"
      "  interpctl exec worker -c 'import interpd; print(len(interpd.constants[\"prices\"]))'\n"
      "  interpctl constant list");
  constant->require_subcommand(1);
  {
    auto options = std::make_shared<PutOptions>();
    CLI::App* put = constant->add_subcommand("put", "Put a file's content as a constant, or as its next version");
    put->add_option(kConstantPlaceholder, options->name, "Name of the constant")->type_name("")->required();
    put->add_option(kFilePlaceholder, options->file, "The file; - is standard input")->type_name("")->required();
    put->add_option("--as", options->form,
                    "What the file is; without it by its name: .json, .npy, and all else bytes, standard input too")
        ->type_name("json|npy|bytes")
        ->check(CLI::IsMember({"json", "npy", "bytes"}).description(""));
    put->add_flag("--persist", options->persist, "Keep it on the daemon's disk, so that a restart brings it back");
    put->usage("interpctl constant put CONSTANT FILE [--as FORM] [--persist] [OPTIONS]");
    put->footer(
        "Arrays become tuples, sets frozensets and objects read-only mappings; in JSON, values may be written as for\n"
        "`interpctl call`. A .npy file becomes a mapping of data (bytes), shape, dtype and fortran_order. Content "
        "that\n"
        "the constant has already changes nothing.\n\n"
        "Examples:\n"
        "  interpctl constant put prices prices.json --persist\n"
        "  interpctl constant put weights weights.npy\n"
        "  jq .routes config.json | interpctl constant put routes - --as json");
    put->callback([&session, options] { session.command = [&session, options] { return Put(session, *options); }; });
  }
  {
    auto name = std::make_shared<std::string>();
    CLI::App* get = constant->add_subcommand("get", "Show one constant: its version, size, digest, who has seen it");
    get->add_option(kConstantPlaceholder, *name, "Name of the constant")->type_name("")->required();
    get->usage("interpctl constant get CONSTANT [OPTIONS]");
    get->footer("Example:\n  interpctl constant get prices");
    get->callback([&session, name] { session.command = [&session, name] { return Get(session, *name); }; });
  }
  {
    CLI::App* list = constant->add_subcommand("list", "List constants, and deleted ones whose memory is still held");
    list->usage("interpctl constant list [OPTIONS]");
    list->footer(
        "INTERPRETERS have seen the version; RETIRED is memory of earlier or deleted ones, which interpreters that "
        "have\n"
        "seen those keep until they are closed.\n\n"
        "Examples:\n  interpctl constant list\n  interpctl constant list -o json");
    list->callback([&session] { session.command = [&session] { return List(session); }; });
  }
  {
    auto names = std::make_shared<std::vector<std::string>>();
    CLI::App* del = constant->add_subcommand("delete", "Delete constants; who has seen one keeps it");
    del->add_option(kConstantPlaceholder, *names, "Names of the constants")->type_name("")->required();
    del->usage("interpctl constant delete CONSTANT... [OPTIONS]");
    del->footer(
        "Goes on when one cannot be deleted, and ends with the first error's exit code.\n\n"
        "Example:\n"
        "  interpctl constant delete prices");
    del->callback([&session, names] { session.command = [&session, names] { return Delete(session, *names); }; });
  }
  for (CLI::App* command : constant->get_subcommands([](const CLI::App*) { return true; })) command->group("COMMANDS");
}

}  // namespace interpd::client
