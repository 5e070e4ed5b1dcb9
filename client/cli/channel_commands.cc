// channel create, list, get, close, stats; send and recv have a file of their own.
#include "client/cli/channel_commands.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/print.h"

namespace interpd::client {
namespace {

struct CreateOptions {
  std::string name;
  int64_t capacity = 0;
  bool broadcast = false;
};

int Create(Session& session, const CreateOptions& options, bool has_capacity) {
  v1::CreateChannelRequest request;
  request.set_channel_id(std::string(ChannelId(options.name)));
  v1::ChannelConfig& config = *request.mutable_config();
  if (has_capacity) config.set_capacity(options.capacity);
  config.set_kind(options.broadcast ? v1::ChannelConfig::BROADCAST : v1::ChannelConfig::QUEUE);
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  absl::StatusOr<v1::Channel> channel = (*client)->CreateChannel(request, session.rpc());
  if (!channel.ok()) return session.Fail(channel.status());
  session.Out(session.json() ? JsonDocument(*channel) : absl::StrCat(ChannelId(channel->name()), "\n"));
  return kOk;
}

// All channels, or those of `names`.
absl::StatusOr<std::vector<v1::Channel>> Find(Session& session, const std::vector<std::string>& names) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return client.status();
  if (names.empty()) return (*client)->ListChannels(session.rpc());
  std::vector<v1::Channel> channels;
  for (const std::string& name : names) {
    absl::StatusOr<v1::Channel> channel = (*client)->GetChannel(name, session.rpc());
    if (!channel.ok()) return channel.status();
    channels.push_back(*std::move(channel));
  }
  return channels;
}

int Show(Session& session, const std::vector<std::string>& names,
         std::string (*table)(std::span<const v1::Channel> channels)) {
  absl::StatusOr<std::vector<v1::Channel>> channels = Find(session, names);
  if (!channels.ok()) return session.Fail(channels.status());
  if (session.json()) {
    session.Out(JsonDocument(*channels));
  } else if (session.options.quiet) {
    std::string ids;
    for (const v1::Channel& channel : *channels) absl::StrAppend(&ids, ChannelId(channel.name()), "\n");
    session.Out(ids);
  } else {
    session.Out(table(*channels));
  }
  return kOk;
}

int Get(Session& session, const std::string& name) {
  absl::StatusOr<std::vector<v1::Channel>> channels = Find(session, {name});
  if (!channels.ok()) return session.Fail(channels.status());
  const v1::Channel& channel = channels->front();
  session.Out(session.json()          ? JsonDocument(channel)
              : session.options.quiet ? absl::StrCat(ChannelId(channel.name()), "\n")
                                      : ChannelFields(channel));
  return kOk;
}

int Close(Session& session, const std::vector<std::string>& names, bool discard) {
  absl::StatusOr<Client*> client = session.client();
  if (!client.ok()) return session.Fail(client.status());
  int code = kOk;
  std::vector<v1::Channel> closed;
  for (const std::string& name : names) {
    v1::CloseChannelRequest request;
    request.set_name(name);
    request.set_discard(discard);
    absl::StatusOr<v1::Channel> channel = (*client)->CloseChannel(request, session.rpc());
    if (!channel.ok()) {
      int failure = session.Fail(channel.status());
      if (code == kOk) code = failure;
      continue;
    }
    if (session.options.quiet) session.Out(absl::StrCat(ChannelId(channel->name()), "\n"));
    closed.push_back(*std::move(channel));
  }
  if (session.json()) {
    if (names.size() > 1) {
      session.Out(JsonDocument(closed));
    } else if (!closed.empty()) {
      session.Out(JsonDocument(closed[0]));
    }
  }
  return code;
}

}  // namespace

