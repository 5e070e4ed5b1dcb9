#include "interp/log_ring.h"

#include <algorithm>

namespace interpd::interp {
namespace {

// Writes of a few bytes are joined up to this size, so that a log of short lines is not mostly book-keeping.
constexpr size_t kPieceBytes = 4096;

}  // namespace

void LogRing::Append(Stream stream, std::string_view data) {
  if (pieces_.empty() || pieces_.back().stream != stream || pieces_.back().data.size() + data.size() > kPieceBytes) {
    pieces_.push_back({.begin = end_, .stream = stream, .data = std::string(data)});
  } else {
    pieces_.back().data.append(data);
  }
  end_ += data.size();
  while (end_ - begin_ > limit_bytes_) {
    Piece& oldest = pieces_.front();
    size_t excess = std::min<size_t>(end_ - begin_ - limit_bytes_, oldest.data.size());
    oldest.data.erase(0, excess);
    oldest.begin += excess;
    begin_ += excess;
    if (oldest.data.empty()) pieces_.pop_front();
  }
}

LogChunk LogRing::Read(uint64_t* cursor, size_t max_bytes) const {
  LogChunk chunk;
  if (*cursor < begin_) {
    chunk.dropped_bytes = begin_ - *cursor;
    *cursor = begin_;
  }
  auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), *cursor,
                                [](uint64_t position, const Piece& p) { return position < p.begin; });
  if (piece == pieces_.begin()) return chunk;
  --piece;
  size_t offset = *cursor - piece->begin;
  if (offset >= piece->data.size()) return chunk;
  chunk.stream = piece->stream;
  chunk.data = piece->data.substr(offset, max_bytes);
  *cursor += chunk.data.size();
  return chunk;
}

}  // namespace interpd::interp
