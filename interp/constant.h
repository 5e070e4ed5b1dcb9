// What a ConstantPool holds, and who has seen it.
//
// Who includes this: constant_pool and constant_builder, which make constants; value_codec and the host module, which
// hand their objects to hosted code; interpreter_link, which keeps an interpreter's SeenConstants.
//
// The rule of life: an object of a constant may be in an interpreter only if that has put the constant among its
// SeenConstants before. Those are forgotten after the interpreter has ended, since until then anything of it may refer
// to the object without a count.
#ifndef INTERPD_INTERP_CONSTANT_H_
#define INTERPD_INTERP_CONSTANT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "channels/shared.h"
#include "channels/value.h"
#include "interp/constant_memory.h"
#include "interp/constant_pool.h"
#include "interp/python_api.h"

namespace interpd::interp {

// A graph that was built. Thread safety: all methods, any thread.
class BuiltConstant final : public Constant {
 public:
  // The memory is sealed; `root` lies in it, or is one of CPython's own for the whole process.
  BuiltConstant(ConstantFacts facts, ConstantMemory memory, PyObject* root);

  // False: the object is of no constant, whichever interpreter asks. A matter of two loads; true may be wrong.
  static bool MayOwn(const PyObject* object) {
    const char* address = reinterpret_cast<const char*>(object);
    // relaxed: whoever can have an object of a constant was handed it after the constant was made.
    return address >= lowest_.load(std::memory_order_relaxed) && address < highest_.load(std::memory_order_relaxed);
  }

  PyObject* root() const { return root_; }
  const ConstantMemory& memory() const { return memory_; }

  // How many interpreters that live have seen it.
  int64_t seen_by() const { return seen_by_.load(std::memory_order_relaxed); }  // relaxed: a count for the books

  // Called when the last holder has let go. Set before others see it.
  void set_on_destruction(std::function<void(const BuiltConstant*)> call) { on_destruction_ = std::move(call); }

 private:
  friend class SeenConstants;

  ~BuiltConstant() override {
    if (on_destruction_) on_destruction_(this);
  }

  // Between which all lie that there have been; written as constants are made, and read by all.
  static inline std::atomic<const char*> lowest_{reinterpret_cast<const char*>(UINTPTR_MAX)};
  static inline std::atomic<const char*> highest_{nullptr};

  const ConstantMemory memory_;
  PyObject* const root_;
  std::function<void(const BuiltConstant*)> on_destruction_;
  mutable std::atomic<int64_t> seen_by_{0};
};

// One object of a constant, in a Value.
class ConstantObject final : public channels::ConstantRef {
 public:
  ConstantObject(channels::Ref<BuiltConstant> constant, PyObject* object)
      : constant_(std::move(constant)), object_(object) {}

  const channels::Ref<BuiltConstant>& constant() const { return constant_; }
  PyObject* object() const { return object_; }
  bool Expand(size_t max_bytes, channels::Value* value) const override;

 private:
  const channels::Ref<BuiltConstant> constant_;
  PyObject* const object_;
};

// What one interpreter has seen. Thread safety: threads that are attached to it, and whoever ends it.
class SeenConstants {
 public:
  SeenConstants() = default;
  SeenConstants(const SeenConstants&) = delete;
  SeenConstants& operator=(const SeenConstants&) = delete;
  ~SeenConstants() { Forget(); }

  void Add(const channels::Ref<BuiltConstant>& constant);
  // The one in whose memory that is; null if it is in none.
  BuiltConstant* Find(const void* address) const;
  // The interpreter has ended.
  void Forget();

 private:
  std::vector<channels::Ref<BuiltConstant>> constants_;  // by address
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CONSTANT_H_
