// ChannelNames: channels by the names that clients use, those included that have none of their own.
//
// Who includes this: the RPCs of channels, and the codec of values that refer to channels.
//
// An anonymous channel that goes out in a value gets the name channels/~N, and is held here for ten minutes after it
// was last named, in or out, or until 10,000 others are; whoever uses it meanwhile holds it too. Thread safety: all
// methods, any thread, interpreters' threads included: memory and one lock that nobody holds long.
#ifndef INTERPD_DAEMON_CHANNEL_NAMES_H_
#define INTERPD_DAEMON_CHANNEL_NAMES_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "channels/channel.h"
#include "channels/channel_registry.h"
#include "channels/shared.h"

namespace interpd::daemon {

class ChannelNames {
 public:
  static constexpr absl::Duration kHeld = absl::Minutes(10);
  static constexpr size_t kMaxHeld = 10'000;

  // For clients in that space of names (principal.h). `now` is for tests.
  ChannelNames(channels::ChannelRegistry& registry, std::string space, absl::Time (*now)() = absl::Now)
      : registry_(registry), space_(std::move(space)), now_(now) {}

  const std::string& space() const { return space_; }

  // The resource name of a channel with that full name, of this space or, without one, of any.
  std::string ResourceName(std::string_view full_name) const;

  // "channels/one" -> its full name. Errors: INVALID_FIELD with that field.
  absl::StatusOr<std::string> Parse(std::string_view name, std::string_view field) const;

  // The resource name by which a client can find it. One with a name in another space is held like one without.
  std::string NameOf(const channels::Ref<channels::Channel>& channel);

  // By its resource name. Errors: INVALID_FIELD with that field, CHANNEL_NOT_FOUND.
  absl::StatusOr<channels::Ref<channels::Channel>> Find(std::string_view name, std::string_view field);

  // Anonymous channels that are held.
  size_t held_count();

 private:
  struct Held {
    uint64_t number;
    channels::Ref<channels::Channel> channel;
    absl::Time named;
  };
  using List = std::list<Held>;  // the one named last comes last

  // Moves what is too old to `dead`, whose owner drops it without the lock.
  void Sweep(List* dead) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Named(List::iterator held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  channels::ChannelRegistry& registry_;
  const std::string space_;
  absl::Time (*const now_)();
  absl::Mutex mutex_;
  List held_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<const channels::Channel*, List::iterator> by_channel_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, List::iterator> by_number_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CHANNEL_NAMES_H_
