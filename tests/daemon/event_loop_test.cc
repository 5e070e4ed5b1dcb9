// The event loop over a real completion queue: what is posted runs, once, in order, whoever sleeps.
#include "daemon/event_loop.h"

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace interpd::daemon {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class EventLoopTest : public testing::Test {
 protected:
  EventLoopTest() {
    grpc::ServerBuilder builder;
    builder.RegisterAsyncGenericService(&service_);
    loop_ = std::make_unique<EventLoop>(builder.AddCompletionQueue());
    server_ = builder.BuildAndStart();
    loop_->Start();
  }
  ~EventLoopTest() override {
    if (loop_ != nullptr) Stop();
  }

  void Stop() {
    server_->Shutdown();
    loop_->Stop();
    loop_.reset();
  }

  grpc::AsyncGenericService service_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(EventLoopTest, TasksOfManyThreadsRunOnceOneAtATimeAndInOrder) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 20'000;
  struct State {
    std::atomic<int> inside{0};
    std::vector<int> last = std::vector<int>(kThreads, -1);
    absl::BlockingCounter left{kThreads};
  } state;
  struct Task final : EventLoop::Task {
    State* state;
    int thread, number;
    void Run() override {
      EXPECT_EQ(state->inside.fetch_add(1), 0);
      EXPECT_EQ(state->last[thread] + 1, number);
      state->last[thread] = number;
      state->inside.fetch_sub(1);
      if (number == kTasks - 1) state->left.DecrementCount();
    }
  };
  std::vector<std::vector<Task>> tasks(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    tasks[t] = std::vector<Task>(kTasks);
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        tasks[t][i].state = &state;
        tasks[t][i].thread = t;
        tasks[t][i].number = i;
        loop_->Post(&tasks[t][i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  state.left.Wait();
}

// A task must be found in each state of the handshake: while the poller polls, while it is going to sleep, while it
// sleeps. The pauses run through all of them, about 50 us being the time after which it goes to sleep.
TEST_F(EventLoopTest, ALonePostIsNeverMissed) {
  for (int i = 0; i < 20'000; ++i) {
    absl::Notification ran;
    loop_->Post([&ran] { ran.Notify(); });
    ASSERT_TRUE(ran.WaitForNotificationWithTimeout(kPatience)) << "after " << i << " posts";
    absl::Time until = absl::Now() + absl::Microseconds(i % 120);
    while (absl::Now() < until) {
    }
  }
}

TEST_F(EventLoopTest, PostsAndCompletionsOfGrpcTakeTurns) {
  struct Tick final : EventLoop::Tag {
    absl::Notification done;
    void Complete(bool ok) override {
      EXPECT_TRUE(ok);
      done.Notify();
    }
  };
  for (int i = 0; i < 200; ++i) {
    Tick tick;
    grpc::Alarm alarm;
    absl::Notification posted;
    alarm.Set(loop_->queue(), gpr_now(GPR_CLOCK_MONOTONIC), static_cast<EventLoop::Tag*>(&tick));
    loop_->Post([&posted] { posted.Notify(); });
    ASSERT_TRUE(tick.done.WaitForNotificationWithTimeout(kPatience));
    ASSERT_TRUE(posted.WaitForNotificationWithTimeout(kPatience));
  }
}

TEST_F(EventLoopTest, ATaskMayPostItselfAgain) {
  struct Again final : EventLoop::Task {
    EventLoop* loop;
    int left = 1000;
    absl::Notification done;
    void Run() override {
      if (--left > 0) return loop->Post(this);
      done.Notify();
    }
  } task;
  task.loop = loop_.get();
  loop_->Post(&task);
  EXPECT_TRUE(task.done.WaitForNotificationWithTimeout(kPatience));
}

TEST_F(EventLoopTest, DeferredTasksRunAfterTheEventAndMayDeferMore) {
  struct Deferred final : EventLoop::Task {
    EventLoop* loop;
    bool* in_event;
    int runs = 0;
    void Run() override {
      EXPECT_FALSE(*in_event);
      if (++runs == 1) loop->Defer(this);
    }
  } task;
  bool in_event = false;
  task.loop = loop_.get();
  task.in_event = &in_event;
  loop_->Run([&] {
    in_event = true;
    loop_->Defer(&task);
    in_event = false;
    EXPECT_EQ(task.runs, 0);
  });
  EXPECT_EQ(task.runs, 2);
}

TEST_F(EventLoopTest, StopRunsWhatIsLeft) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 1000; ++i) loop_->Post([&ran] { ++ran; });
  Stop();
  EXPECT_EQ(ran, 1000);
}

}  // namespace
}  // namespace interpd::daemon
