#include "client/cli/session.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/log/check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/address.h"

namespace interpd::client {
namespace {

// 0, or the errno of what went wrong.
int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) text.remove_prefix(written);
  }
  return 0;
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(const std::string& text) {
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no duration; say 5, 0.5, 300ms, 2m or inf (a bare number counts seconds)"));
  }
  if (duration < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is negative"));
  }
  return duration;
}

Session::Session(Interrupts& interrupts) : interrupts_(interrupts), interrupt_fd_(eventfd(0, EFD_CLOEXEC)) {
  PCHECK(interrupt_fd_ >= 0);
  interrupts_.SetHandler([this](int count) {
    if (count > 1) _exit(interrupts_.exit_code());
    cancellation_.Cancel();
    const uint64_t one = 1;
    PCHECK(write(interrupt_fd_, &one, sizeof(one)) == sizeof(one));
  });
}

Session::~Session() {
  interrupts_.SetHandler(nullptr);
  close(interrupt_fd_);
}

absl::StatusOr<Client*> Session::client() {
  if (client_ != nullptr) return client_.get();
  absl::StatusOr<std::string> address = options.address;
  if (options.address.empty()) address = DefaultAddress();
  if (!address.ok()) return address.status();
  absl::StatusOr<absl::Duration> timeout = ParseDuration(options.connect_timeout);
  if (!timeout.ok()) return timeout.status();
  std::string token_file = options.token_file;
  if (const char* variable = std::getenv("INTERPD_TOKEN_FILE"); token_file.empty() && variable != nullptr) {
    token_file = variable;
  }
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(*address, {.timeout = *timeout,
                                                                              .tls_ca_file = options.tls_ca_file,
                                                                              .tls_cert_file = options.tls_cert_file,
                                                                              .tls_key_file = options.tls_key_file,
                                                                              .token_file = token_file,
                                                                              .insecure = options.insecure});
  if (!client.ok()) return client.status();
  client_ = *std::move(client);
  return client_.get();
}

bool Session::DaemonIsHere() const {
  absl::StatusOr<std::string> text = options.address;
  if (options.address.empty()) text = DefaultAddress();
  if (!text.ok()) return false;
  absl::StatusOr<Address> address = ParseAddress(*text);
  return address.ok() && address->is_unix;
}

RpcOptions Session::rpc() {
  return {.timeout = ParseDuration(options.timeout).value_or(absl::InfiniteDuration()), .cancellation = &cancellation_};
}

absl::Status Session::TakeStdin(std::string_view as) {
  if (stdin_is_.empty()) {
    stdin_is_ = as;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("standard input is read once: it is ", stdin_is_, " already, and cannot be ", as, " too"));
}

void Session::Out(std::string_view text) {
  if (output_errno_ != 0) return;
  if (int error = WriteAll(STDOUT_FILENO, text); error != 0) {
    output_errno_ = error;
    cancellation_.Cancel();
  }
}

void Session::Err(std::string_view text) {
  // There is nowhere to report to when this fails.
  (void)WriteAll(STDERR_FILENO, text);
}

int Session::Fail(const absl::Status& status) {
  if (output_errno_ != 0 || interrupts_.exit_code() != 0) {
    if (absl::IsCancelled(status)) return ExitCodeOf(status);  // FinalExitCode knows the cause
  }
  Err(absl::StrCat("interpctl: ", status.message(), "\n"));
  return ExitCodeOf(status);
}

int Session::FinalExitCode(int code) const {
  if (output_errno_ == EPIPE) return kOutputClosed;
  if (output_errno_ != 0) {
    const_cast<Session*>(this)->Err(
        absl::StrCat("interpctl: cannot write to standard output: ", std::strerror(output_errno_), "\n"));
    return kInternal;
  }
  if (code == kTimeout && interrupts_.exit_code() != 0) return interrupts_.exit_code();
  return code;
}

}  // namespace interpd::client
