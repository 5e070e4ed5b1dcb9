// Channels that values in the journal refer to.
//
// Who includes this: the engine, and the RPC that shows results. Thread safety: plain functions, callable anywhere.
//
// A value in the journal says "channels/one" and means the channel that its job's owner calls so; and "channels/~7"
// means one without a name as long as this process holds it (channel_names.h), and nothing afterwards.
#ifndef INTERPD_DAEMON_JOBS_CHANNEL_REFERENCES_H_
#define INTERPD_DAEMON_JOBS_CHANNEL_REFERENCES_H_

#include "daemon/channel_names.h"
#include "interpd/v1/value.pb.h"

namespace interpd::daemon {

// A value that says what `from` calls so then says what `to` calls so. A channel without a name that is not held any
// more gets a name that none has.
void TranslateChannels(ChannelNames& from, ChannelNames& to, v1::Value* value);

// Whether it refers to a channel that has no name.
bool RefersToNameless(const v1::Value& value);

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_CHANNEL_REFERENCES_H_