void AddChannelCommands(CLI::App& app, Session& session) {
  CLI::App* channel = app.add_subcommand("channel", "Create and use channels, which carry values between interpreters");
  channel->usage("interpctl channel COMMAND [OPTIONS]");
  channel->footer(
      "`interpctl channel COMMAND --help` says more about a command.\n\n"
      "Example:\n"
      "  interpctl channel create jobs --capacity 100\n"
      "  interpctl channel send jobs '{\"id\": 1}' '{\"id\": 2}'\n"
      "  interpctl channel recv jobs -n 2");
  channel->require_subcommand(1);
  {
    auto options = std::make_shared<CreateOptions>();
    CLI::App* create = channel->add_subcommand("create", "Create a channel and print its name");
    create->add_option("ID", options->name, "Name of the channel; without it the daemon chooses one")->type_name("");
    CLI::Option* broadcast =
        create->add_flag("--broadcast", options->broadcast, "Every receiver gets every value that is sent meanwhile");
    CLI::Option* capacity =
        create
            ->add_option("--capacity", options->capacity,
                         "Values that may lie in it; without it 1024. 0: a sender waits until a receiver comes")
            ->type_name("N")
            ->check(CLI::Range(int64_t{0}, int64_t{1} << 20).description(""))
            ->excludes(broadcast);
    create->usage("interpctl channel create [ID] [--capacity N | --broadcast] [OPTIONS]");
    create->footer(
        "Examples:\n"
        "  interpctl channel create jobs --capacity 100\n"
        "  interpctl channel create ticks --broadcast");
    create->callback([&session, options, capacity] {
      session.command = [&session, options, given = capacity->count() > 0] { return Create(session, *options, given); };
    });
  }
  {
    CLI::App* list = channel->add_subcommand("list", "List channels");
    list->usage("interpctl channel list [OPTIONS]");
    list->footer("Examples:\n  interpctl channel list\n  interpctl channel list -o json");
    list->callback([&session] { session.command = [&session] { return Show(session, {}, ChannelTable); }; });
  }
  {
    auto name = std::make_shared<std::string>();
    CLI::App* get = channel->add_subcommand("get", "Show one channel");
    get->add_option(kChannelPlaceholder, *name, "Name of the channel")->type_name("")->required();
    get->usage("interpctl channel get CHANNEL [OPTIONS]");
    get->footer("Example:\n  interpctl channel get jobs");
    get->callback([&session, name] { session.command = [&session, name] { return Get(session, *name); }; });
  }
  AddSendCommand(*channel, session);
  AddRecvCommand(*channel, session);
  {
    auto names = std::make_shared<std::vector<std::string>>();
    auto discard = std::make_shared<bool>(false);
    CLI::App* close = channel->add_subcommand("close", "Close channels: no more is sent, what is in them is received");
    close->add_option(kChannelPlaceholder, *names, "Names of the channels")->type_name("")->required();
    close->add_flag("--discard", *discard, "Drop what is in them, so that their names are free at once");
    close->usage("interpctl channel close CHANNEL... [--discard] [OPTIONS]");
    close->footer(
        "Goes on when one cannot be closed, and ends with the first error's exit code.\n\n"
        "Example:\n"
        "  interpctl channel close jobs results");
    close->callback([&session, names, discard] {
      session.command = [&session, names, discard] { return Close(session, *names, *discard); };
    });
  }
  {
    auto names = std::make_shared<std::vector<std::string>>();
    CLI::App* stats = channel->add_subcommand("stats", "Show what has gone through channels and who waits");
    stats->add_option(kChannelPlaceholder, *names, "Names of channels; without them all")->type_name("");
    stats->usage("interpctl channel stats [CHANNEL...] [OPTIONS]");
    stats->footer("Examples:\n  interpctl channel stats\n  interpctl channel stats jobs -o json");
    stats->callback([&session, names] {
      session.command = [&session, names] { return Show(session, *names, ChannelStatsTable); };
    });
  }
  for (CLI::App* command : channel->get_subcommands([](const CLI::App*) { return true; })) command->group("COMMANDS");
}

}  // namespace interpd::client
