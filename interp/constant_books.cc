#include "interp/constant_books.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "channels/error.h"
#include "channels/names.h"

namespace interpd::interp {

using channels::Ref;

ConstantInfo ConstantBooks::Describe(const std::string& name, const Entry& entry) {
  ConstantInfo info{.name = name, .version = entry.version, .create_time = entry.create_time};
  info.deleted = !entry.newest;
  if (entry.newest) {
    info.facts = entry.newest->facts();
    info.seen_by = entry.newest->seen_by();
  }
  CountRetired(entry, &info);
  return info;
}

void ConstantBooks::CountRetired(const Entry& entry, ConstantInfo* info) {
  info->retired_count = info->retired_bytes = 0;
  for (const Retired& retired : entry.retired) {
    ++info->retired_count;
    info->retired_bytes += retired.bytes;
  }
}

absl::Status ConstantBooks::NotFound(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const auto& [other, entry] : entries_) {
    if (entry.newest && channels::SpaceOf(other) == channels::SpaceOf(name)) names.push_back(other);
    if (names.size() > channels::kNamesInMessages) break;
  }
  return channels::MakeError(
      absl::StatusCode::kNotFound, "CONSTANT_NOT_FOUND",
      absl::StrCat("there is no constant '", channels::IdOf(name), "'", channels::ThereAre(names)),
      {{"constant", channels::IdOf(name)}});
}

Ref<BuiltConstant> ConstantBooks::Retire(Entry* entry) {
  if (entry->newest) entry->retired.push_back({entry->newest.get(), entry->newest->facts().byte_count});
  return std::exchange(entry->newest, nullptr);
}

void ConstantBooks::Changed() {
  // release: as generation().
  generation_.fetch_add(1, std::memory_order_release);
}

absl::StatusOr<PublishResult> ConstantBooks::Publish(std::string_view name, Ref<BuiltConstant> constant) {
  absl::Status named = channels::CheckName(channels::IdOf(name), "a constant", "constant_id");
  if (!named.ok()) return named;
  PublishResult result;
  // The replaced version goes at once, unless somebody holds it; not under the lock, which its end takes.
  constant = Replace(name, std::move(constant), &result);
  constant = nullptr;
  std::lock_guard lock(mutex_);
  if (auto found = entries_.find(name); found != entries_.end()) CountRetired(found->second, &result.info);
  return result;
}

Ref<BuiltConstant> ConstantBooks::Replace(std::string_view name, Ref<BuiltConstant> constant, PublishResult* result) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(name);
  if (found == entries_.end()) found = entries_.emplace(std::string(name), Entry()).first;
  Entry& entry = found->second;
  if (entry.newest && entry.newest->facts().digest == constant->facts().digest) {
    *result = {.info = Describe(found->first, entry), .is_new = false};
    return constant;
  }
  entry.version = entry.newest ? entry.version + 1 : 1;
  entry.create_time = absl::Now();
  Ref<BuiltConstant> before = Retire(&entry);
  std::erase_if(entry.retired, [&](const Retired& retired) { return retired.constant == constant.get(); });
  constant->set_on_destruction([books = weak_from_this()](const BuiltConstant* gone) {
    if (auto self = books.lock()) self->Gone(gone);
  });
  entry.newest = std::move(constant);
  Changed();
  *result = {.info = Describe(found->first, entry), .is_new = true};
  return before;
}

absl::StatusOr<ConstantInfo> ConstantBooks::Get(std::string_view name) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(name);
  if (found == entries_.end() || !found->second.newest) return NotFound(name);
  return Describe(found->first, found->second);
}

std::vector<ConstantInfo> ConstantBooks::List(std::string_view after, size_t limit) const {
  std::lock_guard lock(mutex_);
  std::vector<ConstantInfo> result;
  for (auto it = entries_.upper_bound(after); it != entries_.end() && result.size() < limit; ++it) {
    result.push_back(Describe(it->first, it->second));
  }
  return result;
}

absl::Status ConstantBooks::Delete(std::string_view name) {
  Ref<BuiltConstant> before;
  std::lock_guard lock(mutex_);
  auto found = entries_.find(name);
  if (found == entries_.end() || !found->second.newest) return NotFound(name);
  before = Retire(&found->second);
  Changed();
  return absl::OkStatus();
}

ConstantTotals ConstantBooks::totals() const {
  std::lock_guard lock(mutex_);
  ConstantTotals totals;
  for (const auto& [name, entry] : entries_) {
    if (entry.newest) {
      ++totals.count;
      totals.byte_count += entry.newest->facts().byte_count;
    }
    for (const Retired& retired : entry.retired) {
      ++totals.retired_count;
      totals.retired_bytes += retired.bytes;
    }
  }
  return totals;
}

absl::StatusOr<ConstantBooks::Newest> ConstantBooks::Find(std::string_view name) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(name);
  if (found == entries_.end() || !found->second.newest) return NotFound(name);
  return Newest{found->second.newest, found->second.version};
}

std::vector<std::string> ConstantBooks::Ids(std::string_view space) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (auto it = entries_.lower_bound(space); it != entries_.end(); ++it) {
    if (channels::SpaceOf(it->first) == space) {
      if (it->second.newest) names.emplace_back(channels::IdOf(it->first));
    } else if (!space.empty()) {
      break;  // behind the last of the space
    }
  }
  return names;
}

void ConstantBooks::Gone(const BuiltConstant* constant) {
  std::lock_guard lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    std::erase_if(entry.retired, [&](const Retired& retired) { return retired.constant == constant; });
    it = !entry.newest && entry.retired.empty() ? entries_.erase(it) : std::next(it);
  }
}

}  // namespace interpd::interp
