// A certificate authority for tests, made by the openssl program: short-lived files in a directory.
//
// Who includes this: tests of the daemon over TLS.
#ifndef INTERPD_TESTS_DAEMON_TLS_FILES_H_
#define INTERPD_TESTS_DAEMON_TLS_FILES_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {

class TlsFiles {
 public:
  // Makes a CA in that directory.
  explicit TlsFiles(std::string directory, std::string ca = "ca")
      : directory_(std::move(directory)), ca_(std::move(ca)) {
    Run(absl::StrCat("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=", ca_,
                     " -keyout ", Path(absl::StrCat(ca_, ".key")), " -out ", Path(absl::StrCat(ca_, ".pem"))));
  }

  // NAME.pem and NAME.key, for that common name, signed by the CA. No common name: a subject that is empty. `days`
  // below 0: expired. `alternative_names` empty: none.
  void Make(const std::string& name, const std::string& common_name, int days = 2,
            const std::string& alternative_names = "DNS:localhost,IP:127.0.0.1") {
    const std::string request = Path(absl::StrCat(name, ".csr"));
    const std::string names = Path(absl::StrCat(name, ".ext"));
    std::ofstream(names) << (alternative_names.empty() ? "basicConstraints=CA:FALSE\n"
                                                       : absl::StrCat("subjectAltName=", alternative_names, "\n"));
    Run(absl::StrCat("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj ",
                     common_name.empty() ? "/" : absl::StrCat("/CN=", common_name), " -keyout ",
                     Path(absl::StrCat(name, ".key")), " -out ", request));
    std::string validity = absl::StrCat("-days ", days);
    if (days < 0) validity = "-not_before 20200101000000Z -not_after 20200102000000Z";
    Run(absl::StrCat("x509 -req -in ", request, " -CA ", Path(absl::StrCat(ca_, ".pem")), " -CAkey ",
                     Path(absl::StrCat(ca_, ".key")), " -CAcreateserial ", validity, " -extfile ", names, " -out ",
                     Path(absl::StrCat(name, ".pem"))));
  }

  std::string Path(std::string_view file) const { return absl::StrCat(directory_, "/", file); }

  std::string Read(std::string_view file) const {
    std::ostringstream text;
    text << std::ifstream(Path(file)).rdbuf();
    return text.str();
  }

 private:
  static void Run(const std::string& arguments) {
    ASSERT_EQ(std::system(absl::StrCat("openssl ", arguments, " >/dev/null 2>&1").c_str()), 0) << arguments;
  }

  const std::string directory_;
  const std::string ca_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_TESTS_DAEMON_TLS_FILES_H_
