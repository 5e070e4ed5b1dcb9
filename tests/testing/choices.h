// Chooser: answers "which of these?" so that all answers, or random ones, are given in the course of many runs.
//
// Who includes this: deterministic_schedule.cc. Thread safety: none.
#ifndef INTERPD_TESTS_TESTING_CHOICES_H_
#define INTERPD_TESTS_TESTING_CHOICES_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/log/check.h"

namespace interpd::testing {

class Chooser {
 public:
  virtual ~Chooser() = default;
  // One of `plain` options that cost nothing (0, 1, ...) and `deviating` further ones.
  virtual int Choose(int plain, int deviating) = 0;
  // To the next run. False: there is none.
  virtual bool Next() = 0;
};

// Depth first: the last choice that has an untried option gets its next one; the choices before it are repeated.
class AllChooser final : public Chooser {
 public:
  explicit AllChooser(int deviations) : deviations_(deviations), left_(deviations) {}

  int Choose(int plain, int deviating) override {
    const int options = plain + (left_ > 0 ? deviating : 0);
    if (options == 1) return 0;
    if (position_ == choices_.size()) choices_.push_back({0, options});
    const Choice& choice = choices_[position_++];
    CHECK_EQ(choice.options, options) << "the test does not do the same when it is run again";
    left_ -= choice.chosen >= plain;
    return choice.chosen;
  }

  bool Next() override {
    choices_.resize(position_);
    while (!choices_.empty() && choices_.back().chosen + 1 == choices_.back().options) choices_.pop_back();
    if (choices_.empty()) return false;
    ++choices_.back().chosen;
    position_ = 0;
    left_ = deviations_;
    return true;
  }

 private:
  struct Choice {
    int chosen;
    int options;
  };
  const int deviations_;
  int left_;
  size_t position_ = 0;
  std::vector<Choice> choices_;
};

class RandomChooser final : public Chooser {
 public:
  RandomChooser(uint64_t seed, uint64_t runs, int odds) : random_(seed), runs_(runs), odds_(odds) {}

  int Choose(int plain, int deviating) override {
    const bool deviate = deviating > 0 && Below(odds_) == 0;
    return deviate ? plain + Below(deviating) : Below(plain);
  }
  bool Next() override { return --runs_ > 0; }

 private:
  int Below(int limit) { return static_cast<int>(random_() % limit); }

  std::mt19937_64 random_;
  uint64_t runs_;
  const int odds_;
};

}  // namespace interpd::testing

#endif  // INTERPD_TESTS_TESTING_CHOICES_H_
