#include "client/cli/app.h"

#include <algorithm>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"

namespace interpd::client {
namespace {

// How many arguments the options in `arg` take from those that follow: 0 or 1. `arg` is an option or several short
// ones (-qo).
int ValuesAfter(const CLI::App& app, const CLI::App* command, std::string_view arg) {
  auto find = [&](const std::string& name) {
    const CLI::Option* option = command != nullptr ? command->get_option_no_throw(name) : nullptr;
    return option != nullptr ? option : app.get_option_no_throw(name);
  };
  if (absl::StartsWith(arg, "--")) {
    if (absl::StrContains(arg, '=')) return 0;
    const CLI::Option* option = find(std::string(arg));
    return option != nullptr && option->get_items_expected_max() > 0 ? 1 : 0;
  }
  for (size_t i = 1; i < arg.size(); ++i) {
    const CLI::Option* option = find(absl::StrCat("-", arg.substr(i, 1)));
    if (option == nullptr) return 0;
    // What stands behind the letter is its value.
    if (option->get_items_expected_max() > 0) return i + 1 == arg.size() ? 1 : 0;
  }
  return 0;
}

// CLI11 takes [a,b] for a list of arguments, and reads it as it stands when it is written [[aa,,bb]].
std::string EscapeForCli11(const std::string& arg) {
  if (arg.size() < 2 || arg.front() != '[' || arg.back() != ']') return arg;
  std::string escaped = "[[";
  for (char c : std::string_view(arg).substr(1, arg.size() - 2)) escaped.append(2, c);
  return escaped + "]]";
}

// Edits (insert, delete, replace a character, swap two neighbours) that lead from one word to the other.
int EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> distance(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        distance[i][j] = static_cast<int>(i + j);
        continue;
      }
      distance[i][j] = std::min(
          {distance[i - 1][j] + 1, distance[i][j - 1] + 1, distance[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
      }
    }
  }
  return distance[a.size()][b.size()];
}

// The first argument from `*i` on that is neither an option nor the value of one; `*i` moves behind it. Empty when
// there is none, or when an option that is not known comes first: what follows may be its value.
std::string NextWord(const CLI::App& app, const std::vector<std::string>& args, size_t* i) {
  for (; *i < args.size(); ++*i) {
    if (!absl::StartsWith(args[*i], "-")) return args[(*i)++];
    const std::string name = args[*i].substr(0, args[*i].find('='));
    if (absl::StartsWith(name, "--") && app.get_option_no_throw(name) == nullptr) return "";
    *i += ValuesAfter(app, nullptr, args[*i]);
  }
  return "";
}

}  // namespace

CLI::Validator IsDuration() {
  return CLI::Validator([](const std::string& text) { return std::string(ParseDuration(text).status().message()); }, "",
                        "duration");
}

std::unique_ptr<CLI::App> BuildApp(Session& session) {
  auto app =
      std::make_unique<CLI::App>("Drives interpd, a daemon that hosts many isolated Python interpreters.", "interpctl");
  GlobalOptions& options = session.options;
  app->add_option("--address", options.address,
                  "Where the daemon listens: unix:PATH or HOST:PORT. Without it INTERPD_ADDRESS, or else\n"
                  "unix:$XDG_RUNTIME_DIR/interpd.sock, as root unix:/run/interpd/interpd.sock")
      ->type_name("ADDRESS");
  app->add_option("-o,--output", options.format, "Form of results; json is one document in the proto's field names")
      ->type_name("table|json")
      ->check(CLI::IsMember({"table", "json"}).description(""));
  app->add_flag("-q,--quiet", options.quiet, "Print names only");
  app->add_option("--timeout", options.timeout, "Give up and interrupt what runs after so long: 5, 300ms, 2m")
      ->type_name("TIME")
      ->check(IsDuration());
  app->add_option("--connect-timeout", options.connect_timeout, "Give up connecting after so long; without it 5s")
      ->type_name("TIME")
      ->check(IsDuration());
  app->add_option("--tls-ca", options.tls_ca_file, "TCP: certificates (PEM) to trust; without it the system's")
      ->type_name(kFilePlaceholder);
  app->add_option("--tls-cert", options.tls_cert_file, "TCP: our own certificate (PEM), if the daemon asks for one")
      ->type_name(kFilePlaceholder);
  app->add_option("--tls-key", options.tls_key_file, "TCP: its private key (PEM)")->type_name(kFilePlaceholder);
  app->add_option("--token-file", options.token_file,
                  "TCP: a file with our token, if the daemon asks for one; without it INTERPD_TOKEN_FILE")
      ->type_name(kFilePlaceholder);
  app->add_flag("--insecure", options.insecure, "TCP: no TLS; on loopback only");
  app->set_version_flag("--version", absl::StrCat("interpctl ", kVersion));
  app->set_help_flag("-h,--help", "Print help and exit");
  app->require_subcommand(1);
  app->fallthrough();  // global options may stand behind the command too
  auto formatter = std::make_shared<CLI::Formatter>();
  formatter->column_width(34);
  formatter->right_column_width(86);
  formatter->long_option_alignment_ratio(0.18F);
  formatter->enable_description_formatting(false);  // what is written below is laid out already
  formatter->enable_footer_formatting(false);
  formatter->label("REQUIRED", "");
  formatter->label("Excludes", "  not with");
  app->formatter(formatter);
  app->usage("interpctl [OPTIONS] COMMAND");
  app->footer(
      "`interpctl COMMAND --help` says more about a command.\n\n"
      "Exit codes: 0 fine, 1 the Python code raised or a job failed, 2 usage, 3 no daemon at that address, 4 not "
      "found,\n"
      "5 refused or limit reached, 6 timeout or cancelled, 7 internal error, 8 a job was cancelled, 130 Ctrl-C.\n\n"
      "Example:\n"
      "  interpctl create worker\n"
      "  interpctl call worker math:sqrt 2\n"
      "  interpctl close worker");
  AddInterpreterCommands(*app, session);
  AddCodeCommands(*app, session);
  AddReplCommand(*app, session);
  AddChannelCommands(*app, session);
  AddConstantCommands(*app, session);
  AddJobCommands(*app, session);
  AddTokenCommands(*app, session);
  AddDaemonCommands(*app, session);
  AddStatsCommand(*app, session);
  AddCompletionCommand(*app, session);
  for (CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) command->group("COMMANDS");
  return app;
}

