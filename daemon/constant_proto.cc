#include "daemon/constant_proto.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/errors.h"
#include "daemon/full_name.h"
#include "daemon/proto_time.h"

namespace interpd::daemon {
namespace {

constexpr std::string_view kCollection = "constants/";

}  // namespace

absl::StatusOr<std::string> ParseConstantName(const Principal& principal, std::string_view name,
                                              std::string_view field) {
  std::string_view id = name;
  std::optional<std::string> full;
  if (absl::ConsumePrefix(&id, kCollection)) full = FullName(principal.space, id);
  if (full) return *std::move(full);
  return InvalidField(field,
                      "must be constants/ID, ID of 1 to 63 letters, digits, '_', '-' or '.', a letter or digit first");
}

void EncodeConstant(const Principal& principal, const interp::ConstantInfo& info, const ConstantStore& store,
                    v1::Constant* out) {
  out->set_name(absl::StrCat(kCollection, principal.Shown(info.name)));
  out->set_owner(OwnerOf(info.name));
  out->set_state(info.deleted ? v1::Constant::RETIRED : v1::Constant::ACTIVE);
  out->set_version(info.version);
  out->set_digest(info.facts.digest);
  out->set_type(info.facts.type_name);
  out->set_object_count(info.facts.object_count);
  out->set_size_bytes(info.facts.byte_count);
  out->set_interpreter_count(info.seen_by);
  out->set_retired_count(info.retired_count);
  out->set_retired_bytes(info.retired_bytes);
  if (!info.deleted) EncodeTime(info.create_time, out->mutable_update_time());
  out->set_persistent(!info.deleted && store.IsPersistent(info.name, info.facts.digest));
}

}  // namespace interpd::daemon
