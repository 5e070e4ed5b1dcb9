// Packed: 72 bits that stand for a small movable object, so that one compare-and-swap can move it.
//
// Who includes this: types that can lie in an MpmcRing, which have
//   Packed Pack() const;          // what stands for the object, which stays as it is
//   void Forget();                // the bits have become the owner of what the object owned; it is empty now
//   static T Unpack(Packed);      // the object again; from now on it is the owner
// none of which throws. Trivial types of up to 64 bits need nothing.
#ifndef INTERPD_CHANNELS_PACKED_H_
#define INTERPD_CHANNELS_PACKED_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace interpd::channels {

struct Packed {
  uint64_t body = 0;
  uint8_t tag = 0;
};

template <typename T>
concept IsSmall = std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(uint64_t);

template <typename T>
Packed Pack(const T& object) {
  if constexpr (IsSmall<T>) {
    Packed packed;
    std::memcpy(&packed.body, &object, sizeof(T));
    return packed;
  } else {
    return object.Pack();
  }
}

template <typename T>
void Forget(T& object) {
  if constexpr (!IsSmall<T>) object.Forget();
}

template <typename T>
T Unpack(Packed packed) {
  if constexpr (IsSmall<T>) {
    T object;
    std::memcpy(&object, &packed.body, sizeof(T));
    return object;
  } else {
    return T::Unpack(packed);
  }
}

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_PACKED_H_
