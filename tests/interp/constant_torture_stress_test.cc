// Interpreters do with one constant whatever can be done with such objects, many at once, while others are made and
// closed. Constants are mapped read-only, so this also shows that nobody writes to one.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "interp/constant_pool.h"
#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using testing::PythonInterpreter;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kGenerations = 1;
#else
constexpr int kGenerations = 3;
#endif
constexpr int kInterpreters = 6;

std::string Operations() {
  std::ifstream file("tests/interp/constant_torture.py");
  EXPECT_TRUE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Running {
  std::unique_ptr<PythonInterpreter> python;
  std::shared_ptr<testing::RecordedWork> work;
};

Running Begin(const std::string& operations, std::string_view constant, int seed) {
  Running running{.python = std::make_unique<PythonInterpreter>()};
  running.work = running.python->Start(
      absl::StrCat(operations, "\ntorture(interpd.constants['", constant, "'], ", seed, ", rounds=2)\n"));
  return running;
}

// Everything that was published and seen is gone at the end.
void Torture(std::string_view constant) {
  interp::ConstantPool& pool = testing::Host().constants();
  const std::string operations = Operations();
  std::mt19937 chance(7);
  std::vector<Running> running;
  running.reserve(kInterpreters);
  for (int i = 0; i < kInterpreters; ++i) running.push_back(Begin(operations, constant, i));
  for (int i = 0; i < kInterpreters * kGenerations; ++i) {
    // Whichever comes, its interpreter goes, and another takes its place.
    std::swap(running[chance() % running.size()], running.back());
    Running one = std::move(running.back());
    running.pop_back();
    EXPECT_EQ(testing::Failure(*one.work), "");
    one.python.reset();
    if (i % 3 == 0) {
      auto other = pool.Build(channels::Value::Int(1000 + i), {});
      ASSERT_TRUE(other.ok()) << other.status();
      EXPECT_TRUE(pool.Publish("other", *std::move(other)).ok());
    }
    if (i + kInterpreters < kInterpreters * kGenerations) running.push_back(Begin(operations, constant, 100 + i));
  }
  EXPECT_TRUE(running.empty());
  EXPECT_TRUE(pool.Delete("other").ok());
  EXPECT_TRUE(pool.Delete(constant).ok());
  EXPECT_EQ(pool.totals().retired_count, 0);
}

TEST(ConstantTortureTest, WhatHostedCodePublished) {
  {
    PythonInterpreter publisher({.may_publish = true});
    publisher.Run(Operations() + "\ninterpd.publish('torture', build())\n");
  }
  Torture("torture");
}

TEST(ConstantTortureTest, WhatCameAsAValue) {
  {
    PythonInterpreter source;
    source.Run(Operations());
    auto value = source.Call("build");
    ASSERT_TRUE(value.ok()) << value.status();
    auto built = testing::Host().constants().Build(value->value, {});
    ASSERT_TRUE(built.ok()) << built.status();
    ASSERT_TRUE(testing::Host().constants().Publish("torture", *std::move(built)).ok());
  }
  Torture("torture");
}

}  // namespace
}  // namespace interpd
