// The version of this daemon, as --version and GetInfo give it.
#ifndef INTERPD_DAEMON_VERSION_H_
#define INTERPD_DAEMON_VERSION_H_

namespace interpd::daemon {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_VERSION_H_
