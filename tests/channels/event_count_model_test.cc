// All interleavings of waiters and posters of an EventCount: nobody sleeps on when there is something for it.
//
// Changes of the shipped headers that were made to see these tests fail, by "all sleep, and nobody is left to wake
// them" but where another failure is named: the fence left out in PrepareWait, which TheConditionNeedsNoOrderOfItsOwn
// alone sees, or in the notification's Look; Look relaxed instead of seq_cst for Published::kSeqCst; a notification
// that does not wake, makes no new epoch, or makes it after the wake; NotifyAll that wakes one; a waiter that is
// uncounted before it is woken, or twice; one that is not uncounted by who woke it, by its time-out or by its release
// ("each waiter was uncounted"); Wait's load or the notification's addition relaxed ("a read races with a write"); an
// interrupt that looks at no place, marks without releasing, or does not wake who waits for the mark's end; a waiter
// that looks at the ticket before it takes its place; Raise's addition relaxed ("the reason is visible"); a waiter that
// leaves without a try and does not pass on (WithoutTheBatonRuleSomebodySleepsForEver keeps that one).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "channels/event_count.h"
#include "channels/mpmc_ring.h"
#include "tests/testing/deterministic_schedule.h"

namespace interpd::channels {
namespace {

using testing::DeterministicAtomic;
using testing::Explore;
using testing::Explored;
using ::testing::HasSubstr;
using testing::ModelCheck;
using testing::PlainCell;
using testing::RunThreads;

using Event = BasicEventCount<DeterministicAtomic>;
using Interrupt = BasicInterrupt<DeterministicAtomic>;

// The model decides when it passes; only that there is one counts.
const Deadline kSomeDeadline = Deadline::After(absl::Hours(1));

enum class Notify { kOne, kAll };

// A bounded queue that blocks, made as channels are.
class Mailbox {
 public:
  Mailbox(size_t capacity, Notify notify, Published published)
      : ring_(capacity), notify_(notify), published_(published) {}

  void Send(int number) {
    while (!ring_.TryPush(number)) {
      const uint32_t key = room_.PrepareWait();
      if (ring_.TryPush(number)) {
        room_.CancelWait(key);
        break;
      }
      room_.Wait(key);
    }
    Tell(items_);
  }

  // 0 when the deadline or the interrupt came first.
  int Receive(const Deadline& deadline = Deadline::Infinite(), Interrupt* interrupt = nullptr, uint32_t ticket = 0) {
    int number = 0;
    while (!ring_.TryPop(&number)) {
      const uint32_t key = items_.PrepareWait();
      if (ring_.TryPop(&number)) {
        items_.CancelWait(key);
        break;
      }
      // Who is told that it was not released owes nothing to those who sleep on.
      if (items_.Wait(key, deadline, interrupt, ticket) != WaitResult::kNotified) return 0;
    }
    Tell(room_);
    return number;
  }

  bool holds_some() const { return ring_.PopState() == decltype(ring_)::State::kReady; }
  bool HasWaiters() const { return items_.HasWaiters() || room_.HasWaiters(); }
  Event& items() { return items_; }

 private:
  void Tell(Event& event) { notify_ == Notify::kOne ? event.NotifyOne(published_) : event.NotifyAll(published_); }

