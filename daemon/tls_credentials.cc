#include "daemon/tls_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

constexpr char kCipherSuites[] = "GRPC_SSL_CIPHER_SUITES";
// A cipher that needs a key which both sides know already, and there is none.
constexpr char kNoCipherOfTls12[] = "PSK-AES256-GCM-SHA384";

absl::StatusOr<std::string> ReadFile(const std::string& path, std::string_view key) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  if (stream) text << stream.rdbuf();
  if (!stream || text.str().empty()) {
    return absl::NotFoundError(absl::StrCat(key, ": cannot read ", path, ": ", std::strerror(errno)));
  }
  return text.str();
}

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* object) const { kFree(object); }
};
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Bytes = std::unique_ptr<BIO, Free<BIO, BIO_free_all>>;

Bytes BytesOf(const std::string& text) { return Bytes(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

Certificate FirstCertificate(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(BytesOf(pem).get(), nullptr, nullptr, nullptr));
}

// What gRPC would find out at the first connection only.
absl::Status Check(const std::string& cert, const std::string& key, const std::string& client_ca,
                   const TlsConfig& config) {
  Certificate certificate = FirstCertificate(cert);
  PrivateKey private_key(PEM_read_bio_PrivateKey(BytesOf(key).get(), nullptr, nullptr, nullptr));
  absl::Status status;
  if (certificate == nullptr) {
    status = absl::InvalidArgumentError(absl::StrCat("tls.cert: there is no certificate in ", config.cert));
  } else if (private_key == nullptr) {
    status = absl::InvalidArgumentError(absl::StrCat("tls.key: there is no private key in ", config.key));
  } else if (X509_check_private_key(certificate.get(), private_key.get()) != 1) {
    status = absl::InvalidArgumentError(
        absl::StrCat("tls.key: ", config.key, " is not the key of the certificate in ", config.cert));
  } else if (!client_ca.empty() && FirstCertificate(client_ca) == nullptr) {
    status = absl::InvalidArgumentError(absl::StrCat("tls.client_ca: there is no certificate in ", config.client_ca));
  }
  ERR_clear_error();
  return status;
}

grpc_ssl_client_certificate_request_type RequestType(ClientCertificate wanted) {
  switch (wanted) {
    case ClientCertificate::kNone: return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    case ClientCertificate::kOptional: return GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    case ClientCertificate::kRequired: return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
}

}  // namespace

// Credentials of gRPC's core, which asks for certificates before each handshake; gRPC's C++ classes do not offer that.
class TlsPort final : public grpc::ServerCredentials {
 public:
  TlsPort(std::shared_ptr<TlsCertificates> certificates, ClientCertificate client_certificate)
      : certificates_(std::move(certificates)),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(RequestType(client_certificate), Fetch,
                                                                            this))) {}
  ~TlsPort() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {
    LOG(FATAL) << "not used here: rpc.h looks at the metadata";
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // gRPC calls it under a lock of the port's.
  static grpc_ssl_certificate_config_reload_status Fetch(void* self, grpc_ssl_server_certificate_config** config) {
    auto* port = static_cast<TlsPort*>(self);
    TlsCertificates& certificates = *port->certificates_;
    absl::MutexLock lock(certificates.mutex_);
    if (port->generation_ == certificates.generation_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const TlsCertificates::Pems& pems = certificates.pems_;
    grpc_ssl_pem_key_cert_pair pair = {pems.key.c_str(), pems.cert.c_str()};
    // gRPC wants roots here even when no certificate is asked for, and then looks at none.
    const std::string& roots = pems.client_ca.empty() ? pems.cert : pems.client_ca;
    *config = grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
    port->generation_ = certificates.generation_;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<TlsCertificates> certificates_;
  uint64_t generation_ = 0;
  grpc_server_credentials* const credentials_;
};

absl::StatusOr<std::shared_ptr<TlsCertificates>> TlsCertificates::Load(TlsConfig config) {
  auto made = std::shared_ptr<TlsCertificates>(new TlsCertificates(std::move(config)));
  absl::Status loaded = made->Reload();
  if (!loaded.ok()) return loaded;
  return made;
}

absl::Status TlsCertificates::Reload() {
  absl::StatusOr<std::string> cert = ReadFile(config_.cert, "tls.cert");
  if (!cert.ok()) return cert.status();
  absl::StatusOr<std::string> key = ReadFile(config_.key, "tls.key");
  if (!key.ok()) return key.status();
  absl::StatusOr<std::string> client_ca = "";
  if (!config_.client_ca.empty()) client_ca = ReadFile(config_.client_ca, "tls.client_ca");
  if (!client_ca.ok()) return client_ca.status();
  absl::Status good = Check(*cert, *key, *client_ca, config_);
  if (!good.ok()) return good;
  absl::MutexLock lock(mutex_);
  pems_ = {*std::move(cert), *std::move(key), *std::move(client_ca)};
  ++generation_;
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> TlsCertificates::Credentials(ClientCertificate client_certificate) {
  return std::make_shared<TlsPort>(shared_from_this(), client_certificate);
}

ScopedNoTls12::ScopedNoTls12() { setenv(kCipherSuites, kNoCipherOfTls12, 1); }
ScopedNoTls12::~ScopedNoTls12() { unsetenv(kCipherSuites); }

}  // namespace interpd::daemon
