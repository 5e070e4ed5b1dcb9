// Linearizability: whether what several threads saw of an object can be explained by one order of their calls.
//
// Who includes this: tests that record who called what, when, and what came of it.
//
//   History<QueueModel> history(threads);
//   ... in thread t: history.Begin(t, {kPush, 7}); bool done = queue.TryPush(7); history.End(t, done) ...
//   EXPECT_EQ(history.Check(QueueModel(capacity)), "");
//
// A call takes effect at one moment between its begin and its end. The checker searches for an order of the calls that
// keeps to that, and in which the model, a plain sequential object, gives the very results. It is that of J. Wing and
// C. Gong ("Testing and verifying concurrent objects", 1993) with G. Lowe's memory of states that were tried
// ("Testing for linearizability", 2017).
//
// A Model has: `Operation`; `Result`; `std::string Key() const`, the same for equal states; and
// `bool Step(const Operation&, const Result&)`, which takes the operation's effect and says whether the result comes of
// it; `static std::string ToString(const Operation&, const Result&)`.
//
// Thread safety: Begin and End, each thread with its own number; Check, when all have ended.
#ifndef INTERPD_TESTS_TESTING_LINEARIZABILITY_H_
#define INTERPD_TESTS_TESTING_LINEARIZABILITY_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace interpd::testing {

template <typename Model>
class History {
 public:
  using Operation = typename Model::Operation;
  using Result = typename Model::Result;

  struct Call {
    Operation operation;
    Result result;
    int thread;
    uint64_t begin;
    uint64_t end;
  };

  explicit History(int threads) : calls_(threads) {}

  void Begin(int thread, Operation operation) {
    calls_[thread].push_back(
        {.operation = std::move(operation), .result = {}, .thread = thread, .begin = clock_.fetch_add(1), .end = 0});
  }
  void End(int thread, Result result) {
    Call& call = calls_[thread].back();
    call.result = std::move(result);
    call.end = clock_.fetch_add(1);
  }

  // Empty if an order was found; otherwise the calls. At most 64 calls overlap one another without a break; longer
  // histories are fine.
  std::string Check(const Model& model) const {
    std::vector<Call> all;
    for (const auto& calls : calls_) all.insert(all.end(), calls.begin(), calls.end());
    std::sort(all.begin(), all.end(), [](const Call& a, const Call& b) { return a.begin < b.begin; });
    if (Search(all, model)) return "";
    std::string told = "no order of these calls explains their results:\n";
    for (const Call& call : all) {
      told += "  thread " + std::to_string(call.thread) + " [" + std::to_string(call.begin) + ", " +
              std::to_string(call.end) + "] " + Model::ToString(call.operation, call.result) + "\n";
    }
    return told;
  }

 private:
  // The calls that took effect, beyond those before `first_open`, as bits.
  struct Frame {
    Model model;
    size_t first_open;
    uint64_t taken;   // bit i: call first_open + i
    size_t next = 0;  // which to try
  };

  static bool Search(const std::vector<Call>& calls, const Model& start) {
    std::vector<Frame> stack;
    stack.push_back({start, 0, 0});
    std::unordered_set<std::string> tried;
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.first_open == calls.size()) return true;
      bool descended = false;
      // A call may come next if it began before every call that is open ended.
      uint64_t earliest_end = UINT64_MAX;
      for (size_t i = frame.first_open; i < calls.size() && i < frame.first_open + 64; ++i) {
        if (!IsTaken(frame, i)) earliest_end = std::min(earliest_end, calls[i].end);
      }
      for (size_t i = frame.first_open + frame.next; i < calls.size() && i < frame.first_open + 64; ++i) {
        ++frame.next;
        if (calls[i].begin > earliest_end) break;
        if (IsTaken(frame, i)) continue;
        Frame after = frame;
        after.next = 0;
        if (!after.model.Step(calls[i].operation, calls[i].result)) continue;
        after.taken |= uint64_t{1} << (i - frame.first_open);
        while (after.taken & 1) {
          after.taken >>= 1;
          ++after.first_open;
        }
        if (!tried
                 .insert(std::to_string(after.first_open) + ":" + std::to_string(after.taken) + ":" + after.model.Key())
                 .second) {
          continue;
        }
        stack.push_back(std::move(after));
        descended = true;
        break;
      }
      if (!descended) stack.pop_back();
    }
    return false;
  }

  static bool IsTaken(const Frame& frame, size_t i) { return ((frame.taken >> (i - frame.first_open)) & 1) != 0; }

  std::atomic<uint64_t> clock_{0};
  std::vector<std::vector<Call>> calls_;
};

}  // namespace interpd::testing

#endif  // INTERPD_TESTS_TESTING_LINEARIZABILITY_H_
