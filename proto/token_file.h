// Bearer tokens: how they are made, and the file in which the daemon finds whose they are.
//
// Who includes this: the daemon, which checks tokens, and interpctl, which makes them; the file is a contract of the
// two.
//
// A token is "interpd_" and 256 random bits. The file holds its SHA-256, never the token, one line for each:
//
//   sha256:HASH PRINCIPAL ROLE EXPIRES
//
// HASH in hexadecimal; ROLE is viewer, user or admin; EXPIRES is "never" or as 2027-01-31T00:00:00Z. Lines that are
// empty or begin with '#' are left as they are. A slow hash would protect words that people choose from being guessed;
// nobody guesses 256 random bits, however fast the hash.
//
// Thread safety: plain functions. They block on files.
#ifndef INTERPD_PROTO_TOKEN_FILE_H_
#define INTERPD_PROTO_TOKEN_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace interpd {

struct TokenEntry {
  std::string hash;  // 32 bytes
  std::string principal;
  std::string role;
  absl::Time expires = absl::InfiniteFuture();

  // By which people name it: the first 12 digits of its hash.
  std::string Id() const;
};

// A fresh token, from the kernel's random numbers.
std::string MakeToken();

// 32 bytes.
std::string HashToken(std::string_view token);

// Errors: a line that is none, as "FILE:LINE: ...".
absl::StatusOr<std::vector<TokenEntry>> ParseTokenFile(std::string_view text, std::string_view file);

// Errors: it cannot be read, its group or every user may write to it, or as above.
absl::StatusOr<std::vector<TokenEntry>> ReadTokenFile(const std::string& file);

// Adds a line, under a lock, and syncs it; makes the file, with mode 0600, if there is none. Requires: role is one.
// Errors: INVALID_ARGUMENT, for a principal's name that is empty, longer than 128 or has other characters than letters,
// digits and "_-.@+"; the file cannot be written, and is as it was.
absl::Status AddToken(const std::string& file, const TokenEntry& entry);

// Takes out the tokens with that id or of that principal, under the lock, and syncs. How many there were.
absl::StatusOr<int> RemoveTokens(const std::string& file, std::string_view id_or_principal);

}  // namespace interpd

#endif  // INTERPD_PROTO_TOKEN_FILE_H_
