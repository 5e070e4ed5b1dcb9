// All interleavings, within bounds, of a few calls on the queues that are shipped: a queue's answers can be explained
// by one order; nobody sleeps beside what it waits for; a thread that stops for ever stops nobody else.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "channels/queue_channel.h"
#include "tests/channels/channel_history.h"
#include "tests/channels/model_run.h"
#include "tests/testing/deterministic_schedule.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace interpd::channels {
namespace {

using testing::DeterministicAtomic;
using testing::Explored;
using testing::ModelCheck;
using testing::RunThreads;

using Queue = QueueChannel<DeterministicAtomic>;

// A queue, and threads that do what scripts say: s try to send, r try to receive, S send, R receive, t send and u
// receive with a deadline, p and q send and receive by a select, c close.
class Scene {
 public:
  Scene(size_t capacity, size_t threads)
      : queue_(MakeRef<Queue>(capacity, "")), recorded_(*queue_, *queue_, threads + 1) {
    for (int& number : next_) number = 0;
  }

  void Play(int thread, const std::string& script) {
    for (char verb : script) {
      const int64_t number = 100 * (thread + 1) + next_[thread]++;
      switch (verb) {
        case 's': Count(thread, recorded_.TrySend(thread, number)); break;
        case 'r': Count(thread, recorded_.TryRecv(thread)); break;
        case 'S': Count(thread, recorded_.Send(thread, number, {})); break;
        case 'R': Count(thread, recorded_.Recv(thread, {})); break;
        case 't': Count(thread, recorded_.Send(thread, number, SomeTime())); break;
        case 'u': Count(thread, recorded_.Recv(thread, SomeTime())); break;
        case 'p':
          Count(thread, recorded_.Send(thread, number, [&](Value& value) {
            size_t chosen;
            return SelectOf({{queue_.get(), Direction::kSend, &value}}, &chosen);
          }));
          break;
        case 'q':
          Count(thread, recorded_.Recv(thread, [&](Value* value) {
            size_t chosen;
            return SelectOf({{queue_.get(), Direction::kRecv, value}}, &chosen);
          }));
          break;
        case 'c': recorded_.Close(thread); break;
        default: FAIL() << verb;
      }
    }
  }

  void Run(const std::vector<std::string>& scripts) {
    std::vector<std::function<void()>> threads;
    for (size_t i = 0; i < scripts.size(); ++i) {
      threads.emplace_back([this, i, &scripts] { Play(static_cast<int>(i), scripts[i]); });
    }
    RunThreads(threads);
  }

  // After Run, if no thread was stopped: what is left, and then all in all.
  void CheckOrder(int threads) {
    if (testing::Failed()) return;
    while (recorded_.TryRecv(threads) == Outcome::kDone) {
    }
    ModelCheck(recorded_.Check(queue_->capacity()).empty(), "an order of the calls explains their results");
  }

  int done(int thread) const { return done_[thread]; }

 private:
  void Count(int thread, Outcome outcome) { done_[thread] += outcome == Outcome::kDone; }

