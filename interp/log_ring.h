// LogRing: the newest bytes of an interpreter's log, in the order in which they were written.
//
// Who includes this: output_capture. Thread safety: none; its owner locks.
#ifndef INTERPD_INTERP_LOG_RING_H_
#define INTERPD_INTERP_LOG_RING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "interp/interpreter.h"

namespace interpd::interp {

class LogRing {
 public:
  explicit LogRing(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // Drops the oldest bytes that no longer fit.
  void Append(Stream stream, std::string_view data);

  // At most `max_bytes` of one stream from position *cursor on (bytes since the beginning); moves the cursor.
  LogChunk Read(uint64_t* cursor, size_t max_bytes) const;

 private:
  struct Piece {
    uint64_t begin;  // position of its first byte
    Stream stream;
    std::string data;
  };

  const size_t limit_bytes_;
  std::deque<Piece> pieces_;
  uint64_t begin_ = 0;  // position of the oldest byte kept
  uint64_t end_ = 0;    // position after the newest
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_LOG_RING_H_
