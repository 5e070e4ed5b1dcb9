#include "daemon/value_proto.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "channels/buffer.h"
#include "daemon/errors.h"
#include "daemon/utf8.h"
#include "daemon/value_problem.h"

namespace interpd::daemon {
namespace {

using channels::Kind;
using channels::Node;
using channels::ValueBuilder;
using channels::ValueReader;

// ---- Decoding -------------------------------------------------------------------------------------------------------

// How many bytes an item of a memoryview's format takes; 0: no such format.
size_t ItemSize(char format) {
  constexpr std::string_view kOne = "cbB?", kTwo = "hHe", kFour = "iIf", kEight = "lLqQnNdP";
  if (format == '\0') return 0;
  return absl::StrContains(kOne, format)     ? 1
         : absl::StrContains(kTwo, format)   ? 2
         : absl::StrContains(kFour, format)  ? 4
         : absl::StrContains(kEight, format) ? 8
                                             : 0;
}

constexpr int kMaxDimensions = 64;  // of a memoryview

// Builds one Value.
class Decoder {
 public:
  explicit Decoder(ChannelNames& names) : names_(names) {}

  Outcome Decode(const v1::Value& value, int depth, MustHash must_hash);
  ValueBuilder& builder() { return builder_; }
  channels::Value Finish() && { return std::move(builder_).Finish(); }

 private:
  Outcome DecodeContainer(const v1::Value& value, int depth, MustHash must_hash);
  Outcome DecodeBuffer(const v1::Buffer& buffer);

