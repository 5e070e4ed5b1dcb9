// CpuRelax: what a loop that waits for another core says to its own.
//
// Who includes this: loops that poll for a short time.
#ifndef INTERPD_CHANNELS_CPU_RELAX_H_
#define INTERPD_CHANNELS_CPU_RELAX_H_

namespace interpd::channels {

inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace interpd::channels

#endif  // INTERPD_CHANNELS_CPU_RELAX_H_
