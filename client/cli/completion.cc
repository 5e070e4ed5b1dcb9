#include "client/cli/completion.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"

namespace interpd::client {
namespace {

// What stands in the place of an option's value or a positional argument.
enum class Kind { kNothing, kAnything, kInterpreter, kChannel, kConstant, kJob, kFile, kDirectory, kChoice };

struct Argument {
  Kind kind = Kind::kNothing;
  std::vector<std::string> choices;
  bool repeats = false;
};

struct Option {
  std::vector<std::string> names;  // with their dashes
  std::string description;
  Argument value;
};

struct Command {
  std::string name;  // with the group it is of: "channel send"
  std::string description;
  std::vector<Option> options;
  std::vector<Argument> positionals;
  std::vector<Command> commands;  // of a group

  // Its own word.
  std::string word() const { return name.substr(name.rfind(' ') + 1); }
};

Argument ArgumentOf(const CLI::Option& option) {
  Argument argument;
  argument.repeats = option.get_items_expected_max() > 1;
  const std::string type =
      option.get_type_name().empty() ? option.get_name(/*positional=*/true) : option.get_type_name();
  if (option.get_items_expected_max() == 0) return argument;
  argument.kind = Kind::kAnything;
  if (type == kInterpreterPlaceholder) argument.kind = Kind::kInterpreter;
  if (type == kChannelPlaceholder) argument.kind = Kind::kChannel;
  if (type == kConstantPlaceholder) argument.kind = Kind::kConstant;
  if (type == kJobPlaceholder) argument.kind = Kind::kJob;
  if (type == kFilePlaceholder) argument.kind = Kind::kFile;
  if (type == kDirectoryPlaceholder) argument.kind = Kind::kDirectory;
  if (absl::StrContains(type, '|')) {
    argument.kind = Kind::kChoice;
    argument.choices = absl::StrSplit(type, '|');
  }
  return argument;
}

// One line: a description may span several.
std::string OneLine(std::string_view text) { return absl::StrReplaceAll(text, {{"\n", " "}}); }

Command CommandOf(const CLI::App& app) {
  Command command{.name = app.get_name(), .description = OneLine(app.get_description())};
  for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; })) {
    if (option->get_positional()) {
      command.positionals.push_back(ArgumentOf(*option));
      continue;
    }
    Option item{.description = OneLine(option->get_description()), .value = ArgumentOf(*option)};
    for (const std::string& name : option->get_snames()) item.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) item.names.push_back("--" + name);
    command.options.push_back(std::move(item));
  }
  return command;
}

std::vector<Command> CommandsOf(const CLI::App& app, const std::string& group = "") {
  std::vector<Command> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(CommandOf(*command));
    commands.back().name = group + commands.back().name;
    commands.back().commands = CommandsOf(*command, commands.back().name + " ");
  }
  return commands;
}

// Commands with those of groups behind their group.
std::vector<Command> Flat(const std::vector<Command>& commands) {
  std::vector<Command> all;
  for (const Command& command : commands) {
    all.push_back(command);
    for (const Command& one : Flat(command.commands)) all.push_back(one);
  }
  return all;
}

std::vector<std::string> Words(const std::vector<Command>& commands) {
  std::vector<std::string> words;
  words.reserve(commands.size());
  for (const Command& command : commands) words.push_back(command.word());
  return words;
}

// In single quotes for sh and its kin. Each shell writes a quote within them in its own way.
std::string Quote(std::string_view text, std::string_view quote_within) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", quote_within}}), "'");
}

// ---- bash ----------------------------------------------------------------------------------------------------------

std::string BashReply(const Argument& argument) {
  switch (argument.kind) {
    case Kind::kInterpreter: return "COMPREPLY=($(compgen -W \"$(_interpctl_names)\" -- \"$cur\"))";
    case Kind::kChannel: return "COMPREPLY=($(compgen -W \"$(_interpctl_names channel)\" -- \"$cur\"))";
    case Kind::kConstant: return "COMPREPLY=($(compgen -W \"$(_interpctl_names constant)\" -- \"$cur\"))";
    case Kind::kJob: return "COMPREPLY=($(compgen -W \"$(_interpctl_names job)\" -- \"$cur\"))";
    case Kind::kFile: return "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))";
    case Kind::kDirectory: return "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\"))";
    case Kind::kChoice:
      return absl::StrCat("COMPREPLY=($(compgen -W '", absl::StrJoin(argument.choices, " "), "' -- \"$cur\"))");
    default: return ":";
  }
}

