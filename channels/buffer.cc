#include "channels/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace interpd::channels {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kPage = 4096;
// From here on memory comes from the system: zero already, and given back at once.
constexpr size_t kMapped = size_t{1} << 20;

char* Allocate(size_t size) {
  const size_t alignment = size >= 2 * kPage ? kPage : kLine;
  return static_cast<char*>(
      std::aligned_alloc(alignment, (size + alignment) / alignment * alignment));  // never 0 bytes
}

class HeapBuffer final : public Buffer {
 public:
  HeapBuffer(char* data, size_t size, bool readonly) : Buffer(data, size, readonly) {}

 private:
  ~HeapBuffer() override { std::free(data()); }
};

class MappedBuffer final : public Buffer {
 public:
  MappedBuffer(char* data, size_t size) : Buffer(data, size, /*readonly=*/false) {}

 private:
  ~MappedBuffer() override { munmap(data(), size()); }
};

}  // namespace

Ref<Buffer> Buffer::Make(size_t size) {
  if (size >= kMapped) {
    void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return nullptr;
    return MakeRef<MappedBuffer>(static_cast<char*>(data), size);
  }
  char* data = Allocate(size);
  if (data == nullptr) return nullptr;
  std::memset(data, 0, size);
  return MakeRef<HeapBuffer>(data, size, /*readonly=*/false);
}

Ref<Buffer> CopyToBuffer(std::string_view bytes) {
  char* data = Allocate(bytes.size());
  if (data == nullptr) return nullptr;
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return MakeRef<HeapBuffer>(data, bytes.size(), /*readonly=*/true);
}

}  // namespace interpd::channels
