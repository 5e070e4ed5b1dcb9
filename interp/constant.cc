#include "interp/constant.h"

#include <algorithm>

#include "interp/constant_content.h"

namespace interpd::interp {

using channels::Ref;
using channels::Value;

BuiltConstant::BuiltConstant(ConstantFacts facts, ConstantMemory memory, PyObject* root)
    : Constant(std::move(facts)), memory_(std::move(memory)), root_(root) {
  // relaxed: as MayOwn.
  const char* low = lowest_.load(std::memory_order_relaxed);
  while (memory_.begin() < low && !lowest_.compare_exchange_weak(low, memory_.begin(), std::memory_order_relaxed)) {
  }
  const char* high = highest_.load(std::memory_order_relaxed);
  while (memory_.end() > high && !highest_.compare_exchange_weak(high, memory_.end(), std::memory_order_relaxed)) {
  }
}

bool ConstantObject::Expand(size_t max_bytes, Value* value) const {
  channels::ValueBuilder builder;
  if (!AppendContent(object_, max_bytes, &builder)) return false;
  *value = std::move(builder).Finish();
  return true;
}

namespace {

const char* BeginOf(const Ref<BuiltConstant>& constant) { return constant->memory().begin(); }

}  // namespace

void SeenConstants::Add(const Ref<BuiltConstant>& constant) {
  auto place = std::ranges::lower_bound(constants_, BeginOf(constant), {}, BeginOf);
  if (place != constants_.end() && *place == constant) return;
  // relaxed: as seen_by.
  constant->seen_by_.fetch_add(1, std::memory_order_relaxed);
  constants_.insert(place, constant);
}

BuiltConstant* SeenConstants::Find(const void* address) const {
  auto after = std::ranges::upper_bound(constants_, static_cast<const char*>(address), {}, BeginOf);
  if (after == constants_.begin()) return nullptr;
  BuiltConstant* constant = std::prev(after)->get();
  return constant->memory().Contains(address) ? constant : nullptr;
}

void SeenConstants::Forget() {
  for (const Ref<BuiltConstant>& constant : constants_) constant->seen_by_.fetch_sub(1, std::memory_order_relaxed);
  constants_.clear();
}

}  // namespace interpd::interp
