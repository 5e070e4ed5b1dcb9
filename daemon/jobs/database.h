// Database: a SQLite database as the journal of jobs uses it: statements with arguments, rows, and errors with a
// reason.
//
// Who includes this: the journal and its readers. Thread safety: none; each thread opens its own.
#ifndef INTERPD_DAEMON_JOBS_DATABASE_H_
#define INTERPD_DAEMON_JOBS_DATABASE_H_

#include <sqlite3.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace interpd::daemon {

// An argument that is bytes and not text.
struct Blob {
  std::string_view bytes;
};
// An argument that is NULL where it is empty.
struct OptionalText {
  std::string_view text;
};

// The answer to a query. Its statement is free again when this goes.
class Rows {
 public:
  Rows(Rows&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), status_(std::move(other.status_)) {}
  Rows& operator=(Rows&&) = delete;
  ~Rows();

  // Moves to the next row; false at the end, and after an error, which status() tells.
  bool Next();
  const absl::Status& status() const { return status_; }

  // Columns of this row, from 0. NULL is 0 and empty. Views hold until the next Next.
  int64_t Int(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string_view Bytes(int column) const;

 private:
  friend class Database;
  Rows(sqlite3_stmt* statement, absl::Status status) : statement_(statement), status_(std::move(status)) {}

  sqlite3_stmt* statement_;
  absl::Status status_;
};

class Database {
 public:
  enum class Access { kReadOnly, kReadWrite };

  // Makes the file if it is not there and may be written. Errors name the file.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, Access access);

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // `sql` is one statement with a '?' for each argument, and must be a literal: it is compiled once, known by its
  // address. Errors: JOURNAL_FULL if the disk has no room or fails; INTERNAL_ERROR otherwise.
  template <typename... Args>
  absl::Status Run(const char* sql, const Args&... args) {
    Rows rows = Query(sql, args...);
    while (rows.Next()) {
    }
    return rows.status();
  }
  template <typename... Args>
  Rows Query(const char* sql, const Args&... args) {
    absl::StatusOr<sqlite3_stmt*> statement = Prepare(sql);
    if (!statement.ok()) return Rows(nullptr, statement.status());
    [[maybe_unused]] int position = 0;
    int bound = SQLITE_OK;
    ((bound = bound == SQLITE_OK ? Bind(*statement, ++position, args) : bound), ...);
    return Rows(*statement, bound == SQLITE_OK ? absl::OkStatus() : Error());
  }
  // Several statements without arguments.
  absl::Status Script(const char* sql);

  // The first column of the first row, as for PRAGMAs; 0 if there is none.
  absl::StatusOr<int64_t> Number(const char* sql);

  int64_t last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }
  // Whether a transaction is open: an error may have ended it.
  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
  const std::string& path() const { return path_; }

 private:
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  absl::StatusOr<sqlite3_stmt*> Prepare(const char* sql);
  absl::Status Error() const;

  template <std::integral T>
  static int Bind(sqlite3_stmt* statement, int position, T value) {
    return sqlite3_bind_int64(statement, position, static_cast<int64_t>(value));
  }
  // The bytes must live until the row is there: SQLite does not copy them.
  static int Bind(sqlite3_stmt* statement, int position, std::string_view text) {
    return sqlite3_bind_text64(statement, position, text.data() != nullptr ? text.data() : "", text.size(),
                               SQLITE_STATIC, SQLITE_UTF8);
  }
  static int Bind(sqlite3_stmt* statement, int position, Blob blob) {
    return sqlite3_bind_blob64(statement, position, blob.bytes.data() != nullptr ? blob.bytes.data() : "",
                               blob.bytes.size(), SQLITE_STATIC);
  }
  static int Bind(sqlite3_stmt* statement, int position, OptionalText optional) {
    return optional.text.empty() ? sqlite3_bind_null(statement, position) : Bind(statement, position, optional.text);
  }

  sqlite3* const handle_;
  const std::string path_;
  absl::flat_hash_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_JOBS_DATABASE_H_
