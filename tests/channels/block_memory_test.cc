#include "channels/block_memory.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace interpd::channels {
namespace {

// Whether small blocks come from the region: not under the sanitizers.
bool UsesRegion() {
  void* block = AllocateBlock(64);
  const bool small = SmallBlockSize(block) != 0;
  FreeBlock(block);
  return small;
}

TEST(BlockMemoryTest, BlocksAreApartAndLargeEnough) {
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t size : {1, 16, 100, 128, 129, 512, 513, 100'000}) {
    for (int i = 0; i < 100; ++i) {
      char* block = static_cast<char*>(AllocateBlock(size));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 16, 0u);
      EXPECT_EQ(SmallBlockSize(block), !UsesRegion() || size > 512 ? 0u : size > 128 ? 512u : 128u);
      std::memset(block, static_cast<int>(blocks.size() % 251), size);
      blocks.emplace_back(block, size);
    }
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    for (size_t k = 0; k < blocks[i].second; ++k) ASSERT_EQ(static_cast<unsigned char>(blocks[i].first[k]), i % 251);
    FreeBlock(blocks[i].first);
  }
}

TEST(BlockMemoryTest, TakesBackWhatMallocGave) {
  void* block = std::calloc(1, 64);
  EXPECT_EQ(SmallBlockSize(block), 0u);
  FreeBlock(block);
  FreeBlock(nullptr);
}

// What one thread frees, another gets again: the addresses in use are few.
TEST(BlockMemoryTest, BlocksGoBackToWhoAllocates) {
  if (!UsesRegion()) GTEST_SKIP() << "malloc is watched";
  std::set<void*> addresses;
  for (int round = 0; round < 100; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 1000; ++i) blocks.push_back(AllocateBlock(100));
    addresses.insert(blocks.begin(), blocks.end());
    std::thread([&] {
      for (void* block : blocks) FreeBlock(block);
    }).join();
  }
  EXPECT_LT(addresses.size(), 3000u);
}

// Threads that free a few blocks, less than goes from thread to thread at once, and end.
TEST(BlockMemoryTest, AThreadThatEndsKeepsNothing) {
  if (!UsesRegion()) GTEST_SKIP() << "malloc is watched";
  std::set<void*> addresses;
  for (int round = 0; round < 2000; ++round) {
    void* blocks[3] = {AllocateBlock(300), AllocateBlock(300), AllocateBlock(300)};
    addresses.insert(blocks, blocks + 3);
    std::thread([&] {
      for (void* block : blocks) FreeBlock(block);
      FreeBlock(AllocateBlock(300));
    }).join();
  }
  EXPECT_LT(addresses.size(), 500u);
}

TEST(BlockMemoryTest, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      std::vector<char*> mine;
      for (int i = 0; i < 50'000; ++i) {
        char* block = static_cast<char*>(AllocateBlock(64));
        std::memset(block, t, 64);
        mine.push_back(block);
        if (mine.size() == 77) {
          for (char* each : mine) {
            ASSERT_EQ(each[0], t);
            ASSERT_EQ(each[63], t);
            FreeBlock(each);
          }
          mine.clear();
        }
      }
      for (char* each : mine) FreeBlock(each);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// More than the region holds: malloc takes over, and all of it comes back.
TEST(BlockMemoryTest, BeyondTheRegion) {
  if (!UsesRegion()) GTEST_SKIP() << "malloc is watched";
  size_t in_region[2];
  for (size_t& count : in_region) {
    std::vector<void*> blocks;
    count = 0;
    while (blocks.size() < 200'000) {
      blocks.push_back(AllocateBlock(400));
      count += SmallBlockSize(blocks.back()) != 0;
    }
    EXPECT_LT(count, blocks.size());
    EXPECT_GT(count, 100'000u);
    for (void* block : blocks) FreeBlock(block);
  }
  EXPECT_EQ(in_region[0], in_region[1]);
}

}  // namespace
}  // namespace interpd::channels