  MpmcRing<int, DeterministicAtomic> ring_;
  Event items_, room_;
  const Notify notify_;
  const Published published_;
};

// That every thread comes to its end is what is tested; the model fails a run in which all sleep.
TEST(EventCountModelTest, BlockingSendersAndReceiversAllEnd) {
  uint64_t runs = 0;
  for (Notify notify : {Notify::kOne, Notify::kAll}) {
    for (Published published : {Published::kAnyhow, Published::kSeqCst}) {
      struct Case {
        size_t capacity;
        std::vector<int> senders, receivers;  // how many each sends or receives
        int deviations;
      };
      for (const Case& c : std::vector<Case>{
               {1, {2}, {2}, 3}, {1, {3}, {3}, 2}, {1, {2}, {1, 1}, 2}, {2, {1, 1}, {2}, 2}, {1, {1, 1}, {1, 1}, 2}}) {
        const Explored explored = Explore({.deviations = testing::Deviations(c.deviations)}, [&] {
          Mailbox box(c.capacity, notify, published);
          std::vector<std::function<void()>> threads;
          int sum = 0;
          for (size_t i = 0; i < c.senders.size(); ++i) {
            threads.emplace_back([&box, &c, i] {
              for (int k = 0; k < c.senders[i]; ++k) box.Send(1);
            });
          }
          for (size_t i = 0; i < c.receivers.size(); ++i) {
            threads.emplace_back([&box, &c, &sum, i] {
              for (int k = 0; k < c.receivers[i]; ++k) sum += box.Receive();
            });
          }
          RunThreads(threads);
          int sent = 0;
          for (int count : c.senders) sent += count;
          ModelCheck(sum == sent, "what was sent was received");
          ModelCheck(testing::Failed() || !box.HasWaiters(), "each waiter was uncounted");
        });
        runs += explored.runs;
        ASSERT_EQ(explored.failure, "") << "capacity " << c.capacity << ", " << c.senders.size() << " senders, "
                                        << c.receivers.size() << " receivers";
      }
    }
  }
  RecordProperty("runs", absl::StrCat(runs));
}

// The condition is set and looked at without any order: the fences of the event count must do.
TEST(EventCountModelTest, TheConditionNeedsNoOrderOfItsOwn) {
  const Explored explored = Explore({.deviations = testing::Deviations(5)}, [] {
    Event event;
    DeterministicAtomic<int> condition{0};
    const auto wait = [&] {
      while (condition.load(std::memory_order_relaxed) == 0) {
        const uint32_t key = event.PrepareWait();
        if (condition.load(std::memory_order_relaxed) != 0) {
          event.CancelWait(key);
          break;
        }
        event.Wait(key);
      }
    };
    RunThreads({wait, wait, [&] {
                  condition.store(1, std::memory_order_relaxed);
                  event.NotifyAll();
                }});
  });
  EXPECT_EQ(explored.failure, "");
  RecordProperty("runs", absl::StrCat(explored.runs));
}

TEST(EventCountModelTest, ANotificationPublishesWhatWasWrittenBefore) {
  for (Notify notify : {Notify::kOne, Notify::kAll}) {
    for (Published published : {Published::kAnyhow, Published::kSeqCst}) {
      const Explored explored = Explore({.deviations = testing::Deviations(5)}, [&] {
        Event event;
        PlainCell<int> data;
        const uint32_t key = event.PrepareWait();
        RunThreads({[&] {
                      data.Set(1);
                      notify == Notify::kOne ? event.NotifyOne(published) : event.NotifyAll(published);
                    },
                    [&] {
                      if (event.Wait(key, kSomeDeadline) == WaitResult::kNotified) {
                        ModelCheck(data.Get() == 1, "it is visible");
                      }
                    }});
        ModelCheck(!event.HasWaiters(), "each waiter was uncounted");
      });
      EXPECT_EQ(explored.failure, "");
    }
  }
}

TEST(EventCountModelTest, WhoTimesOutTakesNobodysWakeUpAlong) {
  for (Published published : {Published::kAnyhow, Published::kSeqCst}) {
    const Explored explored = Explore({.deviations = testing::Deviations(3)}, [&] {
      Mailbox box(2, Notify::kOne, published);
      int impatient = 0, patient = 0;
      RunThreads({[&] { impatient = box.Receive(kSomeDeadline); }, [&] { patient = box.Receive(); },
                  [&] {
                    box.Send(1);
                    box.Send(2);
                  }});
      ModelCheck(patient != 0 && patient != impatient, "each got its own");
      ModelCheck(testing::Failed() || !box.HasWaiters(), "each waiter was uncounted");
    });
    EXPECT_EQ(explored.failure, "");
  }
}

TEST(EventCountModelTest, AnInterruptAlwaysEndsAWait) {
  const Explored explored = Explore({.deviations = testing::Deviations(4)}, [] {
    Mailbox box(1, Notify::kOne, Published::kAnyhow);
    Interrupt interrupt;
    DeterministicAtomic<int> reason{0};
    int got = -1;
    RunThreads({[&] {
                  const uint32_t ticket = interrupt.ticket();
                  if (reason.load(std::memory_order_relaxed) != 0) return;
                  got = box.Receive(Deadline::Infinite(), &interrupt, ticket);
                  ModelCheck(reason.load(std::memory_order_relaxed) != 0, "the reason is visible");
                },
                [&] {
                  reason.store(1, std::memory_order_relaxed);
                  interrupt.Raise();
                }});
    ModelCheck(got <= 0, "nothing was there to receive");
  });
  EXPECT_EQ(explored.failure, "");
  RecordProperty("runs", absl::StrCat(explored.runs));
}

// Two at once, so that one finds the other's mark; and the event goes as soon as its wait has ended, which
// AddressSanitizer watches.
TEST(EventCountModelTest, InterruptsAtOnceEndAWaitAndDoNotOutstayIt) {
  const Explored explored = Explore({.deviations = testing::Deviations(3)}, [] {
    auto event = std::make_unique<Event>();
    Interrupt interrupt;
    const uint32_t ticket = interrupt.ticket();
    RunThreads({[&] {
                  while (event->Wait(event->PrepareWait(), Deadline::Infinite(), &interrupt, ticket) !=
                         WaitResult::kInterrupted) {
                  }
                  event = nullptr;
                },
                [&] { interrupt.Raise(); }, [&] { interrupt.Raise(); }});
    ModelCheck(testing::Failed() || event == nullptr, "the wait ended");
  });
  EXPECT_EQ(explored.failure, "");
  RecordProperty("runs", absl::StrCat(explored.runs));
}

TEST(EventCountModelTest, WhoIsInterruptedTakesNobodysWakeUpAlong) {
  const Explored explored = Explore({.deviations = testing::Deviations(2)}, [] {
    Mailbox box(2, Notify::kOne, Published::kSeqCst);
    Interrupt interrupt;
    const uint32_t ticket = interrupt.ticket();
    int interrupted = 0, patient = 0;
    RunThreads({[&] { interrupted = box.Receive(Deadline::Infinite(), &interrupt, ticket); },
                [&] { patient = box.Receive(); }, [&] { interrupt.Raise(); },
                [&] {
                  box.Send(1);
                  box.Send(2);
                }});
    ModelCheck(patient != 0 && patient != interrupted, "each got its own");
    ModelCheck(testing::Failed() || !box.HasWaiters(), "each waiter was uncounted");
  });
  EXPECT_EQ(explored.failure, "");
}

// One waits and then, woken, leaves without a try, as a call that was cancelled meanwhile does; another receives.
Explored ExploreALeaver(bool passes_on, int deviations) {
  return Explore({.deviations = deviations}, [&] {
    Mailbox box(1, Notify::kOne, Published::kSeqCst);
    RunThreads({[&] {
                  const uint32_t key = box.items().PrepareWait();
                  if (box.holds_some()) {
                    box.items().CancelWait(key);
                  } else if (box.items().Wait(key, kSomeDeadline) == WaitResult::kNotified && passes_on) {
                    box.items().NotifyOne();
                  }
                },
                [&] { ModelCheck(box.Receive() == 1, "the item"); }, [&] { box.Send(1); }});
  });
}

TEST(EventCountModelTest, WhoLeavesWithoutATryPassesTheWakeUpOn) {
  EXPECT_EQ(ExploreALeaver(/*passes_on=*/true, testing::Deviations(4)).failure, "");
}

TEST(EventCountModelTest, WithoutTheBatonRuleSomebodySleepsForEver) {
  EXPECT_THAT(ExploreALeaver(/*passes_on=*/false, 2).failure, HasSubstr("all sleep"));
}

// One sender stops for ever anywhere in its call; another sends enough for both receivers.
TEST(EventCountModelTest, APosterThatStopsAnywhereKeepsNobodyAsleep) {
  bool went_through = false;
  for (int access = 0; !went_through; ++access) {
    went_through = true;
    const Explored explored = Explore({.deviations = testing::Deviations(1)}, [&] {
      Mailbox box(4, Notify::kOne, Published::kSeqCst);
      testing::StopForEver(0, access);
      RunThreads({[&] { box.Send(1); }, [&] { box.Receive(); }, [&] { box.Receive(); },
                  [&] {
                    box.Send(2);
                    box.Send(3);
                  }});
      went_through = went_through && testing::Ended(0);
    });
    ASSERT_EQ(explored.failure, "") << "stopped at " << access;
  }
}

TEST(EventCountModelTest, RandomSchedulesOfMoreCalls) {
  for (Notify notify : {Notify::kOne, Notify::kAll}) {
    for (Published published : {Published::kAnyhow, Published::kSeqCst}) {
      for (int odds : {2, 5, 20}) {
        const Explored explored = testing::ExploreAtRandom(/*seed=*/odds, testing::Runs(3'000), odds, [&] {
          Mailbox box(1, notify, published);
          const auto send = [&] {
            for (int i = 0; i < 3; ++i) box.Send(1);
          };
          const auto receive = [&] {
            for (int i = 0; i < 3; ++i) box.Receive();
          };
          RunThreads({send, receive, send, receive});
        });
        ASSERT_EQ(explored.failure, "") << "odds " << odds;
      }
    }
  }
}

}  // namespace
}  // namespace interpd::channels
