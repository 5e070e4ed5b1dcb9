#include "proto/token_file.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace interpd {
namespace {

constexpr std::string_view kTokenPrefix = "interpd_";
constexpr std::string_view kHashPrefix = "sha256:";
constexpr size_t kHashBytes = SHA256_DIGEST_LENGTH;
constexpr size_t kIdDigits = 12;
constexpr size_t kMaxPrincipal = 128;
constexpr char kTimeFormat[] = "%Y-%m-%dT%H:%M:%SZ";

absl::Status SystemError(std::string_view what, const std::string& file) {
  return absl::FailedPreconditionError(absl::StrCat(what, " ", file, ": ", std::strerror(errno)));
}

bool IsPrincipal(std::string_view name) {
  return !name.empty() && name.size() <= kMaxPrincipal && absl::c_all_of(name, [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.' || c == '@' || c == '+';
  });
}

bool IsRole(std::string_view role) { return role == "viewer" || role == "user" || role == "admin"; }

// None of a line that says nothing; an error says what is wrong with it.
absl::StatusOr<std::vector<TokenEntry>> ParseLine(std::string_view line) {
  std::vector<std::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.empty() || words[0].starts_with('#')) return std::vector<TokenEntry>();
  if (words.size() != 4) return absl::InvalidArgumentError("is not 'sha256:HASH PRINCIPAL ROLE EXPIRES'");
  TokenEntry entry;
  std::string_view hash = words[0];
  if (!absl::ConsumePrefix(&hash, kHashPrefix) || hash.size() != 2 * kHashBytes ||
      !absl::HexStringToBytes(hash, &entry.hash)) {
    return absl::InvalidArgumentError("does not begin with sha256: and 64 hexadecimal digits");
  }
  if (!IsPrincipal(words[1])) return absl::InvalidArgumentError(absl::StrCat("'", words[1], "' is no principal"));
  if (!IsRole(words[2])) {
    return absl::InvalidArgumentError(absl::StrCat("'", words[2], "' is no role; there are viewer, user and admin"));
  }
  entry.principal = words[1];
  entry.role = words[2];
  std::string problem;
  if (words[3] != "never" && !absl::ParseTime(kTimeFormat, words[3], &entry.expires, &problem)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", words[3], "' is neither 'never' nor a time as 2027-01-31T00:00:00Z"));
  }
  return std::vector<TokenEntry>{std::move(entry)};
}

std::string FormatLine(const TokenEntry& entry) {
  const std::string expires = entry.expires == absl::InfiniteFuture()
                                  ? "never"
                                  : absl::FormatTime(kTimeFormat, entry.expires, absl::UTCTimeZone());
  return absl::StrCat(kHashPrefix, absl::BytesToHexString(entry.hash), " ", entry.principal, " ", entry.role, " ",
                      expires, "\n");
}

// All that is in an open file, from its beginning.
absl::StatusOr<std::string> ReadAll(int fd, const std::string& file) {
  std::string text;
  char buffer[65536];
  for (;;) {
    ssize_t count = pread(fd, buffer, sizeof(buffer), static_cast<off_t>(text.size()));
    if (count < 0) return SystemError("cannot read", file);
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
  }
}

absl::Status WriteAll(int fd, std::string_view text, const std::string& file) {
  while (!text.empty()) {
    ssize_t count = write(fd, text.data(), text.size());
    if (count < 0) return SystemError("cannot write", file);
    text.remove_prefix(static_cast<size_t>(count));
  }
  return fsync(fd) == 0 ? absl::OkStatus() : SystemError("cannot sync", file);
}

// So that a file that is new there, or replaced, is so after a power cut.
absl::Status SyncDirectoryOf(const std::string& file) {
  const size_t slash = file.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : file.substr(0, slash + 1);
  int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot open", directory);
  absl::Cleanup close_fd = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : SystemError("cannot sync", directory);
}

// Opens the file and locks it. Who removes tokens puts another file in its place: then again.
absl::StatusOr<int> OpenLocked(const std::string& file, int flags) {
  for (;;) {
    int fd = open(file.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return SystemError("cannot open", file);
    struct stat ours, there;
    if (flock(fd, LOCK_EX) == 0 && fstat(fd, &ours) == 0 && stat(file.c_str(), &there) == 0 &&
        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
      return fd;
    }
    close(fd);
  }
}

}  // namespace

std::string TokenEntry::Id() const { return absl::BytesToHexString(hash).substr(0, kIdDigits); }

std::string MakeToken() {
  char bits[32];
  CHECK_EQ(getrandom(bits, sizeof(bits), 0), static_cast<ssize_t>(sizeof(bits))) << std::strerror(errno);
  return absl::StrCat(kTokenPrefix, absl::WebSafeBase64Escape(std::string_view(bits, sizeof(bits))));
}

