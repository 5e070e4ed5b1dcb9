// ConstantPool: immortal constants by name. A constant is a graph of read-only Python objects that belongs to the
// process: every interpreter uses the very same objects, without a copy, a lock or a reference count.
//
// Who includes this: daemon/, which puts, lists and deletes them; the host module, in which hosted code sees them.
//
//   auto built = pool.Build(value, {});                 // the long part; nobody sees it yet
//   auto put = pool.Publish("prices", *std::move(built));   // the next version of that name, at once
//
// What may be in one: None bool int float complex str bytes tuple frozenset and read-only mappings, nested. By rule a
// list becomes a tuple, a set a frozenset, a dict a read-only mapping (types.MappingProxyType). Subclasses' instances
// become the base type's. Equal strings may become one object. All else is refused, with the path to it.
//
// Versions: a name counts them from 1. Who holds an older one keeps it, unchanged; whoever looks the name up sees the
// newest. A name that was deleted begins anew at 1.
//
// Life: a version's memory stays for as long as it is the newest of its name, a Value refers to it, or an interpreter
// that has seen it lives. Then it goes back to the system as a whole. Until that it never moves and is never written:
// it is mapped read-only.
//
// Thread safety: every method, any thread. Build is for threads that belong to no interpreter: it may take long (about
// 0.1 s for a million entries), and holds up no interpreter but other calls of Build. The others only take a lock.
//
// Errors (channels/error.h): CONSTANT_NOT_FOUND, CONSTANT_TOO_LARGE, VALUE_NOT_SHAREABLE, INVALID_FIELD.
#ifndef INTERPD_INTERP_CONSTANT_POOL_H_
#define INTERPD_INTERP_CONSTANT_POOL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "channels/shared.h"
#include "channels/value.h"

namespace interpd::interp {

// What is known of a graph once it is built.
struct ConstantFacts {
  std::string digest;        // of the content: 64 hexadecimal digits, the same in every run of every daemon
  std::string type_name;     // of the outermost object, in Python's words: "mappingproxy"
  int64_t object_count = 0;  // those that it has for itself: None, small ints and the like are CPython's
  int64_t byte_count = 0;    // of memory, whole pages
};

// A graph that was built, to be published. The last holder gives its memory back.
class Constant : public channels::Shared {
 public:
  const ConstantFacts& facts() const { return facts_; }

 protected:
  explicit Constant(ConstantFacts facts) : facts_(std::move(facts)) {}

 private:
  const ConstantFacts facts_;
};

struct ConstantInfo {
  std::string name;
  int64_t version = 0;  // of the newest, or of the last one if `deleted`
  ConstantFacts facts;
  absl::Time create_time;
  int64_t seen_by = 0;  // interpreters that have seen this version and live
  // Older versions of the name, and deleted ones, that something still holds.
  int64_t retired_count = 0;
  int64_t retired_bytes = 0;
  bool deleted = false;  // only retired ones are left: `facts` and `seen_by` are empty
};

struct ConstantTotals {
  int64_t count = 0;  // names that can be looked up
  int64_t byte_count = 0;
  int64_t retired_count = 0;
  int64_t retired_bytes = 0;
};

struct BuildOptions {
  // Called now and then while it builds, with what part is done, from 0 to 1. False: gives up, CANCELLED.
  absl::AnyInvocable<bool(double)> progress;
};

struct PublishResult {
  ConstantInfo info;
  bool is_new = false;  // false: the newest version had that content already, and nothing has changed
};

class ConstantPool {
 public:
  virtual ~ConstantPool() = default;

  // Builds the constant of `value`; nothing is left of one that fails. Errors: VALUE_NOT_SHAREABLE with metadata path
  // ("['owner'][3]", empty for the value itself) and type: channels, buffers, pickles, too deep; CONSTANT_TOO_LARGE
  // with path, bytes and limit; without a reason CANCELLED, RESOURCE_EXHAUSTED (the system has no memory) and
  // UNIMPLEMENTED (this CPython is not the one that interpd knows).
  virtual absl::StatusOr<channels::Ref<Constant>> Build(const channels::Value& value, BuildOptions options) = 0;

  // Makes it the newest version of that name, atomically. Errors: INVALID_FIELD (name).
  virtual absl::StatusOr<PublishResult> Publish(std::string_view name, channels::Ref<Constant> constant) = 0;

  // Errors: CONSTANT_NOT_FOUND, whose message names the ones that exist when they are few.
  virtual absl::StatusOr<ConstantInfo> Get(std::string_view name) const = 0;

  // Those with names after `after`, in the order of their names, at most `limit`; deleted ones, too, as long as there
  // is memory of them.
  virtual std::vector<ConstantInfo> List(std::string_view after, size_t limit) const = 0;

  // The name can be looked up no more. Errors: CONSTANT_NOT_FOUND.
  virtual absl::Status Delete(std::string_view name) = 0;

  // The newest version of that name, to be put into a Value (Value::Constant) for an interpreter.
  // Errors: CONSTANT_NOT_FOUND.
  virtual absl::StatusOr<channels::Ref<channels::ConstantRef>> Reference(std::string_view name) const = 0;

  virtual ConstantTotals totals() const = 0;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_CONSTANT_POOL_H_
