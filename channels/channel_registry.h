// ChannelRegistry: name -> channel, for those who meet by a name.
//
// Who includes this: interp/host_module and daemon/channels_service, which share one.
//
// A name belongs to its channel until that is closed and drained; such a name is as good as unknown, and is forgotten
// when the registry next looks. The registry holds a reference: a named channel lives without any other.
//
// Names may be in spaces (channels/names.h); messages say the ID alone, and tell of nothing outside of its space.
//
// Errors (channels/error.h): CHANNEL_NOT_FOUND, CHANNEL_EXISTS, CHANNEL_CLOSED, INVALID_FIELD.
// Thread safety: all methods, any thread; they take a lock, and no send or receive does.
#ifndef INTERPD_CHANNELS_CHANNEL_REGISTRY_H_
#define INTERPD_CHANNELS_CHANNEL_REGISTRY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "channels/channel.h"
#include "channels/shared.h"

namespace interpd::channels {

class ChannelRegistry {
 public:
  ChannelRegistry() = default;
  ChannelRegistry(const ChannelRegistry&) = delete;
  ChannelRegistry& operator=(const ChannelRegistry&) = delete;

  // A new channel; options.name is its name, an empty ID asks for a fresh one.
  // Errors: INVALID_FIELD (name, capacity), CHANNEL_EXISTS.
  absl::StatusOr<Ref<Channel>> Create(ChannelOptions options);

  // The channel of that name, whatever its options, or else a new one. One that is closed and not drained is returned:
  // what was sent can be received. Errors: INVALID_FIELD.
  absl::StatusOr<Ref<Channel>> OpenOrCreate(ChannelOptions options);

  // Errors: CHANNEL_NOT_FOUND, whose message names the ones that exist when they are few.
  absl::StatusOr<Ref<Channel>> Get(std::string_view name);

  // Those with names after `after`, in the order of their names, at most `limit`.
  std::vector<Ref<Channel>> List(std::string_view after, size_t limit);

  // Closes the channel. Its name goes when it is drained, or, with `discard`, at once with what is in it.
  // Errors: CHANNEL_NOT_FOUND; CHANNEL_CLOSED: closed before, and not drained (with `discard` that is no error).
  absl::Status Close(std::string_view name, bool discard);

  // Closes all, and destroys what is in them. For the end of the process.
  void DiscardAll();

 private:
  using Channels = std::map<std::string, Ref<Channel>, std::less<>>;

  // All under the lock.
  // Forgets drained channels, and gives them to `dead`, whose owner drops them after the lock.
  void Sweep(std::vector<Ref<Channel>>* dead);
  Channels::iterator Find(std::string_view name);
  absl::Status NotFound(std::string_view name);
  Ref<Channel> MakeNew(ChannelOptions options);

  std::mutex mutex_;
  Channels channels_;
  std::map<std::string, uint64_t, std::less<>> fresh_names_;  // how many there were, by space
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_CHANNEL_REGISTRY_H_
