// The id of the request that a thread is at work for, so that log lines can carry it.
//
// Who includes this: Rpc, which sets it around its handlers, and the log.
#ifndef INTERPD_DAEMON_REQUEST_ID_H_
#define INTERPD_DAEMON_REQUEST_ID_H_

#include <string>
#include <utility>

namespace interpd::daemon {

// Whoever has an id, which is asked for only when a line is logged.
class HasRequestId {
 public:
  virtual std::string request_id() const = 0;

 protected:
  ~HasRequestId() = default;
};

// While it lives, what this thread logs belongs to that request.
class RequestScope {
 public:
  explicit RequestScope(const HasRequestId* request) : before_(std::exchange(current_, request)) {}
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;
  ~RequestScope() { current_ = before_; }

  // Empty: the thread is at work for none.
  static std::string CurrentId() { return current_ == nullptr ? std::string() : current_->request_id(); }

 private:
  static inline thread_local constinit const HasRequestId* current_ = nullptr;

  const HasRequestId* const before_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_REQUEST_ID_H_
