// SPDX-License-Identifier: MIT
//
// See sqlite_file.h.
#include "tools/text/sqlite_file.h"

#include <fmt/format.h>

#include "tools/text/error.h"
#include "tools/text/output.h"

namespace ovc {

SqliteFile::SqliteFile(const std::string& path) : path_(path) {
  sqlite3* file = nullptr;
  const int status =
      sqlite3_open_v2(path.c_str(), &file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  file_.reset(file);
  if (status != SQLITE_OK) fail();
  run("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; BEGIN");
}

void SqliteFile::fail() const {
  throw Error(fmt::format("cannot write {}: {}", escaped(path_), sqlite3_errmsg(file_.get())));
}

void SqliteFile::run(const std::string& sql) {
  if (sqlite3_exec(file_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

void SqliteFile::commit() {
  run("COMMIT");
  if (sqlite3_close(file_.get()) != SQLITE_OK) fail();
  (void)file_.release();
}

SqliteRows::SqliteRows(SqliteFile& file, std::string_view table) : file_(file) {
  sqlite3_stmt* statement = nullptr;
  const auto prepare = [&](const std::string& sql) {
    if (sqlite3_prepare_v2(file.handle(), sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      file.fail();
    statement_.reset(statement);
  };
  prepare(fmt::format("SELECT * FROM {}", table));
  std::string values = "?";
  for (int i = 1; i < sqlite3_column_count(statement); ++i) values += ", ?";
  prepare(fmt::format("INSERT INTO {} VALUES ({})", table, values));
}

SqliteRows& SqliteRows::null() {
  if (sqlite3_bind_null(statement_.get(), next_++) != SQLITE_OK) file_.fail();
  return *this;
}

SqliteRows& SqliteRows::integer(int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), next_++, value) != SQLITE_OK) file_.fail();
  return *this;
}

SqliteRows& SqliteRows::integer(uint64_t value) {
  if (value <= INT64_MAX) return integer(static_cast<int64_t>(value));
  if (sqlite3_bind_double(statement_.get(), next_++, static_cast<double>(value)) != SQLITE_OK)
    file_.fail();
  return *this;
}

// Escaped: SQLite takes any bytes, but those who read its text as UTF-8 (Python) do not.
SqliteRows& SqliteRows::text(std::string_view value) {
  const std::string shown = escaped(value);
  if (sqlite3_bind_text(statement_.get(), next_++, shown.data(), static_cast<int>(shown.size()),
                        SQLITE_TRANSIENT) != SQLITE_OK)
    file_.fail();
  return *this;
}

void SqliteRows::row() {
  if (sqlite3_step(statement_.get()) != SQLITE_DONE || sqlite3_reset(statement_.get()) != SQLITE_OK)
    file_.fail();
  next_ = 1;
}

}  // namespace ovc
