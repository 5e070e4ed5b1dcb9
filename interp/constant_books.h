// ConstantBooks: which constants there are: names, versions, what is retired and not yet gone.
//
// Who includes this: constant_pool, whose books they are; the host module, in which hosted code looks names up.
//
// Thread safety: all methods, any thread. They take a lock, but for generation().
#ifndef INTERPD_INTERP_CONSTANT_BOOKS_H_
#define INTERPD_INTERP_CONSTANT_BOOKS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "channels/shared.h"
#include "interp/constant.h"
#include "interp/constant_builder.h"
#include "interp/constant_pool.h"

namespace interpd::interp {

class ConstantBooks : public std::enable_shared_from_this<ConstantBooks> {
 public:
  explicit ConstantBooks(ConstantLimits limits) : limits_(limits) {}
  ConstantBooks(const ConstantBooks&) = delete;
  ConstantBooks& operator=(const ConstantBooks&) = delete;

  const ConstantLimits& limits() const { return limits_; }

  // ---- as ConstantPool's ----
  absl::StatusOr<PublishResult> Publish(std::string_view name, channels::Ref<BuiltConstant> constant);
  absl::StatusOr<ConstantInfo> Get(std::string_view name) const;
  std::vector<ConstantInfo> List(std::string_view after, size_t limit) const;
  absl::Status Delete(std::string_view name);
  ConstantTotals totals() const;

  // ---- for hosted code ----
  struct Newest {
    channels::Ref<BuiltConstant> constant;
    int64_t version = 0;
  };
  // Errors: CONSTANT_NOT_FOUND.
  absl::StatusOr<Newest> Find(std::string_view name) const;
  // In that space of names, without it.
  std::vector<std::string> Ids(std::string_view space) const;
  // Changes with every change of what Find returns: who remembers what it has found asks this, and writes nothing that
  // others read.
  uint64_t generation() const {
    // acquire: what changed before is found by Find, whose lock would do it, too.
    return generation_.load(std::memory_order_acquire);
  }

 private:
  struct Retired {
    const BuiltConstant* constant;  // not referred to: it says when it goes
    int64_t bytes;
  };
  struct Entry {
    channels::Ref<BuiltConstant> newest;  // null: deleted
    int64_t version = 0;
    absl::Time create_time;
    std::vector<Retired> retired;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  // Returns what is to be dropped outside of the lock: the version before, or one that brings nothing new.
  channels::Ref<BuiltConstant> Replace(std::string_view name, channels::Ref<BuiltConstant> constant,
                                       PublishResult* result);

  // All under the lock.
  static ConstantInfo Describe(const std::string& name, const Entry& entry);
  static void CountRetired(const Entry& entry, ConstantInfo* info);
  absl::Status NotFound(std::string_view name) const;
  // Takes it out; the caller drops it after the lock, since that may be the end of it.
  channels::Ref<BuiltConstant> Retire(Entry* entry);
  void Changed();

  // The last holder has let go.
  void Gone(const BuiltConstant* constant);

  const ConstantLimits limits_;
  std::atomic<uint64_t> generation_{0};
  mutable std::mutex mutex_;
  Entries entries_;
};

// The pool of these books. It must go before CPython ends.
std::unique_ptr<ConstantPool> MakeConstantPool(std::shared_ptr<ConstantBooks> books);

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CONSTANT_BOOKS_H_
