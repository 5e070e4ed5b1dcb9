#include "channels/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "channels/value.h"

namespace interpd::channels {
namespace {

TEST(BufferTest, IsZeroedAlignedAndWritable) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{64}, size_t{4096}, size_t{100'000}, size_t{3} << 20}) {
    Ref<Buffer> buffer = Buffer::Make(size);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(buffer->size(), size);
    EXPECT_FALSE(buffer->readonly());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % (size >= 8192 ? 4096 : 64), 0u) << size;
    for (size_t i = 0; i < size; ++i) ASSERT_EQ(buffer->data()[i], 0) << size << " " << i;
    for (size_t i = 0; i < size; ++i) buffer->data()[i] = 'x';
  }
}

TEST(BufferTest, TooLargeIsNull) { EXPECT_FALSE(Buffer::Make(size_t{1} << 60)); }

TEST(BufferTest, CopyIsReadOnly) {
  Ref<Buffer> copy = CopyToBuffer("some bytes");
  EXPECT_TRUE(copy->readonly());
  EXPECT_EQ(std::string_view(copy->data(), copy->size()), "some bytes");
  EXPECT_EQ(CopyToBuffer("")->size(), 0u);
}

TEST(BufferTest, LivesAsLongAsAValueRefersToIt) {
  const int64_t before = Shared::live_count();
  Ref<Buffer> buffer = Buffer::Make(100);
  auto view = MakeRef<BufferView>(buffer, buffer->data() + 10, 16, false, BufferView::Form::kShaped, 'i',
                                  std::vector<int64_t>{2, 2});
  Value value = Value::Buffer(std::move(view));
  buffer->data()[10] = 'a';
  buffer = nullptr;
  auto* seen = static_cast<BufferView*>(ValueReader(value).Next().shared);
  EXPECT_EQ(seen->bytes().substr(0, 1), "a");
  EXPECT_EQ(seen->size(), 16u);
  EXPECT_EQ(seen->format(), 'i');
  EXPECT_EQ(seen->shape(), (std::vector<int64_t>{2, 2}));
  value = Value();
  EXPECT_EQ(Shared::live_count(), before);
}

}  // namespace
}  // namespace interpd::channels
