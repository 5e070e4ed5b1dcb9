#include "client/constant_value.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/npy.h"

namespace interpd::client {
namespace {

// Fields of v1::Value that protobuf's wire format writes as a number of bytes and the bytes.
std::string Tag(int field) { return std::string(1, static_cast<char>(field << 3 | 2)); }
static_assert(v1::Value::kItemsFieldNumber < 16);  // a tag is one byte

std::string Varint(uint64_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7) bytes += static_cast<char>(number | 0x80);
  bytes += static_cast<char>(number);
  return bytes;
}

// `value`, itself serialized, as the next item of a container.
absl::Cord Item(const absl::Cord& value) {
  absl::Cord item(absl::StrCat(Tag(v1::Value::kItemsFieldNumber), Varint(value.size())));
  item.Append(value);
  return item;
}

absl::Cord Item(const v1::Value& value) { return Item(absl::Cord(value.SerializeAsString())); }

}  // namespace

absl::StatusOr<absl::Cord> ConstantOf(const v1::Value& value) {
  if (value.ByteSizeLong() > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError("the value is larger than 2 GiB, the limit of a protobuf message");
  }
  return absl::Cord(value.SerializeAsString());
}

absl::Cord ConstantOfBytes(absl::Cord bytes) {
  absl::Cord value(absl::StrCat(Tag(v1::Value::kBytesFieldNumber), Varint(bytes.size())));
  value.Append(std::move(bytes));
  return value;
}

absl::StatusOr<absl::Cord> ConstantOfNpy(absl::Cord file) {
  constexpr size_t kHead = size_t{1} << 20;  // more than any header that NumPy writes
  absl::Cord head = file.Subcord(0, kHead);
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(head.Flatten());
  if (!header.ok()) return header.status();
  const size_t data_size = file.size() - header->data_offset;
  if (data_size != header->data_size) {
    return absl::InvalidArgumentError(absl::StrCat("no whole .npy file: it has ", data_size, " bytes of data, and its ",
                                                   "header says ", header->data_size));
  }
  v1::Value shape, dtype, fortran_order, key;
  shape.set_container(v1::TUPLE);
  for (int64_t count : header->shape) shape.add_items()->set_int_(count);
  dtype.set_str(header->dtype);
  fortran_order.set_bool_(header->fortran_order);
  v1::Value dict;
  dict.set_container(v1::DICT);
  absl::Cord value(dict.SerializeAsString());
  const auto add = [&](const char* name, const absl::Cord& item) {
    key.set_str(name);
    value.Append(Item(key));
    value.Append(item);
  };
  add("data", Item(ConstantOfBytes(file.Subcord(header->data_offset, data_size))));
  add("shape", Item(shape));
  add("dtype", Item(dtype));
  add("fortran_order", Item(fortran_order));
  return value;
}

}  // namespace interpd::client
