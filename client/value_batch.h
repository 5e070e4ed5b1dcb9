// Values <-> the packed batches in which streams carry them.
//
// Who includes this: ChannelStream, and callers that deal in whole batches.
#ifndef INTERPD_CLIENT_VALUE_BATCH_H_
#define INTERPD_CLIENT_VALUE_BATCH_H_

#include <cstddef>
#include <vector>

#include "interpd/v1/value.pb.h"

namespace interpd::client {

// Puts one more value behind those of `batch`: into its last run if that is of the same kind, else into a new one.
void AppendValue(v1::Value value, v1::ValueBatch* batch);

// How many values there are.
size_t BatchSize(const v1::ValueBatch& batch);

// All values of a batch, in order, behind those of `values`. Leaves the batch in an unspecified state.
void TakeValues(v1::ValueBatch* batch, std::vector<v1::Value>* values);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_VALUE_BATCH_H_