// A command as a pattern of `case`.
std::string BashPattern(const Command& command) {
  return absl::StrContains(command.name, ' ') ? absl::StrCat("'", command.name, "'") : command.name;
}

// The pattern of a `case` over `prefix` and any name of the option.
std::string BashPatterns(std::string_view prefix, const Option& option) {
  auto append = [prefix](std::string* out, const std::string& name) { absl::StrAppend(out, prefix, name); };
  return absl::StrJoin(option.names, "|", append);
}

// Cases of a `case` over `prefix` and the option before the cursor.
void AppendBashOptionValues(const Command& command, std::string_view prefix, std::string& out) {
  for (const Option& option : command.options) {
    if (option.value.kind == Kind::kNothing) continue;
    absl::StrAppend(&out, "    ", BashPatterns(prefix, option), ") ", BashReply(option.value), "; return ;;\n");
  }
}

std::string OptionNames(const Command& command, bool only_with_value) {
  std::vector<std::string> names;
  for (const Option& option : command.options) {
    if (only_with_value && option.value.kind == Kind::kNothing) continue;
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return absl::StrJoin(names, only_with_value ? "|" : " ");
}

// ---- zsh -----------------------------------------------------------------------------------------------------------

std::string ZshAction(const Argument& argument) {
  switch (argument.kind) {
    case Kind::kInterpreter: return ":interpreter:_interpctl_names";
    case Kind::kChannel: return ":channel:_interpctl_channels";
    case Kind::kConstant: return ":constant:_interpctl_constants";
    case Kind::kJob: return ":job:_interpctl_jobs";
    case Kind::kFile: return ":file:_files";
    case Kind::kDirectory: return ":directory:_files -/";
    case Kind::kChoice: return absl::StrCat(":value:(", absl::StrJoin(argument.choices, " "), ")");
    case Kind::kAnything: return ":value: ";
    case Kind::kNothing: return "";
  }
  return "";
}

// The specifications that zsh's _arguments reads, each quoted.
std::string ZshOptions(const Command& command) {
  std::string out;
  for (const Option& option : command.options) {
    std::string description = absl::StrReplaceAll(option.description, {{"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
    for (const std::string& name : option.names) {
      absl::StrAppend(&out, " \\\n        ",
                      Quote(absl::StrCat("*", name, "[", description, "]", ZshAction(option.value)), "'\\''"));
    }
  }
  return out;
}

// The global options but for those that the command has under the same name.
Command Without(Command global, const Command& command) {
  std::erase_if(global.options, [&command](const Option& option) {
    return absl::c_any_of(command.options,
                          [&option](const Option& own) { return own.names.back() == option.names.back(); });
  });
  return global;
}

// The rest of an _arguments that ends with one of `commands` and its arguments, and what follows it. A group's commands
// stand inside of its case.
void AppendZshCommands(const Command& global, const std::vector<Command>& commands, const std::string& indent,
                       std::string& out) {
  absl::StrAppend(&out, ZshOptions(global), " \\\n        '1:command:->command' '*::argument:->argument'\n", indent,
                  "case $state in\n", indent, "command)\n", indent, "  local -a commands=(\n");
  for (const Command& command : commands) {
    absl::StrAppend(&out, indent, "    ", Quote(absl::StrCat(command.word(), ":", command.description), "'\\''"), "\n");
  }
  absl::StrAppend(&out, indent, "  )\n", indent, "  _describe command commands ;;\n", indent, "argument)\n", indent,
                  "  state=\n", indent, "  case $words[1] in\n");
  for (const Command& command : commands) {
    absl::StrAppend(&out, indent, "  ", command.word(), ") _arguments");
    if (!command.commands.empty()) {
      out += " -C";
      AppendZshCommands(global, command.commands, indent + "    ", out);
      absl::StrAppend(&out, indent, "    ;;\n");
      continue;
    }
    absl::StrAppend(&out, ZshOptions(command), ZshOptions(Without(global, command)));
    for (size_t i = 0; i < command.positionals.size(); ++i) {
      const Argument& argument = command.positionals[i];
      absl::StrAppend(&out, " \\\n        ",
                      Quote(absl::StrCat(argument.repeats ? "*" : absl::StrCat(i + 1), ZshAction(argument)), "'\\''"));
    }
    out += " ;;\n";
  }
  absl::StrAppend(&out, indent, "  esac ;;\n", indent, "esac\n");
}

// ---- fish ----------------------------------------------------------------------------------------------------------

std::string FishArguments(const Argument& argument) {
  switch (argument.kind) {
    case Kind::kInterpreter: return " -a '(__interpctl_names)'";
    case Kind::kChannel: return " -a '(__interpctl_names channel)'";
    case Kind::kConstant: return " -a '(__interpctl_names constant)'";
    case Kind::kJob: return " -a '(__interpctl_names job)'";
    case Kind::kFile: return " -F";
    case Kind::kDirectory: return " -a '(__fish_complete_directories)'";
    case Kind::kChoice: return absl::StrCat(" -a '", absl::StrJoin(argument.choices, " "), "'");
    default: return "";
  }
}

void AppendFishOptions(const Command& command, std::string_view condition, std::string& out) {
  for (const Option& option : command.options) {
    absl::StrAppend(&out, "complete -c interpctl", condition);
    for (std::string_view name : option.names) {
      out += absl::StartsWith(name, "--") ? absl::StrCat(" -l ", name.substr(2)) : absl::StrCat(" -s ", name.substr(1));
    }
    // -x: a value, and no names of files for it.
    const std::string_view takes = option.value.kind == Kind::kNothing ? ""
                                   : option.value.kind == Kind::kFile  ? " -r"
                                                                       : " -x";
    absl::StrAppend(&out, takes, FishArguments(option.value));
    absl::StrAppend(&out, " -d ", Quote(option.description, "\\'"), "\n");
  }
}

int PrintCompletion(Session& session, const CLI::App& app, const std::string& shell) {
  session.Out(shell == "bash" ? BashCompletion(app) : shell == "zsh" ? ZshCompletion(app) : FishCompletion(app));
  return kOk;
}

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  const Command global = CommandOf(app);
  const std::vector<Command> top = CommandsOf(app);
  const std::vector<Command> commands = Flat(top);

  std::string out =
      "# bash completion of interpctl; in ~/.bashrc: source <(interpctl completion bash)\n"
      "_interpctl_names() {\n"
      "  interpctl ${address:+--address \"$address\"} \"$@\" list -q --connect-timeout 1 2>/dev/null\n"
      "}\n"
      "_interpctl() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words=0 address= i word\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    word=${COMP_WORDS[i]}\n"
      "    case $command:$word in\n";
  absl::StrAppend(&out, "    *:--address) address=${COMP_WORDS[++i]} ;;\n");
  for (const Command* command : [&] {
         std::vector<const Command*> all = {&global};
         for (const Command& one : commands) all.push_back(&one);
         return all;
       }()) {
    for (const Option& option : command->options) {
      if (option.value.kind == Kind::kNothing || option.names.back() == "--address") continue;
      const std::string prefix = absl::StrCat(command == &global ? "*" : BashPattern(*command), ":");
      absl::StrAppend(&out, "    ", BashPatterns(prefix, option), ") ((++i)) ;;\n");
    }
  }
  absl::StrAppend(&out,
                  "    *:-*) ;;\n"
                  "    :*) command=$word ;;\n");
  for (const Command& command : top) {
    if (!command.commands.empty()) {
      absl::StrAppend(&out, "    ", command.name, ":*) command=\"", command.name, " $word\" ;;\n");
    }
  }
  absl::StrAppend(&out,
                  "    *) ((++words)) ;;\n"
                  "    esac\n"
                  "  done\n"
                  "  case $command:$prev in\n");
  // A command's own options come before global ones of the same name.
  for (const Command& command : commands) AppendBashOptionValues(command, BashPattern(command) + ":", out);
  AppendBashOptionValues(global, "*:", out);
  absl::StrAppend(&out,
                  "  esac\n"
                  "  if [[ $cur == -* ]]; then\n"
                  "    local options='",
                  OptionNames(global, false), "'\n    case $command in\n");
  for (const Command& command : commands) {
    absl::StrAppend(&out, "    ", BashPattern(command), ") options+=' ", OptionNames(command, false), "' ;;\n");
  }
  absl::StrAppend(&out,
                  "    esac\n"
                  "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                  "    return\n"
                  "  fi\n"
                  "  case $command:$words in\n"
                  "  :*) COMPREPLY=($(compgen -W '",
                  absl::StrJoin(Words(top), " "), "' -- \"$cur\")) ;;\n");
  for (const Command& command : commands) {
    if (!command.commands.empty()) {
      absl::StrAppend(&out, "  ", command.name, ":*) COMPREPLY=($(compgen -W '",
                      absl::StrJoin(Words(command.commands), " "), "' -- \"$cur\")) ;;\n");
    }
    for (size_t i = 0; i < command.positionals.size(); ++i) {
      const Argument& argument = command.positionals[i];
      if (argument.kind == Kind::kAnything) continue;
      absl::StrAppend(&out, "  ", BashPattern(command), ":", argument.repeats ? "*" : absl::StrCat(i), ") ",
                      BashReply(argument), " ;;\n");
    }
  }
  absl::StrAppend(&out, "  esac\n}\ncomplete -F _interpctl interpctl\n");
  return out;
}

std::string ZshCompletion(const CLI::App& app) {
  const Command global = CommandOf(app);
  const std::vector<Command> commands = CommandsOf(app);
  std::string out =
      "#compdef interpctl\n"
      "# zsh completion of interpctl; in ~/.zshrc: source <(interpctl completion zsh)\n"
      "_interpctl_list() {\n"
      "  local -a names\n"
      "  names=(${(f)\"$(interpctl ${opt_args[--address]:+--address ${opt_args[--address]}} \"$@\" list -q "
      "--connect-timeout 1 2>/dev/null)\"})\n"
      "  compadd -a names\n"
      "}\n"
      "_interpctl_names() { _interpctl_list }\n"
      "_interpctl_channels() { _interpctl_list channel }\n"
      "_interpctl_constants() { _interpctl_list constant }\n"
      "_interpctl_jobs() { _interpctl_list job }\n"
      "_interpctl() {\n"
      "  local curcontext=$curcontext state line\n"
      "  typeset -A opt_args\n"
      "  _arguments -C";
  AppendZshCommands(global, commands, "  ", out);
  out +=
      "}\n"
      "if [ \"$funcstack[1]\" = _interpctl ]; then _interpctl \"$@\"; else compdef _interpctl interpctl; fi\n";
  return out;
}

std::string FishCompletion(const CLI::App& app) {
  std::string out =
      "# fish completion of interpctl; in config.fish: interpctl completion fish | source\n"
      "function __interpctl_names\n"
      "    set -l words (commandline -opc)\n"
      "    set -l at (contains -i -- --address $words)\n"
      "    if test -n \"$at\"\n"
      "        interpctl --address $words[(math $at + 1)] $argv list -q --connect-timeout 1 2>/dev/null\n"
      "    else\n"
      "        interpctl $argv list -q --connect-timeout 1 2>/dev/null\n"
      "    end\n"
      "end\n"
      "complete -c interpctl -f\n";
  AppendFishOptions(CommandOf(app), "", out);
  const std::vector<Command> top = CommandsOf(app);
  for (const Command& command : Flat(top)) {
    const size_t space = command.name.find(' ');
    std::string condition = absl::StrCat("__fish_seen_subcommand_from ", command.word());
    if (space == std::string::npos) {
      absl::StrAppend(&out, "complete -c interpctl -n __fish_use_subcommand -a ", command.name, " -d ",
                      Quote(command.description, "\\'"), "\n");
      // A word of a group's command may be that of a command too.
      for (const Command& group : top) {
        if (!group.commands.empty() && group.name != command.name) {
          absl::StrAppend(&condition, "; and not __fish_seen_subcommand_from ", group.name);
        }
      }
    } else {
      const std::string group = command.name.substr(0, space);
      const Command& parent = *absl::c_find_if(top, [&](const Command& one) { return one.name == group; });
      absl::StrAppend(&out, "complete -c interpctl -n '__fish_seen_subcommand_from ", group,
                      "; and not __fish_seen_subcommand_from ", absl::StrJoin(Words(parent.commands), " "), "' -a ",
                      command.word(), " -d ", Quote(command.description, "\\'"), "\n");
      condition = absl::StrCat("__fish_seen_subcommand_from ", group, "; and ", condition);
    }
    condition = absl::StrCat(" -n '", condition, "'");
    AppendFishOptions(command, condition, out);
    for (const Argument& argument : command.positionals) {
      if (argument.kind == Kind::kAnything) continue;
      absl::StrAppend(&out, "complete -c interpctl", condition, FishArguments(argument), "\n");
    }
  }
  return out;
}

void AddCompletionCommand(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion = app.add_subcommand("completion", "Print a shell's completion script");
  completion->add_option("SHELL", *shell, "The shell")
      ->type_name("bash|zsh|fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""))
      ->required();
  completion->usage("interpctl completion bash|zsh|fish");
  completion->footer(
      "Examples:\n"
      "  source <(interpctl completion bash)      in ~/.bashrc\n"
      "  source <(interpctl completion zsh)       in ~/.zshrc\n"
      "  interpctl completion fish | source       in config.fish");
  completion->callback([&app, &session, shell] {
    session.command = [&app, &session, shell] { return PrintCompletion(session, app, *shell); };
  });
}

}  // namespace interpd::client