  Ref<Queue> queue_;
  RecordedChannel recorded_;
  std::array<int, testing::kMaxModelThreads + 1> next_{};
  std::array<int, testing::kMaxModelThreads + 1> done_{};
};

std::string Join(const std::vector<std::string>& scripts) {
  std::string all;
  for (const std::string& script : scripts) all += script + " ";
  return all;
}

TEST(QueueModelTest, AnOrderExplainsTheResults) {
  struct Case {
    size_t capacity;
    std::vector<std::string> scripts;
    int deviations;
  };
  const Case cases[] = {
      // Tries alone.
      {1, {"ss", "rr"}, 3},
      {1, {"sr", "sr"}, 3},
      {3, {"sss", "rr"}, 3},
      {1, {"s", "s", "rr"}, 2},
      // Closing.
      {1, {"ss", "c"}, 3},
      {1, {"ss", "c", "rr"}, 2},
      {2, {"s", "c", "rrr"}, 2},
      {3, {"sc", "cs", "rr"}, 2},
      {1, {"sc", "RR"}, 3},
      {1, {"c", "R", "S"}, 2},
      // Sleeping.
      {1, {"SS", "RR"}, 3},
      {1, {"S", "S", "RR"}, 2},
      {1, {"SS", "R", "R"}, 2},
      {1, {"SSc", "RRR"}, 2},
      {1, {"Sc", "R", "R"}, 2},
      {1, {"c", "R", "R"}, 2},
      {1, {"SSS", "rc"}, 2},
      // Deadlines.
      {1, {"S", "u", "S", "R"}, 1},
      {1, {"Sr", "u"}, 3},
      {1, {"St", "r"}, 3},
      // Selects.
      {1, {"S", "q"}, 3},
      {1, {"pp", "R", "R"}, 1},
      {1, {"SS", "qq"}, 2},
      {1, {"c", "q", "q"}, 2},
      {1, {"pp", "qq"}, 2},
      {1, {"SS", "q", "R"}, 1},
      {1, {"SS", "q", "q"}, 1},
  };
  uint64_t runs = 0;
  for (const Case& c : cases) {
    const Explored explored = ExploreRuns(c.deviations, [&] {
      Scene scene(c.capacity, c.scripts.size());
      scene.Run(c.scripts);
      scene.CheckOrder(static_cast<int>(c.scripts.size()));
    });
    runs += explored.runs;
    ASSERT_EQ(explored.failure, "") << "capacity " << c.capacity << ": " << Join(c.scripts);
  }
  RecordProperty("runs", absl::StrCat(runs));
}

// A thread stops for ever, at each of its accesses in turn. All others come to the end of their scripts: those who send
// and receive, and those who sleep until they are sent something.
TEST(QueueModelTest, AStoppedThreadStopsNobody) {
#if defined(__SANITIZE_ADDRESS__)
  const __lsan::ScopedDisabler leaks_are_meant;  // who stops for ever frees nothing
#endif
  struct Case {
    size_t capacity;
    std::string stopped;
    std::vector<std::string> others;
  };
  const Case cases[] = {
      {4, "s", {"srsr", "rsrs"}},
      {4, "r", {"srsr", "rsrs"}},
      // What others send wakes who sleeps, even if the stopped one owes it a waking too.
      {4, "s", {"R", "R", "SS"}},
      {4, "s", {"q", "q", "SS"}},
      {4, "s", {"R", "q", "SS"}},
      // The stopped one may have taken one of the values, or hold one.
      {4, "r", {"R", "SSS"}},
      {4, "R", {"R", "SSS"}},
      {4, "q", {"R", "SSS"}},
      {4, "q", {"q", "SSS"}},
      {2, "r", {"SSSS", "RRr"}},
      {2, "S", {"SSSS", "RRRr"}},
      {1, "c", {"sr", "rs"}},
  };
  int stops = 0;
  for (const Case& c : cases) {
    bool went_through = false;
    for (int access = 0; !went_through; ++access, ++stops) {
      went_through = true;
      const Explored explored = ExploreRuns(1, [&] {
        Scene scene(c.capacity, 1 + c.others.size());
        testing::StopForEver(0, access);
        std::vector<std::string> scripts = {c.stopped};
        scripts.insert(scripts.end(), c.others.begin(), c.others.end());
        scene.Run(scripts);
        for (size_t i = 1; i < scripts.size(); ++i) ModelCheck(testing::Ended(static_cast<int>(i)), "the others ended");
        went_through = went_through && testing::Ended(0);
      });
      ASSERT_EQ(explored.failure, "") << c.stopped << " stopped at " << access << " beside " << Join(c.others);
    }
  }
  RecordProperty("stops", absl::StrCat(stops));
}

// ---- what a history of one queue does not show ----------------------------------------------------------------------

void ReturnInt(Channel& channel, int64_t number) {
  std::vector<Value> values;
  values.push_back(Value::Int(number));
  channel.Return(std::move(values));
}

TEST(QueueModelTest, ReturnedValuesAreReceivedOnce) {
  const Explored explored = ExploreRuns(2, [] {
    auto queue = MakeRef<Queue>(2, "");
    int64_t sum = 0;
    RunThreads({[&] {
                  const int64_t got = ModelRecv(*queue);
                  ReturnInt(*queue, got);
                  sum += ModelRecv(*queue);
                },
                [&] { sum += ModelRecv(*queue); },
                [&] {
                  ModelSend(*queue, 1);
                  ModelSend(*queue, 10);
                }});
    ModelCheck(sum == 11 && queue->SizeGuess() == 0, "each was received once");
  });
  EXPECT_EQ(explored.failure, "");
}

TEST(QueueModelTest, AWatcherIsToldOnce) {
  for (bool close : {false, true}) {
    const Explored explored = ExploreRuns(3, [&] {
      auto queue = MakeRef<Queue>(2, "");
      auto bell = std::make_shared<Bell>();
      RunThreads({[&] { queue->Watch(Direction::kRecv, bell); },
                  [&] {
                    ModelSend(*queue, 1);
                    if (close) queue->Close();
                  },
                  [&] {
                    Value value = Value::Int(2);
                    queue->Send(value, {});
                  }});
      ModelCheck(bell->rung == 1, "it was told once");
    });
    EXPECT_EQ(explored.failure, "");
  }
}

TEST(QueueModelTest, AWatcherIsToldOrTakenBack) {
  const Explored explored = ExploreRuns(4, [] {
    auto queue = MakeRef<Queue>(2, "");
    auto bell = std::make_shared<Bell>();
    bool taken_back = false;
    RunThreads(
        {[&] { taken_back = queue->Unwatch(queue->Watch(Direction::kRecv, bell)); }, [&] { ModelSend(*queue, 1); }});
    ModelCheck(bell->rung == (taken_back ? 0 : 1), "one or the other");
  });
  EXPECT_EQ(explored.failure, "");
}

// A select that was told of one channel takes another's value, or goes: somebody else who waits gets what it left.
TEST(SelectModelTest, WhoTakesAnotherCasePassesOn) {
  for (bool other_selects : {false, true}) {
    for (bool deadline : {false, true}) {
      const Explored explored = ExploreRuns(2, [&] {
        auto first = MakeRef<Queue>(2, ""), second = MakeRef<Queue>(2, "");
        RunThreads({[&] {
                      Value one, two;
                      size_t chosen;
                      const Outcome outcome =
                          SelectOf({{first.get(), Direction::kRecv, &one}, {second.get(), Direction::kRecv, &two}},
                                   &chosen, deadline ? SomeTime() : Wait());
                      // What it took of the second it gives back, so that the other always gets one.
                      if (outcome == Outcome::kDone && chosen == 1) ModelSend(*second, IntOf(two));
                    },
                    [&] {
                      ModelSend(*first, 1);
                      ModelSend(*second, 2);
                    },
                    [&] {
                      Value value;
                      size_t chosen;
                      const Outcome outcome = other_selects
                                                  ? SelectOf({{second.get(), Direction::kRecv, &value}}, &chosen)
                                                  : second->Recv(&value, {});
                      ModelCheck(outcome == Outcome::kDone && IntOf(value) == 2, "the value of the second");
                    }});
      });
      EXPECT_EQ(explored.failure, "");
    }
  }
}

TEST(SelectModelTest, SendAndReceiveCases) {
  const Explored explored = ExploreRuns(2, [] {
    auto full = MakeRef<Queue>(1, ""), empty = MakeRef<Queue>(1, "");
    ModelSend(*full, 7);
    int64_t got = 0;
    RunThreads({[&] {
                  Value out = Value::Int(8), in;
                  size_t chosen;
                  SelectOf({{full.get(), Direction::kSend, &out}, {empty.get(), Direction::kRecv, &in}}, &chosen);
                  got = chosen == 0 ? 8 : IntOf(in);
                  ModelCheck((out.kind() == Kind::kNone) == (chosen == 0), "what was not sent stays");
                },
                [&] { ModelCheck(ModelRecv(*full) == 7, "the first"); }, [&] { ModelSend(*empty, 9); }});
    ModelCheck(got == 8 ? full->SizeGuess() == 1 && empty->SizeGuess() == 1
                        : full->SizeGuess() == 0 && empty->SizeGuess() == 0,
               "one case was done");
  });
  EXPECT_EQ(explored.failure, "");
}

}  // namespace
}  // namespace interpd::channels
