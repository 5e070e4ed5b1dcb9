// Measures channels::MpmcRing beside other queues of many producers and consumers. Each carries 16 bytes an item, has
// 1,024 places where it is bounded, and runs for the given time in turn with the others. Prints one JSON document:
// items a second, by queue.
//
// usage: ring_probe PRODUCERS CONSUMERS MILLISECONDS
#include <concurrentqueue/moodycamel/concurrentqueue.h>
#include <sched.h>
#include <tbb/concurrent_queue.h>

#include <atomic>
#include <boost/lockfree/queue.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "channels/cpu_relax.h"
#include "channels/mpmc_ring.h"
#include "channels/value.h"
#include "nlohmann/json.hpp"
#include "tests/bench/scq_ring.h"

namespace interpd::bench {
namespace {

using channels::Value;

constexpr size_t kCapacity = 1024;
constexpr size_t kBatch = 64;

// ---- the queues, all with one face: how many of `count` were pushed, or popped ------------------------------------

// The bench may put head and tail side by side, to show what it costs.
template <size_t kApart>
struct Ours {
  size_t Push(Value* items, size_t count) { return ring.TryPushMany(items, count); }
  size_t Pop(Value* items, size_t count) { return ring.TryPopMany(items, count); }
  void Close() {}
  channels::MpmcRing<Value, std::atomic, kApart> ring{kCapacity};
};

struct Scq {
  size_t Push(Value* items, size_t) { return ring.TryPush(*items); }
  size_t Pop(Value* items, size_t) { return ring.TryPop(items); }
  void Close() {}
  ScqRing<Value> ring{kCapacity};
};

struct Moodycamel {
  // Without limit it grows for as long as consumers are slower, and is slower itself.
  size_t Push(Value* items, size_t) { return queue.try_enqueue(std::move(*items)); }
  size_t Pop(Value* items, size_t) { return queue.try_dequeue(*items); }
  void Close() {}
  moodycamel::ConcurrentQueue<Value> queue{kCapacity, 0, 8};  // room for so many of each of 8 producers
};

struct Boost {
  // It takes trivial types alone.
  struct Item {
    uint64_t words[2];
  };
  size_t Push(Value*, size_t) { return queue.push(Item{}); }
  size_t Pop(Value*, size_t) {
    Item item;
    return queue.pop(item);
  }
  void Close() {}
  boost::lockfree::queue<Item, boost::lockfree::capacity<kCapacity>> queue;
};

struct Tbb {
  Tbb() { queue.set_capacity(kCapacity); }
  // Its waiting push and pop were slower wherever they were measured.
  size_t Push(Value* items, size_t) { return queue.try_push(std::move(*items)); }
  size_t Pop(Value* items, size_t) { return queue.try_pop(*items); }
  void Close() {}
  tbb::concurrent_bounded_queue<Value> queue;
};

class MutexAndCondition {
 public:
  size_t Push(Value* items, size_t) {
    std::unique_lock lock(mu_);
    room_.wait(lock, [this] { return tail_ - head_ < kCapacity || closed_; });
    if (closed_) return 0;
    places_[tail_++ % kCapacity] = std::move(*items);
    lock.unlock();
    items_.notify_one();
    return 1;
  }
  size_t Pop(Value* items, size_t) {
    std::unique_lock lock(mu_);
    items_.wait(lock, [this] { return tail_ != head_ || closed_; });
    if (closed_) return 0;
    *items = std::move(places_[head_++ % kCapacity]);
    lock.unlock();
    room_.notify_one();
    return 1;
  }
  void Close() {
    std::lock_guard lock(mu_);
    closed_ = true;
    items_.notify_all();
    room_.notify_all();
  }

 private:
  std::mutex mu_;
  std::condition_variable items_, room_;
  std::vector<Value> places_{kCapacity};
  uint64_t head_ = 0, tail_ = 0;
  bool closed_ = false;
};

// ---- the load ---------------------------------------------------------------------------------------------------

// Spreads producers and consumers evenly over the cores: the ends of each pair on different ones. Left to the scheduler
// they sometimes share a core, and two runs of the same program differ by ten times.
void Pin(size_t index) {
  cpu_set_t allowed, one;
  CPU_ZERO(&one);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  size_t left = index % CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed) && left-- == 0) CPU_SET(cpu, &one);
  }
  sched_setaffinity(0, sizeof one, &one);
}

// Full or empty: look again soon, then let others run.
class Patience {
 public:
  void Wait() {
    if (++looks_ % 16 != 0) {
      channels::CpuRelax();
    } else {
      sched_yield();
    }
  }

 private:
  int looks_ = 0;
};

struct Load {
  size_t producers, consumers, batch;
  std::chrono::milliseconds time;
};

template <typename Queue>
double PerSecond(const Load& load) {
  auto queue = std::make_unique<Queue>();
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> received{0};
  std::vector<std::thread> threads;
  for (size_t p = 0; p < load.producers; ++p) {
    threads.emplace_back([&, p] {
      Pin(p);
      Patience patience;
      std::vector<Value> items(load.batch);
      for (int64_t number = 0; !stop.load(std::memory_order_relaxed);) {
        for (Value& item : items) item = Value::Int(++number);
        for (size_t done = 0; done < load.batch && !stop.load(std::memory_order_relaxed);) {
          const size_t more = queue->Push(items.data() + done, load.batch - done);
          if (more == 0) patience.Wait();
          done += more;
        }
      }
    });
  }
  for (size_t c = 0; c < load.consumers; ++c) {
    threads.emplace_back([&, c] {
      Pin(c + 1);
      Patience patience;
      std::vector<Value> items(load.batch);
      uint64_t mine = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        const size_t got = queue->Pop(items.data(), load.batch);
        if (got == 0) patience.Wait();
        mine += got;
      }
      received.fetch_add(mine);
    });
  }
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(load.time);
  stop.store(true);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  queue->Close();
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(received.load()) / took.count();
}

nlohmann::json Measure(Load load) {
  nlohmann::json result;
  result["ours"] = PerSecond<Ours<channels::kNoSharing>>(load);
  result["mutex"] = PerSecond<MutexAndCondition>(load);
  result["boost"] = PerSecond<Boost>(load);
  result["tbb"] = PerSecond<Tbb>(load);
  result["moodycamel"] = PerSecond<Moodycamel>(load);
  result["scq"] = PerSecond<Scq>(load);
  result["unpadded"] = PerSecond<Ours<sizeof(uint64_t)>>(load);
  load.batch = kBatch;
  result["batches"] = PerSecond<Ours<channels::kNoSharing>>(load);
  return result;
}

int Main(const std::vector<std::string>& words) {
  if (words.size() != 3) {
    std::cerr << "usage: ring_probe PRODUCERS CONSUMERS MILLISECONDS\n";
    return 2;
  }
  const auto number = [&](size_t i) { return static_cast<size_t>(std::atoi(words[i].c_str())); };
  std::cout << Measure({number(0), number(1), 1, std::chrono::milliseconds(number(2))}) << std::endl;
  return 0;
}

}  // namespace
}  // namespace interpd::bench

int main(int argc, char** argv) { return interpd::bench::Main({argv + 1, argv + argc}); }
