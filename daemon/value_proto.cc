#include "daemon/value_proto.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "daemon/utf8.h"

namespace interpd::daemon {
namespace {

using channels::Kind;
using channels::Node;
using channels::ValueBuilder;
using channels::ValueReader;

// Where in a value something is wrong. The path is put together on the way out of the recursion, so that it costs
// nothing while all is well.
struct Problem {
  std::string path;
  std::string what;
  std::string type;  // the Python type there, if known
};
using Outcome = std::optional<Problem>;  // none: fine

Problem Within(Problem problem, std::string_view step) {
  problem.path = absl::StrCat(step, problem.path);
  return problem;
}

std::string IndexStep(size_t index) { return absl::StrCat("[", index, "]"); }

// How the value under a dict's key is named in a path: ['key'], [5], or by place.
std::string KeyStep(const v1::Value& key, size_t entry) {
  if (key.kind_case() == v1::Value::kStr) {
    return absl::StrCat("['", absl::Utf8SafeCHexEscape(Abridge(key.str(), 64)), "']");
  }
  if (key.kind_case() == v1::Value::kInt) return absl::StrCat("[", key.int_(), "]");
  return absl::StrCat(".values()[", entry, "]");
}

std::optional<Kind> ContainerKind(v1::Container container) {
  switch (container) {
    case v1::TUPLE: return Kind::kTuple;
    case v1::LIST: return Kind::kList;
    case v1::SET: return Kind::kSet;
    case v1::FROZENSET: return Kind::kFrozenSet;
    case v1::DICT: return Kind::kDict;
    default: return std::nullopt;
  }
}

// ---- Decoding -------------------------------------------------------------------------------------------------------

enum class MustHash { kNo, kYes };  // whether a value stands where Python hashes it

Outcome Decode(const v1::Value& value, int depth, MustHash must_hash, ValueBuilder& builder);

Outcome DecodeContainer(const v1::Value& value, int depth, MustHash must_hash, ValueBuilder& builder) {
  std::optional<Kind> kind = ContainerKind(value.container());
  if (!kind) return Problem{"", absl::StrCat("container ", static_cast<int>(value.container()), " is not known"), ""};
  std::string_view type = channels::TypeName(*kind);
  if (depth >= kMaxWireDepth) {
    return Problem{"", absl::StrCat("nested deeper than ", kMaxWireDepth, " levels"), std::string(type)};
  }
  bool hashable = *kind == Kind::kTuple || *kind == Kind::kFrozenSet;
  if (must_hash == MustHash::kYes && !hashable) {
    return Problem{"", absl::StrCat("a ", type, " cannot be hashed, so it is no key and no element of a set"),
                   std::string(type)};
  }
  int count = value.items_size();
  if (*kind == Kind::kDict && count % 2 != 0) {
    return Problem{"", "a DICT holds key, value, key, value, ...; the number of its items is odd", "dict"};
  }
  builder.Begin(*kind, static_cast<size_t>(count));
  bool set = *kind == Kind::kSet || *kind == Kind::kFrozenSet;
  MustHash elements_must_hash = set ? MustHash::kYes : must_hash;
  for (int i = 0; i < count; ++i) {
    bool is_key = *kind == Kind::kDict && i % 2 == 0;
    Outcome problem = Decode(value.items(i), depth + 1, is_key ? MustHash::kYes : elements_must_hash, builder);
    if (!problem) continue;
    if (*kind != Kind::kDict) return Within(*std::move(problem), IndexStep(i));
    if (is_key) return Within(*std::move(problem), absl::StrCat(".keys()[", i / 2, "]"));
    return Within(*std::move(problem), KeyStep(value.items(i - 1), i / 2));
  }
  return std::nullopt;
}

Outcome Decode(const v1::Value& value, int depth, MustHash must_hash, ValueBuilder& builder) {
  if (value.kind_case() != v1::Value::kContainer && value.items_size() != 0) {
    return Problem{"", "has items but is no container", ""};
  }
  switch (value.kind_case()) {
    case v1::Value::kNone: builder.None(); break;
    case v1::Value::kBool: builder.Bool(value.bool_()); break;
    case v1::Value::kInt: builder.Int(value.int_()); break;
    case v1::Value::kBigInt: builder.BigInt(value.big_int()); break;
    case v1::Value::kFloat: builder.Float(value.float_()); break;
    case v1::Value::kComplex: builder.Complex(value.complex().real(), value.complex().imag()); break;
    case v1::Value::kStr: builder.Str(value.str()); break;  // protobuf has checked its UTF-8
    case v1::Value::kSurrogateStr: {
      const std::string& text = value.surrogate_str();
      size_t valid = ValidUtf8Prefix(text, Surrogates::kAllow);
      if (valid != text.size()) return Problem{"", absl::StrCat("byte ", valid, " is no UTF-8"), "str"};
      if (ValidUtf8Prefix(text, Surrogates::kRefuse) == text.size()) {
        builder.Str(text);
      } else {
        builder.Text(Kind::kSurrogateStr, text);
      }
      break;
    }
    case v1::Value::kBytes: builder.Bytes(value.bytes()); break;
    case v1::Value::kContainer:
      if (Outcome problem = DecodeContainer(value, depth, must_hash, builder)) return problem;
      break;
    case v1::Value::KIND_NOT_SET: return Problem{"", "has no kind; None is `none`", ""};
  }
  if (builder.size() > kMaxArgumentBytes) {
    return Problem{"", absl::StrCat("takes more than ", kMaxArgumentBytes, " bytes"), ""};
  }
  return std::nullopt;
}

absl::Status InvalidValue(std::string_view field, const Problem& problem) {
  std::string path = absl::StrCat(field, problem.path);
  return MakeError(absl::StatusCode::kInvalidArgument, v1::INVALID_VALUE, absl::StrCat(path, ": ", problem.what),
                   {{"field", field}, {"path", path}});
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

Outcome Encode(const Node& node, int depth, ValueReader& reader, v1::Value* out) {
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
    case Kind::kPickle:
    case Kind::kBuffer:
    case Kind::kChannel: {
      std::string_view type = channels::TypeName(node.kind);
      return Problem{"", absl::StrCat("a ", type, " passes between interpreters only"), std::string(type)};
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
    Outcome problem = Encode(element, depth + 1, reader, out->add_items());
    if (!problem) continue;
    if (node.kind != Kind::kDict) return Within(*std::move(problem), IndexStep(i));
    if (is_key) return Within(*std::move(problem), absl::StrCat(".keys()[", i / 2, "]"));
    return Within(*std::move(problem), KeyStep(key, i / 2));
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<channels::Value> DecodeValue(const v1::Value& value, std::string_view field) {
  ValueBuilder builder;
  if (Outcome problem = Decode(value, 0, MustHash::kNo, builder)) return InvalidValue(field, *problem);
  return std::move(builder).Finish();
}

absl::StatusOr<channels::Value> DecodeArgs(const ValueList& args) {
  if (args.empty()) return channels::Value();
  ValueBuilder builder;
  builder.Begin(Kind::kTuple, args.size());
  for (int i = 0; i < args.size(); ++i) {
    if (Outcome problem = Decode(args[i], 0, MustHash::kNo, builder)) {
      return InvalidValue("args", Within(*std::move(problem), IndexStep(i)));
    }
  }
  return std::move(builder).Finish();
}

absl::StatusOr<channels::Value> DecodeKwargs(const ValueMap& kwargs) {
  if (kwargs.empty()) return channels::Value();
  // A map has no order of its own; hosted code should see the same one every time.
  std::vector<const ValueMap::value_type*> entries;
  entries.reserve(kwargs.size());
  for (const auto& entry : kwargs) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  ValueBuilder builder;
  builder.Begin(Kind::kDict, 2 * entries.size());
  for (const auto* entry : entries) {
    builder.Str(entry->first);
    if (Outcome problem = Decode(entry->second, 0, MustHash::kNo, builder)) {
      return InvalidValue("kwargs", Within(*std::move(problem), absl::StrCat("['", Abridge(entry->first, 64), "']")));
    }
  }
  return std::move(builder).Finish();
}

absl::Status EncodeValue(const channels::Value& value, v1::Value* out) {
  ValueReader reader(value);
  Node root = reader.Next();
  Outcome problem = Encode(root, 0, reader, out);
  if (!problem) return absl::OkStatus();
  std::string path = absl::StrCat("result", problem->path);
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::VALUE_NOT_SHAREABLE,
                   absl::StrCat(path, ": ", problem->what), {{"path", path}, {"type", problem->type}});
}

}  // namespace interpd::daemon