  ChannelNames& names_;
  ValueBuilder builder_;
  size_t buffer_bytes_ = 0;  // beside the Value
};

Outcome Decoder::DecodeBuffer(const v1::Buffer& buffer) {
  const auto wrong = [](std::string what) { return Problem{"", std::move(what), "memoryview"}; };
  const std::string_view format = absl::StripPrefix(buffer.format(), "@");
  const char item = format.empty() ? 'B' : format[0];
  const size_t item_size = format.size() > 1 ? 0 : ItemSize(item);
  if (item_size == 0) return wrong(absl::StrCat("has a format that is not one letter of a native type: ", format));
  const size_t size = buffer.data().size();
  if (buffer.shape_size() > kMaxDimensions) return wrong(absl::StrCat("has more than ", kMaxDimensions, " dimensions"));
  if (buffer.shape().empty() && size % item_size != 0) {
    return wrong(absl::StrCat("has ", size, " bytes, which are no whole items of ", item_size));
  }
  size_t items = size / item_size;
  if (!buffer.shape().empty()) {
    items = absl::c_linear_search(buffer.shape(), 0) ? 0 : 1;
    for (int64_t count : buffer.shape()) {
      // What would overflow is not the size anyway.
      if (count < 0 || (count > 0 && items > size / static_cast<size_t>(count))) {
        items = size + 1;
        break;
      }
      items *= static_cast<size_t>(count);
    }
  }
  if (items > size || items * item_size != size) return wrong("has a shape that does not fit its size");
  buffer_bytes_ += size;
  channels::Ref<channels::Buffer> memory = channels::Buffer::Make(size);
  if (memory == nullptr) return wrong("needs more memory than there is");
  if (size != 0) std::memcpy(memory->data(), buffer.data().data(), size);
  using Form = channels::BufferView::Form;
  const bool flat = buffer.shape_size() <= 1;
  std::vector<int64_t> shape;
  if (!flat) shape.assign(buffer.shape().begin(), buffer.shape().end());
  char* const data = memory->data();
  builder_.Buffer(channels::MakeRef<channels::BufferView>(std::move(memory), data, size, /*readonly=*/false,
                                                          flat ? Form::kFlat : Form::kShaped, item, std::move(shape)));
  return std::nullopt;
}

Outcome Decoder::DecodeContainer(const v1::Value& value, int depth, MustHash must_hash) {
  const int count = value.items_size();
  if (Outcome problem = CheckContainer(value.container(), static_cast<size_t>(count), depth, must_hash)) return problem;
  const Kind kind = *ContainerKind(value.container());
  builder_.Begin(kind, static_cast<size_t>(count));
  const bool set = kind == Kind::kSet || kind == Kind::kFrozenSet;
  const MustHash elements_must_hash = set ? MustHash::kYes : must_hash;
  for (int i = 0; i < count; ++i) {
    const bool is_key = kind == Kind::kDict && i % 2 == 0;
    Outcome problem = Decode(value.items(i), depth + 1, is_key ? MustHash::kYes : elements_must_hash);
    if (problem) return WithinContainer(kind, i, i > 0 ? &value.items(i - 1) : nullptr, *std::move(problem));
  }
  return std::nullopt;
}

Outcome Decoder::Decode(const v1::Value& value, int depth, MustHash must_hash) {
  if (value.kind_case() != v1::Value::kContainer && value.items_size() != 0) {
    return Problem{"", "has items but is no container", ""};
  }
  switch (value.kind_case()) {
    case v1::Value::kNone: builder_.None(); break;
    case v1::Value::kBool: builder_.Bool(value.bool_()); break;
    case v1::Value::kInt: builder_.Int(value.int_()); break;
    case v1::Value::kBigInt: builder_.BigInt(value.big_int()); break;
    case v1::Value::kFloat: builder_.Float(value.float_()); break;
    case v1::Value::kComplex: builder_.Complex(value.complex().real(), value.complex().imag()); break;
    case v1::Value::kStr: builder_.Str(value.str()); break;  // protobuf has checked its UTF-8
    case v1::Value::kSurrogateStr: {
      const std::string& text = value.surrogate_str();
      size_t valid = ValidUtf8Prefix(text, Surrogates::kAllow);
      if (valid != text.size()) return Problem{"", absl::StrCat("byte ", valid, " is no UTF-8"), "str"};
      if (ValidUtf8Prefix(text, Surrogates::kRefuse) == text.size()) {
        builder_.Str(text);
      } else {
        builder_.Text(Kind::kSurrogateStr, text);
      }
      break;
    }
    case v1::Value::kBytes: builder_.Bytes(value.bytes()); break;
    case v1::Value::kContainer:
      if (Outcome problem = DecodeContainer(value, depth, must_hash)) return problem;
      break;
    case v1::Value::kChannel: {
      absl::StatusOr<channels::Ref<channels::Channel>> channel = names_.Find(value.channel(), "it");
      if (!channel.ok()) return Problem{"", std::string(channel.status().message()), "interpd.Channel"};
      builder_.Channel(*std::move(channel));
      break;
    }
    case v1::Value::kBuffer:
      if (Outcome problem = DecodeBuffer(value.buffer())) return problem;
      break;
    case v1::Value::kPickle: builder_.Text(Kind::kPickle, value.pickle()); break;
    case v1::Value::KIND_NOT_SET: return Problem{"", "has no kind; None is `none`", ""};
  }
  if (builder_.size() + buffer_bytes_ > kMaxArgumentBytes) {
    return Problem{"", absl::StrCat("takes more than ", kMaxArgumentBytes, " bytes"), ""};
  }
  return std::nullopt;
}

// ---- Encoding -------------------------------------------------------------------------------------------------------

// Text of Python's, as a path shows a key.
std::string KeyStep(const Node& key, size_t entry) {
  if (key.kind == Kind::kAsciiStr || key.kind == Kind::kStr) {
    return absl::StrCat("['", absl::Utf8SafeCHexEscape(Abridge(key.bytes, 64)), "']");
  }
  if (channels::IsUcs(key.kind)) {
    std::string text;
    channels::AppendUtf8(key, &text);
    return absl::StrCat("['", absl::Utf8SafeCHexEscape(Abridge(text, 64)), "']");
  }
  if (key.kind == Kind::kInt) return absl::StrCat("[", key.int_value, "]");
  return absl::StrCat(".values()[", entry, "]");
}

v1::Container ContainerProto(Kind kind) {
  switch (kind) {
    case Kind::kTuple: return v1::TUPLE;
    case Kind::kList: return v1::LIST;
    case Kind::kSet: return v1::SET;
    case Kind::kFrozenSet: return v1::FROZENSET;
    case Kind::kDict: return v1::DICT;
    default: return v1::CONTAINER_UNSPECIFIED;
  }
}

void EncodeBuffer(const channels::BufferView& view, v1::Buffer* out) {
  out->set_data(view.data(), view.size());
  if (view.format() != 'B') out->set_format(std::string(1, view.format()));
  if (view.form() == channels::BufferView::Form::kShaped) {
    out->mutable_shape()->Add(view.shape().begin(), view.shape().end());
  }
}

Outcome Encode(const Node& node, int depth, ValueReader& reader, ChannelNames& names, v1::Value* out) {
  switch (node.kind) {
    case Kind::kNone: out->set_none(v1::NONE); return std::nullopt;
    case Kind::kBool: out->set_bool_(node.bool_value); return std::nullopt;
    case Kind::kInt: out->set_int_(node.int_value); return std::nullopt;
    case Kind::kBigInt: out->set_big_int(node.bytes.data(), node.bytes.size()); return std::nullopt;
    case Kind::kFloat: out->set_float_(node.real); return std::nullopt;
    case Kind::kComplex:
      out->mutable_complex()->set_real(node.real);
      out->mutable_complex()->set_imag(node.imag);
      return std::nullopt;
    case Kind::kAsciiStr:
    case Kind::kStr: out->set_str(node.bytes.data(), node.bytes.size()); return std::nullopt;
    case Kind::kSurrogateStr: out->set_surrogate_str(node.bytes.data(), node.bytes.size()); return std::nullopt;
    case Kind::kUcs1Str:
    case Kind::kUcs2Str:
    case Kind::kUcs4Str: {
      std::string text;
      if (channels::AppendUtf8(node, &text) == Kind::kStr) {
        out->set_str(std::move(text));
      } else {
        out->set_surrogate_str(std::move(text));
      }
      return std::nullopt;
    }
    case Kind::kBytes: out->set_bytes(node.bytes.data(), node.bytes.size()); return std::nullopt;
    case Kind::kPickle: out->set_pickle(node.bytes.data(), node.bytes.size()); return std::nullopt;
    case Kind::kBuffer:
      EncodeBuffer(*static_cast<channels::BufferView*>(node.shared), out->mutable_buffer());
      return std::nullopt;
    case Kind::kChannel: {
      auto* channel = static_cast<channels::Channel*>(node.shared);
      out->set_channel(names.NameOf(channels::Ref<channels::Channel>::Borrow(channel)));
      return std::nullopt;
    }
    case Kind::kConstant: {
      channels::Value content;
      if (!static_cast<channels::ConstantRef*>(node.shared)->Expand(kMaxConstantBytes, &content)) {
        return Problem{"",
                       absl::StrCat("a constant of more than ", kMaxConstantBytes, " bytes, too large for a message"),
                       "constant"};
      }
      ValueReader inner(content);
      return Encode(inner.Next(), depth, inner, names, out);
    }
    default: break;
  }
  if (depth >= kMaxWireDepth) {
    return Problem{"", absl::StrCat("nested deeper than ", kMaxWireDepth, " levels"),
                   std::string(channels::TypeName(node.kind))};
  }
  out->set_container(ContainerProto(node.kind));
  out->mutable_items()->Reserve(static_cast<int>(node.count));
  Node key;
  for (size_t i = 0; i < node.count; ++i) {
    Node element = reader.Next();
    bool is_key = node.kind == Kind::kDict && i % 2 == 0;
    if (is_key) key = element;
    Outcome problem = Encode(element, depth + 1, reader, names, out->add_items());
    if (!problem) continue;
    if (node.kind != Kind::kDict) return Within(*std::move(problem), IndexStep(i));
    if (is_key) return Within(*std::move(problem), absl::StrCat(".keys()[", i / 2, "]"));
    return Within(*std::move(problem), KeyStep(key, i / 2));
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<channels::Value> DecodeValue(const v1::Value& value, std::string_view field, ChannelNames& names) {
  Decoder decoder(names);
  if (Outcome problem = decoder.Decode(value, 0, MustHash::kNo)) return InvalidValue(field, *problem);
  return std::move(decoder).Finish();
}

absl::StatusOr<channels::Value> DecodeArgs(const ValueList& args, ChannelNames& names) {
  if (args.empty()) return channels::Value();
  Decoder decoder(names);
  decoder.builder().Begin(Kind::kTuple, args.size());
  for (int i = 0; i < args.size(); ++i) {
    if (Outcome problem = decoder.Decode(args[i], 0, MustHash::kNo)) {
      return InvalidValue("args", Within(*std::move(problem), IndexStep(i)));
    }
  }
  return std::move(decoder).Finish();
}

absl::StatusOr<channels::Value> DecodeKwargs(const ValueMap& kwargs, ChannelNames& names) {
  if (kwargs.empty()) return channels::Value();
  // A map has no order of its own; hosted code should see the same one every time.
  std::vector<const ValueMap::value_type*> entries;
  entries.reserve(kwargs.size());
  for (const auto& entry : kwargs) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  Decoder decoder(names);
  decoder.builder().Begin(Kind::kDict, 2 * entries.size());
  for (const auto* entry : entries) {
    decoder.builder().Str(entry->first);
    if (Outcome problem = decoder.Decode(entry->second, 0, MustHash::kNo)) {
      return InvalidValue("kwargs", Within(*std::move(problem), absl::StrCat("['", Abridge(entry->first, 64), "']")));
    }
  }
  return std::move(decoder).Finish();
}

absl::Status EncodeValue(const channels::Value& value, ChannelNames& names, v1::Value* out) {
  ValueReader reader(value);
  Node root = reader.Next();
  Outcome problem = Encode(root, 0, reader, names, out);
  if (!problem) return absl::OkStatus();
  std::string path = absl::StrCat("result", problem->path);
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::VALUE_NOT_SHAREABLE,
                   absl::StrCat(path, ": ", problem->what), {{"path", path}, {"type", problem->type}});
}

}  // namespace interpd::daemon
