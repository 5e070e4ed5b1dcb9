// interpd.v1.ValueBatch <-> channels::Values, many at a time.
//
// Who includes this: the streams of channels; jobs, for their inputs. Thread safety: none.
#ifndef INTERPD_DAEMON_VALUE_BATCH_H_
#define INTERPD_DAEMON_VALUE_BATCH_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "channels/value.h"
#include "daemon/channel_names.h"
#include "interpd/v1/value.pb.h"

namespace interpd::daemon {

// Appends the values of a batch, in order. Errors: INVALID_VALUE, with a path that begins "values[17]"; then `values`
// is as it was.
absl::Status DecodeBatch(const v1::ValueBatch& batch, ChannelNames& names, std::vector<channels::Value>* values);

// Appends the values of a batch, in order, or in the place of a value why it is none (INVALID_VALUE). Errors:
// INVALID_FIELD, for a batch that cannot be counted.
absl::Status DecodeEach(const v1::ValueBatch& batch, ChannelNames& names,
                        std::vector<absl::StatusOr<channels::Value>>* values);

// Fills a batch, packing runs of one kind.
class BatchWriter {
 public:
  // `batch` must be empty; it and `names` must outlive this.
  BatchWriter(ChannelNames& names, v1::ValueBatch* batch) : names_(names), batch_(batch) {}

  // Errors: VALUE_NOT_SHAREABLE; then the batch is as it was.
  absl::Status Append(const channels::Value& value);

  // Takes the value that was appended last out again. Requires: one was, and not taken out.
  void RemoveLast();

  size_t count() const { return count_; }
  // What it takes on the wire; at most a few bytes a value off.
  size_t bytes() const { return bytes_; }

 private:
  v1::ValueBatch::Run& RunOf(v1::ValueBatch::Run::KindCase kind);

  ChannelNames& names_;
  v1::ValueBatch* const batch_;
  size_t count_ = 0;
  size_t bytes_ = 0;
  size_t last_bytes_ = 0;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_VALUE_BATCH_H_
