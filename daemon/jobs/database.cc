#include "daemon/jobs/database.h"

#include "absl/strings/str_cat.h"
#include "daemon/errors.h"

namespace interpd::daemon {
namespace {

// Another process that reads the journal (a backup, sqlite3) may hold it for a moment.
constexpr int kBusyMilliseconds = 5000;

absl::Status ErrorOf(sqlite3* handle, const std::string& path) {
  const int code = sqlite3_errcode(handle);
  std::string message = absl::StrCat("the journal of jobs ", path, ": ", sqlite3_errmsg(handle));
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
      // SQLite says "disk I/O error" also where a file could not grow.
      return MakeError(
          absl::StatusCode::kResourceExhausted, v1::JOURNAL_FULL,
          absl::StrCat(message, "; what was accepted earlier is safe; make room on its disk and try again"),
          {{"file", path}});
    default: return MakeError(absl::StatusCode::kInternal, v1::INTERNAL_ERROR, message);
  }
}

}  // namespace

// ---- Rows -----------------------------------------------------------------------------------------------------------

Rows::~Rows() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Rows::Next() {
  if (!status_.ok() || statement_ == nullptr) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    sqlite3* handle = sqlite3_db_handle(statement_);
    status_ = ErrorOf(handle, sqlite3_db_filename(handle, "main"));
  }
  return false;
}

std::string_view Rows::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string_view()
                          : std::string_view(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

// ---- Database -------------------------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, Access access) {
  sqlite3* handle = nullptr;
  const int flags = access == Access::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  // One thread at a time: no locks of SQLite's own.
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) {
    absl::Status status = handle != nullptr ? ErrorOf(handle, path) : absl::ResourceExhaustedError("no memory");
    sqlite3_close(handle);
    return status;
  }
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  return std::unique_ptr<Database>(new Database(handle, path));
}

Database::~Database() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

absl::Status Database::Error() const { return ErrorOf(handle_, path_); }

absl::StatusOr<sqlite3_stmt*> Database::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr &&
      sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    absl::Status error = Error();
    statements_.erase(sql);
    return error;
  }
  return statement;
}

absl::Status Database::Script(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return Error();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Database::Number(const char* sql) {
  Rows rows = Query(sql);
  const int64_t number = rows.Next() ? rows.Int(0) : 0;
  if (!rows.status().ok()) return rows.status();
  return number;
}

}  // namespace interpd::daemon
