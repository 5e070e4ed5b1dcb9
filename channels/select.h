// Select: waits for the first of several channel operations that can be done, and does it.
//
// Who includes this: whatever serves several channels at once.
//
//   SelectCase cases[] = {{&in, Direction::kRecv, &got}, {&out, Direction::kSend, &next}};
//   size_t chosen;
//   Outcome outcome = Select(absl::MakeSpan(cases), &chosen, {});
//   // kDone: the operation of cases[chosen] was done. kClosed: the channel of cases[chosen] is closed (and drained).
//
// Guarantees: exactly one case is done, or none; of several that can be done each has the same chance (the search
// begins at a random one); no polling: a select that sleeps is woken by what makes a case ready. A channel may stand in
// several cases; a select makes no rendezvous with itself.
//
// Thread safety: any thread; each call has cases and values of its own.
#ifndef INTERPD_CHANNELS_SELECT_H_
#define INTERPD_CHANNELS_SELECT_H_

#include <cstddef>

#include "absl/types/span.h"
#include "channels/channel.h"

namespace interpd::channels {

struct SelectCase {
  Channel* channel;
  Direction direction;
  // kSend: what to send, moved from when this case is done. kRecv: where to put it.
  Value* value;
};

enum class WithDefault : bool { kNo, kYes };

// kDone or kClosed with the case in *chosen; kTimeout or kInterrupted, no case was done; with a default: kEmpty instead
// of waiting. No cases: waits for the deadline or the interrupt, or takes the default. Requires: the channels live
// until it returns.
Outcome Select(absl::Span<const SelectCase> cases, size_t* chosen, const Wait& wait,
               WithDefault with_default = WithDefault::kNo);

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_SELECT_H_
