#include "daemon/value_batch.h"

#include <string>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/value_proto.h"

namespace interpd::daemon {
namespace {

using channels::Kind;
using channels::Value;
using Run = v1::ValueBatch::Run;

// What a value takes beside its contents: tags and lengths.
constexpr size_t kOverhead = 4;

// What is no value goes to `refused`, which says whether that is the end.
template <typename Values, typename Refused>
absl::Status DecodeRun(const Run& run, ChannelNames& names, Values* values, Refused refused) {
  switch (run.kind_case()) {
    case Run::kInts:
      for (int64_t item : run.ints().items()) values->push_back(Value::Int(item));
      return absl::OkStatus();
    case Run::kFloats:
      for (double item : run.floats().items()) values->push_back(Value::Float(item));
      return absl::OkStatus();
    case Run::kStrs:
      for (const std::string& item : run.strs().items()) values->push_back(Value::Str(item));
      return absl::OkStatus();
    case Run::kBytes:
      for (const std::string& item : run.bytes().items()) values->push_back(Value::Bytes(item));
      return absl::OkStatus();
    case Run::kValues:
      for (const v1::Value& item : run.values().items()) {
        absl::StatusOr<Value> value = DecodeValue(item, "", names);
        if (value.ok()) {
          values->push_back(*std::move(value));
        } else {
          absl::Status status = refused(item, value.status());
          if (!status.ok()) return status;
        }
      }
      return absl::OkStatus();
    case Run::KIND_NOT_SET: break;
  }
  return InvalidField("values.runs", "has a run without a kind");
}

}  // namespace

absl::Status DecodeBatch(const v1::ValueBatch& batch, ChannelNames& names, std::vector<Value>* values) {
  const size_t before = values->size();
  for (const Run& run : batch.runs()) {
    absl::Status status = DecodeRun(run, names, values, [&](const v1::Value& item, const absl::Status&) {
      // Once more for the path, which costs nothing while all is well.
      return DecodeValue(item, absl::StrCat("values[", values->size() - before, "]"), names).status();
    });
    if (status.ok()) continue;
    values->resize(before);
    return status;
  }
  return absl::OkStatus();
}

absl::Status DecodeEach(const v1::ValueBatch& batch, ChannelNames& names, std::vector<absl::StatusOr<Value>>* values) {
  for (const Run& run : batch.runs()) {
    absl::Status status = DecodeRun(run, names, values, [&](const v1::Value&, absl::Status why) {
      values->push_back(std::move(why));
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

Run& BatchWriter::RunOf(Run::KindCase kind) {
  const int size = batch_->runs_size();
  if (size > 0 && batch_->runs(size - 1).kind_case() == kind) return *batch_->mutable_runs(size - 1);
  return *batch_->add_runs();
}

absl::Status BatchWriter::Append(const Value& value) {
  channels::ValueReader reader(value);
  const channels::Node node = reader.Next();
  switch (node.kind) {
    case Kind::kInt:
      RunOf(Run::kInts).mutable_ints()->add_items(node.int_value);
      last_bytes_ = sizeof(int64_t);
      break;
    case Kind::kFloat:
      RunOf(Run::kFloats).mutable_floats()->add_items(node.real);
      last_bytes_ = sizeof(double);
      break;
    case Kind::kAsciiStr:
    case Kind::kStr:
      RunOf(Run::kStrs).mutable_strs()->add_items(node.bytes.data(), node.bytes.size());
      last_bytes_ = node.bytes.size() + kOverhead;
      break;
    case Kind::kUcs1Str:
    case Kind::kUcs2Str:
    case Kind::kUcs4Str: {
      std::string text;
      const bool plain = channels::AppendUtf8(node, &text) == Kind::kStr;
      last_bytes_ = text.size() + kOverhead;
      if (plain) {
        RunOf(Run::kStrs).mutable_strs()->add_items(std::move(text));
      } else {
        RunOf(Run::kValues).mutable_values()->add_items()->set_surrogate_str(std::move(text));
      }
      break;
    }
    case Kind::kBytes:
      RunOf(Run::kBytes).mutable_bytes()->add_items(node.bytes.data(), node.bytes.size());
      last_bytes_ = node.bytes.size() + kOverhead;
      break;
    default: {
      v1::Value encoded;
      absl::Status status = EncodeValue(value, names_, &encoded);
      if (!status.ok()) return status;
      last_bytes_ = encoded.ByteSizeLong() + kOverhead;
      RunOf(Run::kValues).mutable_values()->add_items()->Swap(&encoded);
    }
  }
  ++count_;
  bytes_ += last_bytes_;
  return absl::OkStatus();
}

void BatchWriter::RemoveLast() {
  CHECK_GT(last_bytes_, 0u);
  Run& run = *batch_->mutable_runs(batch_->runs_size() - 1);
  bool empty = false;
  auto remove = [&empty](auto* items) {
    items->RemoveLast();
    empty = items->empty();
  };
  switch (run.kind_case()) {
    case Run::kInts: remove(run.mutable_ints()->mutable_items()); break;
    case Run::kFloats: remove(run.mutable_floats()->mutable_items()); break;
    case Run::kStrs: remove(run.mutable_strs()->mutable_items()); break;
    case Run::kBytes: remove(run.mutable_bytes()->mutable_items()); break;
    case Run::kValues: remove(run.mutable_values()->mutable_items()); break;
    case Run::KIND_NOT_SET: break;
  }
  if (empty) batch_->mutable_runs()->RemoveLast();
  --count_;
  bytes_ -= last_bytes_;
  last_bytes_ = 0;
}

}  // namespace interpd::daemon
