// The memory of constants comes back: measured as the kernel counts it.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "interp/constant_pool.h"
#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using testing::PythonInterpreter;

constexpr int64_t kMb = int64_t{1} << 20;

// Of the whole process, without what malloc could give back.
int64_t ResidentBytes() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  int64_t size, resident;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Half of it a million entries, half of it bytes.
channels::Value Large() {
  channels::ValueBuilder builder;
  builder.Begin(channels::Kind::kDict, 4);
  builder.Str("entries");
  builder.Begin(channels::Kind::kDict, 2'000'000);
  for (int i = 0; i < 1'000'000; ++i) {
    builder.Str(absl::StrCat("key ", i));
    builder.Int(1000 + i);
  }
  builder.Str("data");
  builder.Bytes(std::string(100 * kMb, 'x'));
  return std::move(builder).Finish();
}

constexpr char kUse[] = R"(
constant = interpd.constants['large']
assert len(constant['entries']) == 1_000_000 and constant['entries']['key 999999'] == 1000 + 999_999
assert sum(constant['entries'].values()) == sum(range(1000, 1_001_000))
view = memoryview(constant['data'])
assert sum(view[::4096]) == ord('x') * len(view[::4096])
)";

// 200 MB put, used in 8 interpreters, deleted. Returns by how much the process has grown.
int64_t Live() {
  interp::ConstantPool& pool = testing::Host().constants();
  const int64_t before = ResidentBytes();
  auto built = pool.Build(Large(), {});
  EXPECT_TRUE(built.ok()) << built.status();
  EXPECT_TRUE(pool.Publish("large", *std::move(built)).ok());
  const int64_t bytes = pool.Get("large")->facts.byte_count;
  EXPECT_GE(bytes, 200 * kMb);
  EXPECT_LT(ResidentBytes(), before + bytes + 20 * kMb) << "one copy, and nothing else";

  std::vector<std::unique_ptr<PythonInterpreter>> interpreters(8);
  for (auto& python : interpreters) python = std::make_unique<PythonInterpreter>();
  const int64_t unseen = ResidentBytes();
  for (auto& python : interpreters) python->Run(kUse);
  EXPECT_EQ(pool.Get("large")->seen_by, 8);
  EXPECT_LT(ResidentBytes(), unseen + 8 * kMb) << "they share it";

  EXPECT_TRUE(pool.Delete("large").ok());
  while (interpreters.size() > 1) interpreters.pop_back();
  EXPECT_EQ(pool.totals().retired_bytes, bytes);
  EXPECT_GT(ResidentBytes(), before + bytes - 20 * kMb) << "one of them still uses it";
  interpreters[0]->Run("assert constant['entries']['key 5'] == 1005");

  interpreters.clear();
  EXPECT_EQ(pool.totals().retired_bytes, 0);
  return ResidentBytes() - before;
}

TEST(ConstantsMemoryTest, ComesBackOnceEveryInterpreterThatHasSeenThemIsClosed) {
  EXPECT_LT(Live(), 20 * kMb);
  EXPECT_LT(Live(), 12 * kMb) << "what the first time left is libraries' and malloc's, and is used again";
}

TEST(ConstantsMemoryTest, ManyVersionsLeaveNothing) {
  interp::ConstantPool& pool = testing::Host().constants();
  auto put_and_see = [&](int version) {
    channels::ValueBuilder builder;
    builder.Begin(channels::Kind::kTuple, 100'000);
    for (int i = 0; i < 100'000; ++i) builder.Int(1000 + version + i);
    auto built = pool.Build(std::move(builder).Finish(), {});
    ASSERT_TRUE(built.ok());
    ASSERT_TRUE(pool.Publish("version", *std::move(built)).ok());
    PythonInterpreter python;
    python.Run("assert len(interpd.constants['version']) == 100_000");
  };
  for (int version = 0; version < 10; ++version) put_and_see(version);
  const int64_t before = ResidentBytes();
  for (int version = 10; version < 60; ++version) put_and_see(version);
  EXPECT_LT(ResidentBytes(), before + 10 * kMb) << "50 versions of 4 MB";
  EXPECT_EQ(pool.totals().retired_count, 0);
  EXPECT_TRUE(pool.Delete("version").ok());
}

}  // namespace
}  // namespace interpd
