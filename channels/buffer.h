// Buffer and BufferView: memory that hosted code of several interpreters sees at once, without a copy.
//
// Who includes this: interp/ (interpd.buffer, memoryviews), daemon/value_proto. A Value of kind kBuffer refers to a
// BufferView, which says what part of a Buffer is meant and how it is to be read.
//
// A Buffer is never moved or resized, and goes with its last reference. What is in it is not guarded: two interpreters
// that write to one place at a time get what two threads of C would get. Sending a Value that refers to it orders
// what was written before the send before what the receiver reads.
#ifndef INTERPD_CHANNELS_BUFFER_H_
#define INTERPD_CHANNELS_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "channels/shared.h"

namespace interpd::channels {

// Derive from it for memory that comes from elsewhere and is given back by the destructor.
class Buffer : public Shared {
 public:
  // `size` bytes of zeros, aligned to a cache line; from two pages up to a page. Null: not enough memory.
  static Ref<Buffer> Make(size_t size);

  char* data() const { return data_; }
  size_t size() const { return size_; }
  bool readonly() const { return readonly_; }

 protected:
  Buffer(char* data, size_t size, bool readonly) : data_(data), size_(size), readonly_(readonly) {}

 private:
  char* const data_;
  const size_t size_;
  const bool readonly_;
};

// A read-only one that holds a copy of `bytes`. Null: not enough memory.
Ref<Buffer> CopyToBuffer(std::string_view bytes);

// Immutable. In the words of Python's memoryview: C-contiguous, native sizes.
class BufferView : public Shared {
 public:
  enum class Form : uint8_t {
    kBuffer,  // the buffer object itself
    kFlat,    // a memoryview of one dimension
    kShaped,  // a memoryview of other dimensions: shape()
  };

  BufferView(Ref<Buffer> buffer, char* data, size_t size, bool readonly, Form form, char format = 'B',
             std::vector<int64_t> shape = {})
      : buffer_(std::move(buffer)),
        data_(data),
        size_(size),
        readonly_(readonly),
        form_(form),
        format_(format),
        shape_(std::move(shape)) {}

  const Ref<Buffer>& buffer() const { return buffer_; }
  char* data() const { return data_; }
  size_t size() const { return size_; }  // bytes
  std::string_view bytes() const { return {data_, size_}; }
  bool readonly() const { return readonly_; }
  Form form() const { return form_; }
  char format() const { return format_; }                       // one character of Python's struct module
  const std::vector<int64_t>& shape() const { return shape_; }  // items in each dimension

 private:
  const Ref<Buffer> buffer_;
  char* const data_;  // within buffer_
  const size_t size_;
  const bool readonly_;
  const Form form_;
  const char format_;
  const std::vector<int64_t> shape_;
};

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_BUFFER_H_