std::string HashToken(std::string_view token) {
  std::string hash(kHashBytes, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

absl::StatusOr<std::vector<TokenEntry>> ParseTokenFile(std::string_view text, std::string_view file) {
  std::vector<TokenEntry> entries;
  int number = 0;
  for (std::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    absl::StatusOr<std::vector<TokenEntry>> parsed = ParseLine(line);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ":", number, ": the line ", parsed.status().message()));
    }
    entries.insert(entries.end(), parsed->begin(), parsed->end());
  }
  return entries;
}

absl::StatusOr<std::vector<TokenEntry>> ReadTokenFile(const std::string& file) {
  int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot read", file);
  absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat there;
  if (fstat(fd, &there) != 0) return SystemError("cannot read", file);
  if ((there.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(file, ": ", (there.st_mode & S_IWOTH) != 0 ? "every user" : "its group",
                     " may write to it, and so give itself a token; take that away with chmod go-w"));
  }
  absl::StatusOr<std::string> text = ReadAll(fd, file);
  if (!text.ok()) return text.status();
  return ParseTokenFile(*text, file);
}

absl::Status AddToken(const std::string& file, const TokenEntry& entry) {
  if (!IsPrincipal(entry.principal)) {
    return absl::InvalidArgumentError(absl::StrCat("'", entry.principal, "' is no name for a principal: 1 to ",
                                                   kMaxPrincipal,
                                                   " characters, letters, digits, '_', '-', '.', '@' and '+'"));
  }
  CHECK(IsRole(entry.role)) << entry.role;
  absl::StatusOr<int> fd = OpenLocked(file, O_RDWR | O_CREAT | O_APPEND);
  if (!fd.ok()) return fd.status();
  absl::Cleanup close_fd = [fd] { close(*fd); };
  absl::StatusOr<std::string> text = ReadAll(*fd, file);
  if (!text.ok()) return text.status();
  if (absl::StatusOr<std::vector<TokenEntry>> parsed = ParseTokenFile(*text, file); !parsed.ok())
    return parsed.status();
  absl::Status written =
      WriteAll(*fd, absl::StrCat(text->empty() || text->ends_with('\n') ? "" : "\n", FormatLine(entry)), file);
  // With half a line at its end, the daemon would take nothing of the file.
  if (!written.ok() && ftruncate(*fd, static_cast<off_t>(text->size())) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(written.message(), "; its last line may be incomplete: take it out by hand"));
  }
  return written.ok() ? SyncDirectoryOf(file) : written;
}

absl::StatusOr<int> RemoveTokens(const std::string& file, std::string_view id_or_principal) {
  absl::StatusOr<int> fd = OpenLocked(file, O_RDWR);
  if (!fd.ok()) return fd.status();
  absl::Cleanup close_fd = [fd] { close(*fd); };
  absl::StatusOr<std::string> text = ReadAll(*fd, file);
  if (!text.ok()) return text.status();
  int removed = 0;
  std::string kept;
  for (std::string_view line : absl::StrSplit(absl::StripSuffix(*text, "\n"), '\n')) {
    absl::StatusOr<std::vector<TokenEntry>> parsed = ParseLine(line);
    if (!parsed.ok()) return absl::InvalidArgumentError(absl::StrCat(file, ": a line ", parsed.status().message()));
    if (!parsed->empty() && (parsed->front().Id() == id_or_principal || parsed->front().principal == id_or_principal)) {
      ++removed;
    } else {
      absl::StrAppend(&kept, line, "\n");
    }
  }
  if (removed == 0) return 0;
  // Aside and renamed: the daemon reads a whole file at any time.
  const std::string aside = absl::StrCat(file, ".new");
  struct stat there;
  if (fstat(*fd, &there) != 0) return SystemError("cannot read", file);
  unlink(aside.c_str());  // left behind by one that was killed; we hold the lock
  int out = open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (out < 0) return SystemError("cannot make", aside);
  absl::Cleanup close_out = [out] { close(out); };
  absl::Status written = WriteAll(out, kept, aside);
  if (written.ok() && (fchown(out, there.st_uid, there.st_gid) != 0 || fchmod(out, there.st_mode & 0777) != 0)) {
    written = SystemError("cannot keep owner and mode of", file);
  }
  if (written.ok() && rename(aside.c_str(), file.c_str()) != 0) written = SystemError("cannot replace", file);
  if (!written.ok()) {
    unlink(aside.c_str());
    return written;
  }
  absl::Status synced = SyncDirectoryOf(file);
  if (!synced.ok()) return synced;
  return removed;
}

}  // namespace interpd
