// WorkQueue: the mailbox of one interpreter. Many threads push, the interpreter's thread pops, first come first served.
//
// Who includes this: interpreter_worker.
//
// Pushing is lock-free: one compare-and-swap on a stack whose nodes are the Works themselves. Popping takes the whole
// stack at once and turns it round. A lock guards what was taken, so that Close may be called by another thread than
// the consumer when the consumer is stuck; the consumer alone takes it otherwise.
//
// Invariants:
//  1. head_ is null, a Work that nobody has taken (older ones linked below by next_), or kClosed for ever.
//  2. taken_ lists, oldest first, Works that are older than all that hang on head_.
//  3. waiting_ is the number of Works that were pushed and have not left (Leave), never over the limit plus pushes
//     under way. A Work that was cancelled while it waited has left, though it is linked until it is popped.
//  4. A Work in the queue keeps itself alive by keep_alive_.
#ifndef INTERPD_INTERP_WORK_QUEUE_H_
#define INTERPD_INTERP_WORK_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "channels/event_count.h"
#include "interp/work.h"

namespace interpd::interp {

class WorkQueue {
 public:
  enum class PushResult { kPushed, kFull, kClosed };

  explicit WorkQueue(size_t limit) : limit_(limit) {}
  ~WorkQueue() { Close(); }

  // Wakes the consumer. Memory ordering: what the caller wrote before is visible to who pops the work.
  PushResult Push(std::shared_ptr<Work> work) {
    // relaxed: a count, it publishes nothing.
    if (waiting_.fetch_add(1, std::memory_order_relaxed) >= limit_) {
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      return PushResult::kFull;
    }
    Work* node = work.get();
    node->keep_alive_ = std::move(work);
    Work* head = head_.load(std::memory_order_relaxed);  // relaxed: the exchange below checks it
    do {
      if (head == closed()) {
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        node->keep_alive_.reset();
        return PushResult::kClosed;
      }
      node->next_ = head;
      // release: publishes the node to the acquire in Take.
    } while (!head_.compare_exchange_weak(head, node, std::memory_order_release, std::memory_order_relaxed));
    event_.NotifyAll();
    return PushResult::kPushed;
  }

  // The oldest work, or null. Consumer only.
  std::shared_ptr<Work> Pop() {
    std::lock_guard lock(mu_);
    if (taken_.load(std::memory_order_relaxed) == nullptr) Take(nullptr);
    Work* node = taken_.load(std::memory_order_relaxed);
    return node == nullptr ? nullptr : Unlink(node);
  }

  // Whether Pop would find something. Consumer only.
  bool HasWork() const {
    Work* head = head_.load(std::memory_order_relaxed);
    return (head != nullptr && head != closed()) || taken_.load(std::memory_order_relaxed) != nullptr;
  }

  // Refuses pushes from now on and hands out what waits, oldest first. Any thread, also again.
  std::vector<std::shared_ptr<Work>> Close() {
    std::vector<std::shared_ptr<Work>> rest;
    std::lock_guard lock(mu_);
    for (bool newer : {false, true}) {
      if (newer) Take(closed());
      while (Work* node = taken_.load(std::memory_order_relaxed)) rest.push_back(Unlink(node));
    }
    event_.NotifyAll();
    return rest;
  }

  // A Work waits no more, because it runs or was cancelled: there is room for another. Any thread, once for each Work
  // that was pushed.
  void Leave() { waiting_.fetch_sub(1, std::memory_order_relaxed); }

  size_t limit() const { return limit_; }
  size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // What the consumer sleeps on; others notify it for reasons of their own.
  channels::EventCount& event() { return event_; }

 private:
  // Not a Work: an address that no Work can have.
  Work* closed() const { return reinterpret_cast<Work*>(const_cast<WorkQueue*>(this)); }

  // Moves what hangs on head_ to taken_, leaving `successor` there. Requires mu_ and an empty taken_.
  void Take(Work* successor) {
    if (successor == nullptr) {
      Work* head = head_.load(std::memory_order_relaxed);  // relaxed: only whether to try
      if (head == nullptr || head == closed()) return;
    }
    // acquire: pairs with the release in Push.
    Work* newest = head_.exchange(successor, std::memory_order_acquire);
    if (newest == closed()) return;
    Work* oldest = nullptr;
    while (newest != nullptr) {
      Work* older = newest->next_;
      newest->next_ = oldest;
      oldest = newest;
      newest = older;
    }
    taken_.store(oldest, std::memory_order_relaxed);
  }

  // Takes the first node off taken_. Requires mu_.
  std::shared_ptr<Work> Unlink(Work* node) {
    taken_.store(node->next_, std::memory_order_relaxed);
    return std::move(node->keep_alive_);
  }

  const size_t limit_;
  alignas(64) std::atomic<Work*> head_{nullptr};  // written by pushers
  std::atomic<size_t> waiting_{0};
  channels::EventCount event_;
  alignas(64) std::mutex mu_;          // the consumer's
  std::atomic<Work*> taken_{nullptr};  // an atomic for HasWork alone: mu_ orders everything else, so relaxed serves
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_WORK_QUEUE_H_
