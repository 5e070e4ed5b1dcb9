// Listeners: who waits for one direction of a channel without sleeping on it: watchers and selects.
//
// Who includes this: the flavours of channels.
//
// Of news every watcher is told (once, and is off the list then), and one select, the one that waits longest. The baton
// rule holds for selects: one that was told and goes without trying calls PassOn. A select is signalled before it is
// marked as told, so that a notifier that stops in between keeps the news from nobody: the next one signals the same
// select again. A notifier that stops after it has taken a watcher out holds up that watcher's call alone: no other can
// make it, since it is made once.
//
// Thread safety: all methods, any thread.
#ifndef INTERPD_CHANNELS_LISTENERS_H_
#define INTERPD_CHANNELS_LISTENERS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "channels/atom.h"
#include "channels/channel.h"
#include "channels/event_count.h"
#include "channels/place_list.h"
#include "channels/select_waiter.h"

namespace interpd::channels {

template <template <typename> class Atom>
class Listeners {
 public:
  // After the channel has changed: tells them.
  void Notify(Published published) {
    if (!AnyArmed(published)) return;
    TellWatchers();
    TellOneSelect();
  }
  void NotifyAll() {
    if (!AnyArmed(Published::kAnyhow)) return;
    TellWatchers();
    selects_.ForEachArmed([this](SelectPlace* place, uint64_t version) { SignalAndTell(place, version); });
  }
  // Where a fence was already: as Notify.
  void NotifyAfterFence() {
    if (armed_.load(std::memory_order_relaxed) == 0) return;  // relaxed: ordered by the fence
    TellWatchers();
    TellOneSelect();
  }
  void PassOn() {
    if (AnyArmed(Published::kAnyhow)) TellOneSelect();
  }

  // ---- watchers ----

  // The caller then looks at the channel, and if it is ready calls Fire.
  WatchId Watch(Direction direction, std::shared_ptr<Watcher> watcher) {
    WatchId id;
    id.direction = direction;
    id.place = watchers_.Put(nullptr, std::move(watcher), &id.version);
    return id;
  }
  // Takes the watcher off; null: somebody has.
  std::shared_ptr<Watcher> Unwatch(const WatchId& id) {
    if (id.place == nullptr) return nullptr;
    return TakeOut(static_cast<WatchPlace*>(id.place), id.version);
  }
  void TellWatchers() {
    watchers_.ForEachArmed([this](WatchPlace* place, uint64_t version) {
      if (std::shared_ptr<Watcher> watcher = TakeOut(place, version)) watcher->Ready();
    });
  }
  // The one that has waited longest, off the list; null: none is there.
  std::shared_ptr<Watcher> TakeOneWatcher() {
    uint64_t version;
    while (WatchPlace* place = watchers_.Oldest(nullptr, &version)) {
      if (std::shared_ptr<Watcher> watcher = TakeOut(place, version)) return watcher;
    }
    return nullptr;
  }
  bool HasWatcher() const {
    bool any = false;
    watchers_.ForEachArmed([&](WatchPlace*, uint64_t) { any = true; });
    return any;
  }

  // ---- selects ----

  void Enlist(SelectEntry& entry) { entry.place = selects_.Put(entry.waiter, entry, &entry.place_version); }
  // True: it was told.
  bool Delist(SelectEntry& entry) {
    return selects_.Leave(static_cast<SelectPlace*>(entry.place), entry.place_version) == Selects::Left::kTold;
  }
  bool TellOneSelect() {
    uint64_t version;
    while (SelectPlace* place = selects_.Oldest(nullptr, &version)) {
      if (SignalAndTell(place, version)) return true;
    }
    return false;
  }
  // Whether a select waits, other than that of `except`.
  bool HasSelect(const SelectWaiter* except) const {
    uint64_t version;
    return selects_.Oldest(except, &version) != nullptr;
  }
  // Makes a rendezvous with one that waits: `move` moves the value between its case's value and the caller's.
  // may_meet() is asked when one was found: it sees whatever that one did before it listed itself.
  template <typename MayMeet, typename Move>
  bool Meet(MayMeet may_meet, Move move) {
    uint64_t version;
    while (SelectPlace* place = selects_.Oldest(nullptr, &version)) {
      if (!may_meet()) return false;
      if (!selects_.Take(place, version)) continue;
      const SelectEntry& entry = place->payload;
      const bool claimed = entry.waiter->TryClaim(entry.wait_version);
      if (claimed) {
        move(entry.value);
        SelectWaiter* waiter = entry.waiter;
        waiter->Complete(entry.index);
      }
      selects_.Free(place);
      if (claimed) return true;
    }
    return false;
  }

 private:
  using Watchers = PlaceList<void, std::shared_ptr<Watcher>, Atom>;
  using WatchPlace = typename Watchers::Place;
  using Selects = PlaceList<SelectWaiter, SelectEntry, Atom>;
  using SelectPlace = typename Selects::Place;

  bool AnyArmed(Published published) const {
    // seq_cst: see Published.
    if (published == Published::kSeqCst) return armed_.load(std::memory_order_seq_cst) != 0;
    Fence<Atom>(std::memory_order_seq_cst);
    return armed_.load(std::memory_order_relaxed) != 0;  // relaxed: ordered by the fence
  }

  bool SignalAndTell(SelectPlace* place, uint64_t version) {
    // acquire: the waiter of this version, or of a later one, who is signalled for nothing.
    place->waiter.load(std::memory_order_acquire)->Signal();
    return selects_.Tell(place, version);
  }

  std::shared_ptr<Watcher> TakeOut(WatchPlace* place, uint64_t version) {
    if (!watchers_.Take(place, version)) return nullptr;
    std::shared_ptr<Watcher> watcher = std::move(place->payload);
    watchers_.Free(place);
    return watcher;
  }

  Atom<uint64_t> armed_{0};
  Watchers watchers_{&armed_};
  Selects selects_{&armed_};
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_LISTENERS_H_