std::vector<std::string> CutScriptArgs(const CLI::App& app, std::vector<std::string>& args) {
  const CLI::App* group = &app;  // where the next word of the command is looked up
  const CLI::App* command = nullptr;
  int words = 0;          // before the script's arguments
  bool has_code = false;  // -c was seen
  size_t i = 0;
  for (bool options_end = false; i < args.size(); ++i) {
    const std::string& arg = args[i];
    const bool is_option = !options_end && arg.size() > 1 && arg[0] == '-';
    if (arg == "--" && !options_end) {
      options_end = true;
    } else if (is_option) {
      const bool is_code = absl::StartsWith(arg, "--code") || absl::StartsWith(arg, "-c");
      has_code = has_code || (command != nullptr && is_code);
      i += ValuesAfter(app, command, arg);
    } else if (command == nullptr) {
      const CLI::App* found = group->get_subcommand_no_throw(arg);
      if (found == nullptr) return {};
      const bool has_script = group == &app ? arg == "exec" || arg == "run" : arg == "submit" || arg == "run";
      if (has_script) {
        command = found;
      } else if (group == &app && arg == "job") {
        group = found;
      } else {
        return {};
      }
    } else {
      ++words;
    }
    if (command == nullptr) continue;
    // exec has the interpreter's name first.
    const int needed = (command->get_name() == "exec" ? 1 : 0) + (has_code && group == &app ? 0 : 1);
    if (words >= needed) {
      ++i;
      break;
    }
  }
  if (i >= args.size()) return {};
  std::vector<std::string> rest(args.begin() + static_cast<std::ptrdiff_t>(i), args.end());
  args.resize(i);
  return rest;
}

std::string NearestCommand(const CLI::App& app, std::string_view word) {
  std::string nearest;
  int least = std::max<int>(2, static_cast<int>(word.size()) / 3) + 1;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    int distance = EditDistance(word, command->get_name());
    if (distance < least) {
      least = distance;
      nearest = command->get_name();
    }
  }
  return nearest;
}

std::optional<int> ParseCommandLine(CLI::App& app, Session& session, std::vector<std::string> args) {
  const auto any = [](const CLI::App*) { return true; };
  std::string path;  // the words that lead to the command: of its group, if it is of one, and its own
  bool missing = false;
  size_t next = 0;
  for (CLI::App* group = &app; !group->get_subcommands(any).empty();) {
    const std::string word = NextWord(app, args, &next);
    missing = word.empty();
    if (missing) break;
    CLI::App* command = group->get_subcommand_no_throw(word);
    if (command == nullptr) {
      std::string nearest = NearestCommand(*group, word);
      session.Err(absl::StrCat("interpctl: there is no command \"", path, word, "\"",
                               nearest.empty() ? "" : absl::StrCat("; did you mean \"", path, nearest, "\"?"),
                               "\nRun `interpctl ", path, "--help` for the commands.\n"));
      return kUsage;
    }
    absl::StrAppend(&path, word, " ");
    group = command;
  }
  session.script_args = CutScriptArgs(app, args);
  for (std::string& arg : args) arg = EscapeForCli11(arg);
  std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
  // CLI11 reports by exceptions; they end here.
  try {
    app.parse(std::move(args));
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    int code = app.exit(error, out, err);
    session.Out(out.str());
    if (code == 0) return kOk;  // help or version
    session.Err(absl::StrCat("interpctl: ", missing ? "a command is missing" : error.what(), "\nRun `interpctl ", path,
                             "--help` for how to use it.\n"));
    return kUsage;
  }
  return std::nullopt;
}

}  // namespace interpd::client
