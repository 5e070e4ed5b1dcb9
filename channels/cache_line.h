// kCacheLine: how far apart data must lie that different threads write.
//
// Who includes this: structures shared by threads that are hot enough to count cache misses.
#ifndef INTERPD_CHANNELS_CACHE_LINE_H_
#define INTERPD_CHANNELS_CACHE_LINE_H_

#include <cstddef>

namespace interpd::channels {

// A line has 64 bytes on x86-64 and most of arm64, but x86-64 prefetches them in pairs and some arm64 have lines of
// 128: what must not be shared lies 128 apart.
inline constexpr size_t kCacheLine = 64;
inline constexpr size_t kNoSharing = 2 * kCacheLine;

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_CACHE_LINE_H_
