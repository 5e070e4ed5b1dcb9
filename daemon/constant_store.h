// ConstantStore: puts and deletes constants: content in its serialized form into the pool, and into files if asked to.
//
// Who includes this: the RPCs of constants, and the server, which loads the files.
//
// The file of a constant and the pool change together, one name after the other: a file is in its place before anybody
// sees its version, and what failed is in neither. A put that is not to persist leaves the file as it is.
//
// Thread safety: Put, Delete and Load block and take long: threads that belong to no interpreter and are not the event
// loop's. The others, any thread.
#ifndef INTERPD_DAEMON_CONSTANT_STORE_H_
#define INTERPD_DAEMON_CONSTANT_STORE_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "daemon/constant_files.h"
#include "interp/constant_pool.h"

namespace interpd::daemon {

// Memory for content that arrives in pieces; untouched, it takes none.
class ConstantContent {
 public:
  ConstantContent() = default;
  // Of a fixed size, to be filled by Append. Empty if there is not so much memory.
  explicit ConstantContent(size_t capacity)
      : bytes_(new (std::nothrow) char[capacity]), capacity_(bytes_ ? capacity : 0) {}

  size_t capacity() const { return capacity_; }
  size_t size() const { return size_; }
  std::string_view bytes() const { return {bytes_.get(), size_}; }
  // Requires: there is room.
  void Append(std::string_view piece);

 private:
  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

enum class Persist { kNo, kYes };

class ConstantStore {
 public:
  // `files` null: nothing persists.
  ConstantStore(interp::ConstantPool& pool, std::unique_ptr<ConstantFiles> files)
      : pool_(pool), files_(std::move(files)) {}

  bool can_persist() const { return files_ != nullptr; }

  // Puts every constant that has a file, unless `next`, which is told of each before, says no: CANCELLED. Errors name
  // the file.
  absl::Status Load(absl::FunctionRef<bool(std::string_view id)> next = [](std::string_view) { return true; });

  // Gives up soon, with CANCELLED, once `*cancelled` is true. Errors: INVALID_VALUE, CONSTANT_TOO_LARGE,
  // CONSTANT_NOT_PERSISTED, INVALID_FIELD. Requires: a valid id; kYes only if can_persist().
  absl::StatusOr<interp::PublishResult> Put(std::string_view id, ConstantContent content, Persist persist,
                                            const std::atomic<bool>& cancelled);

  // What was deleted, as it is then. Errors: CONSTANT_NOT_FOUND, CONSTANT_NOT_PERSISTED.
  absl::StatusOr<interp::ConstantInfo> Delete(std::string_view id);

  // Whether the file of that name holds this very content.
  bool IsPersistent(std::string_view id, std::string_view digest) const;

 private:
  interp::ConstantPool& pool_;
  const std::unique_ptr<ConstantFiles> files_;

  absl::Mutex commit_;  // held while file and pool change together, also across a sync of the directory
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::string> digests_ ABSL_GUARDED_BY(mutex_);  // of what is in the files, by id
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_CONSTANT_STORE_H_
