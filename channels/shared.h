// Shared: what several owners hold by counted reference, on any threads: buffers, channels, and whatever else a Value
// refers to without containing it. Ref<T> owns one such reference.
//
// Who includes this: types that Values refer to (buffer.h, channel.h), and value.h, which keeps them alive.
//
//   Ref<Buffer> buffer = MakeRef<Buffer>(...);   // the first owner
//   Ref<Buffer> other = buffer;                  // one more
//
// Guarantees: the object is destroyed once, by whoever drops the last reference, and what every owner did to it before
// dropping its own is visible to the destructor. A destructor that drops the last reference to another Shared does not
// recurse: the other goes when the first is gone, so chains of any length (a channel in a channel in a channel ...)
// need no stack. Cycles stay for ever: who makes one must break it.
//
// Thread safety: AddRef and Unref, any thread; an AddRef requires that the caller holds, or is kept by, a reference.
#ifndef INTERPD_CHANNELS_SHARED_H_
#define INTERPD_CHANNELS_SHARED_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace interpd::channels {

class Shared {
 public:
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  void AddRef() const {
    // relaxed: the new owner has it from one who holds it already; nothing is published by the count.
    refs_.fetch_add(1, std::memory_order_relaxed);
  }

  void Unref() const {
    // release: what this owner did comes before the destruction; acquire: the destroyer sees what all owners did.
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) Destroy(this);
  }

  // True: the caller is the only owner, and has seen what former owners did. Somebody who has no reference but may make
  // one (a registry) must be kept out by other means.
  bool IsOnlyOwner() const { return refs_.load(std::memory_order_acquire) == 1; }  // acquire: as in Unref

  // How many objects of all such types exist, for the books of tests.
  static int64_t live_count() { return live_.load(std::memory_order_relaxed); }

 protected:
  // The maker owns the first reference: MakeRef takes it.
  Shared() { live_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: a count, it orders nothing
  virtual ~Shared() { live_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  // Deletes `dead`, then whatever lost its last owner through that.
  static void Destroy(const Shared* dead) {
    const Shared*& waiting = waiting_;
    if (destroying_) {
      dead->next_dead_ = waiting;
      waiting = dead;
      return;
    }
    destroying_ = true;
    while (dead != nullptr) {
      delete dead;
      dead = waiting;
      if (dead != nullptr) waiting = dead->next_dead_;
    }
    destroying_ = false;
  }

  static inline thread_local bool destroying_ = false;
  static inline thread_local const Shared* waiting_ = nullptr;
  static inline std::atomic<int64_t> live_{0};

  mutable std::atomic<uint64_t> refs_{1};
  mutable const Shared* next_dead_ = nullptr;  // once dead: the thread's list of those to delete
};

// An owning pointer to a Shared; null by default. Copies add an owner.
template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as for the standard's pointers
  // Takes over the reference that the caller owns.
  static Ref Adopt(T* object) { return Ref(object); }
  // Adds a reference.
  static Ref Borrow(T* object) {
    if (object != nullptr) object->AddRef();
    return Ref(object);
  }

  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->AddRef();
  }
  Ref(Ref&& other) noexcept : object_(other.release()) {}
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U> other) : object_(other.release()) {}  // NOLINT(google-explicit-constructor): a derived object is one
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->Unref();
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Gives the reference away.
  T* release() { return std::exchange(object_, nullptr); }

  friend bool operator==(const Ref& a, const Ref& b) { return a.object_ == b.object_; }

 private:
  explicit Ref(T* object) : object_(object) {}

  T* object_ = nullptr;
};

template <typename T, typename... Args>
Ref<T> MakeRef(Args&&... args) {
  return Ref<T>::Adopt(new T(std::forward<Args>(args)...));
}

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_SHARED_H_
