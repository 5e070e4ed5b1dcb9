// TlsConfig: the files that TCP is served with.
//
// Who includes this: config, which reads their names, and tls_credentials, which reads them.
#ifndef INTERPD_DAEMON_TLS_CONFIG_H_
#define INTERPD_DAEMON_TLS_CONFIG_H_

#include <string>

namespace interpd::daemon {

struct TlsConfig {
  std::string cert;       // PEM file with the server's certificate chain; empty: no TLS
  std::string key;        // PEM file with its private key
  std::string client_ca;  // PEM file; if set, a client's certificate must be signed by it
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_TLS_CONFIG_H_
