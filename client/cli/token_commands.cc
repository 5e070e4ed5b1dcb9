// token create, list, revoke: the file of bearer tokens, on the operator's machine. No daemon is asked.
#include <sys/stat.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "proto/token_file.h"

namespace interpd::client {
namespace {

constexpr char kDefaultFile[] = "/etc/interpd/tokens";
constexpr char kReload[] = "a daemon that runs takes note when it reloads (SIGHUP)\n";

struct TokenOptions {
  std::string file = kDefaultFile;
  std::string principal;
  std::string role;
  std::string expires;  // empty: never
};

// "30d" beside what ParseDuration reads.
absl::StatusOr<absl::Duration> ParseLifetime(const std::string& text) {
  if (text.size() > 1 && text.ends_with('d')) {
    absl::StatusOr<absl::Duration> days = ParseDuration(text.substr(0, text.size() - 1));
    if (days.ok()) return 86400 * *days;
  }
  return ParseDuration(text);
}

std::string ShownTime(absl::Time time) {
  return time == absl::InfiniteFuture() ? "never" : absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

// As a rule the daemon runs as a user of its own, who does not get to read a file that root makes.
std::string OwnerHint(const std::string& file) {
  struct stat there;
  if (stat(file.c_str(), &there) != 0 || there.st_uid != 0 || (there.st_mode & (S_IRGRP | S_IROTH)) != 0) return "";
  return absl::StrCat("only root may read ", file, "; for a daemon that runs as interpd: chown interpd ", file, "\n");
}

nlohmann::json JsonOf(const TokenEntry& entry) {
  return {
      {"id", entry.Id()}, {"principal", entry.principal}, {"role", entry.role}, {"expires", ShownTime(entry.expires)}};
}

int Create(Session& session, const TokenOptions& options) {
  const std::string token = MakeToken();
  TokenEntry entry{.hash = HashToken(token), .principal = options.principal, .role = options.role};
  if (!options.expires.empty()) {
    absl::StatusOr<absl::Duration> lifetime = ParseLifetime(options.expires);
    if (!lifetime.ok()) return session.Fail(lifetime.status());
    if (*lifetime != absl::InfiniteDuration()) entry.expires = absl::Now() + *lifetime;
  }
  absl::Status added = AddToken(options.file, entry);
  if (!added.ok()) return session.Fail(added);
  if (!session.options.quiet) session.Err(OwnerHint(options.file));
  if (session.json()) {
    nlohmann::json document = JsonOf(entry);
    document["token"] = token;
    session.Out(document.dump(2) + "\n");
    return kOk;
  }
  session.Out(token + "\n");
  if (!session.options.quiet) {
    session.Err(absl::StrCat("this is the only time that the token is shown; its hash is in ", options.file, " as ",
                             entry.Id(), "; ", kReload));
  }
  return kOk;
}

int List(Session& session, const std::string& file) {
  absl::StatusOr<std::vector<TokenEntry>> entries = ReadTokenFile(file);
  if (!entries.ok()) return session.Fail(entries.status());
  if (session.json()) {
    nlohmann::json document = {{"tokens", nlohmann::json::array()}};
    for (const TokenEntry& entry : *entries) document["tokens"].push_back(JsonOf(entry));
    session.Out(document.dump(2) + "\n");
    return kOk;
  }
  if (!session.options.quiet)
    session.Out(absl::StrFormat("%-12s  %-6s  %-20s  %s\n", "ID", "ROLE", "EXPIRES", "PRINCIPAL"));
  for (const TokenEntry& entry : *entries) {
    session.Out(session.options.quiet ? entry.Id() + "\n"
                                      : absl::StrFormat("%-12s  %-6s  %-20s  %s\n", entry.Id(), entry.role,
                                                        ShownTime(entry.expires), entry.principal));
  }
  return kOk;
}

int Revoke(Session& session, const std::string& file, const std::string& which) {
  absl::StatusOr<int> removed = RemoveTokens(file, which);
  if (!removed.ok()) return session.Fail(removed.status());
  if (*removed == 0) {
    return session.Fail(absl::NotFoundError(absl::StrCat("there is no token of '", which, "' in ", file)));
  }
  if (!session.options.quiet) {
    session.Err(absl::StrCat(*removed, *removed == 1 ? " token is" : " tokens are", " gone; ", kReload));
  }
  return kOk;
}

void AddFileOption(CLI::App* command, std::string& file) {
  command->add_option("-f,--file", file, absl::StrCat("The file of tokens; without it ", kDefaultFile))
      ->type_name(kFilePlaceholder);
}

}  // namespace

void AddTokenCommands(CLI::App& app, Session& session) {
  CLI::App* token = app.add_subcommand("token", "Make and revoke bearer tokens, in the daemon's file of them");
  token->usage("interpctl token COMMAND [OPTIONS]");
  token->footer(
      "The file holds hashes alone, one line for each token. The daemon reads it if it is told so (access.token_file,\n"
      "--token-file). Clients show a token over TLS: interpctl --token-file FILE, or INTERPD_TOKEN_FILE.\n\n"
      "Example:\n"
      "  interpctl token create --principal ci --role user --expires 90d >ci.token");
  token->require_subcommand(1);
  {
    auto options = std::make_shared<TokenOptions>();
    CLI::App* create = token->add_subcommand("create", "Make a token, print it once, and add its hash to the file");
    create->add_option("--principal", options->principal, "Whose it is: letters, digits and _-.@+")
        ->type_name("PRINCIPAL")
        ->required();
    create->add_option("--role", options->role, "What its owner may: viewer, user or admin")
        ->type_name("viewer|user|admin")
        ->check(CLI::IsMember({"viewer", "user", "admin"}).description(""))
        ->required();
    create->add_option("--expires", options->expires, "Good for so long: 90d, 12h; without it for ever")
        ->type_name("TIME")
        ->check(
            CLI::Validator([](const std::string& text) { return std::string(ParseLifetime(text).status().message()); },
                           "", "lifetime"));
    AddFileOption(create, options->file);
    create->usage("interpctl token create --principal PRINCIPAL --role ROLE [--expires TIME] [--file FILE] [OPTIONS]");
    create->footer(
        "A file that this makes belongs to who runs it, and nobody else may read it. When root makes it for a daemon\n"
        "of another user, make it that user's: chown interpd FILE.\n\n"
        "Example:\n  interpctl token create --principal ci --role user --expires 90d >ci.token");
    create->callback(
        [&session, options] { session.command = [&session, options] { return Create(session, *options); }; });
  }
  {
    auto file = std::make_shared<std::string>(kDefaultFile);
    CLI::App* list = token->add_subcommand("list", "List the tokens in the file: whose, which role, until when");
    AddFileOption(list, *file);
    list->usage("interpctl token list [--file FILE] [OPTIONS]");
    list->footer("Example:\n  interpctl token list -o json");
    list->callback([&session, file] { session.command = [&session, file] { return List(session, *file); }; });
  }
  {
    auto options = std::make_shared<TokenOptions>();
    CLI::App* revoke = token->add_subcommand("revoke", "Take a token, or all of a principal, out of the file");
    revoke->add_option("PRINCIPAL", options->principal, "The id of a token, or the principal whose tokens go")
        ->type_name("")
        ->required();
    AddFileOption(revoke, options->file);
    revoke->usage("interpctl token revoke ID|PRINCIPAL [--file FILE] [OPTIONS]");
    revoke->footer("Example:\n  interpctl token revoke ci");
    revoke->callback([&session, options] {
      session.command = [&session, options] { return Revoke(session, options->file, options->principal); };
    });
  }
  for (CLI::App* command : token->get_subcommands([](const CLI::App*) { return true; })) command->group("COMMANDS");
}

}  // namespace interpd::client
