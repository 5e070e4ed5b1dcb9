// TlsCertificates: what TCP is served with: TLS 1.3, certificates that can be replaced while the daemon runs.
//
// Who includes this: the listener, which makes it; the server, which listens with it. Thread safety: all methods, any
// thread; not the event loop's, since they read files.
#ifndef INTERPD_DAEMON_TLS_CREDENTIALS_H_
#define INTERPD_DAEMON_TLS_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "daemon/tls_config.h"

namespace interpd::daemon {

// Whether clients may do without a certificate: those that show a token.
enum class ClientCertificate { kNone, kOptional, kRequired };

class TlsCertificates : public std::enable_shared_from_this<TlsCertificates> {
 public:
  // Errors: a file cannot be read, holds no certificate or key, or the key is another certificate's.
  static absl::StatusOr<std::shared_ptr<TlsCertificates>> Load(TlsConfig config);

  // Reads the files again: connections from then on get what is in them. On an error, as above, nothing changes.
  absl::Status Reload();

  // For one address to listen on.
  std::shared_ptr<grpc::ServerCredentials> Credentials(ClientCertificate client_certificate);

 private:
  friend class TlsPort;

  struct Pems {
    std::string cert, key, client_ca;
  };

  explicit TlsCertificates(TlsConfig config) : config_(std::move(config)) {}

  const TlsConfig config_;
  absl::Mutex mutex_;
  Pems pems_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;  // of pems_
};

// gRPC 1.51 has no setting for the least version of TLS, only one for the ciphers of TLS 1.2, which it reads once, when
// it first makes a context: with this alive by then, there is none that both sides could use. Ciphers of TLS 1.3 are
// not affected. It is an environment variable, which hosted code must not inherit: so not for long, and while no other
// thread reads the environment.
class ScopedNoTls12 {
 public:
  ScopedNoTls12();
  ~ScopedNoTls12();
  ScopedNoTls12(const ScopedNoTls12&) = delete;
  ScopedNoTls12& operator=(const ScopedNoTls12&) = delete;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_TLS_CREDENTIALS_H_
