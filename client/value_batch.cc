#include "client/value_batch.h"

#include <utility>

namespace interpd::client {
namespace {

using Run = v1::ValueBatch::Run;

Run::KindCase RunFor(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kInt: return Run::kInts;
    case v1::Value::kFloat: return Run::kFloats;
    case v1::Value::kStr: return Run::kStrs;
    case v1::Value::kBytes: return Run::kBytes;
    default: return Run::kValues;
  }
}

}  // namespace

void AppendValue(v1::Value value, v1::ValueBatch* batch) {
  const Run::KindCase kind = RunFor(value);
  const int size = batch->runs_size();
  Run* run = size > 0 && batch->runs(size - 1).kind_case() == kind ? batch->mutable_runs(size - 1) : batch->add_runs();
  switch (kind) {
    case Run::kInts: run->mutable_ints()->add_items(value.int_()); break;
    case Run::kFloats: run->mutable_floats()->add_items(value.float_()); break;
    case Run::kStrs: run->mutable_strs()->add_items(std::move(*value.mutable_str())); break;
    case Run::kBytes: run->mutable_bytes()->add_items(std::move(*value.mutable_bytes())); break;
    default: run->mutable_values()->add_items()->Swap(&value); break;
  }
}

size_t BatchSize(const v1::ValueBatch& batch) {
  size_t size = 0;
  for (const Run& run : batch.runs()) {
    switch (run.kind_case()) {
      case Run::kInts: size += run.ints().items_size(); break;
      case Run::kFloats: size += run.floats().items_size(); break;
      case Run::kStrs: size += run.strs().items_size(); break;
      case Run::kBytes: size += run.bytes().items_size(); break;
      case Run::kValues: size += run.values().items_size(); break;
      case Run::KIND_NOT_SET: break;
    }
  }
  return size;
}

void TakeValues(v1::ValueBatch* batch, std::vector<v1::Value>* values) {
  values->reserve(values->size() + BatchSize(*batch));
  for (Run& run : *batch->mutable_runs()) {
    switch (run.kind_case()) {
      case Run::kInts:
        for (int64_t item : run.ints().items()) values->emplace_back().set_int_(item);
        break;
      case Run::kFloats:
        for (double item : run.floats().items()) values->emplace_back().set_float_(item);
        break;
      case Run::kStrs:
        for (std::string& item : *run.mutable_strs()->mutable_items()) values->emplace_back().set_str(std::move(item));
        break;
      case Run::kBytes:
        for (std::string& item : *run.mutable_bytes()->mutable_items()) {
          values->emplace_back().set_bytes(std::move(item));
        }
        break;
      case Run::kValues:
        for (v1::Value& item : *run.mutable_values()->mutable_items()) values->push_back(std::move(item));
        break;
      case Run::KIND_NOT_SET: break;
    }
  }
}

}  // namespace interpd::client
