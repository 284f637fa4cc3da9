// SPDX-License-Identifier: MIT
//
// Just enough of SQLite to fill a new database: errors as exceptions, rows by one prepared
// statement for each table.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ovc {

class SqliteFile {
 public:
  explicit SqliteFile(const std::string& path);  // one transaction from here to commit(); no
                                                 // journal: the file is new
  void run(const std::string& sql);
  void commit();
  sqlite3* handle() const { return file_.get(); }
  [[noreturn]] void fail() const;

 private:
  struct Close {
    void operator()(sqlite3* file) const { sqlite3_close(file); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> file_;
};

// Values in the order of the columns, then row().
class SqliteRows {
 public:
  SqliteRows(SqliteFile& file, std::string_view table);  // which must be there
  SqliteRows& null();
  SqliteRows& integer(int64_t value);
  SqliteRows& integer(uint64_t value);  // REAL if it has no room in an INTEGER
  SqliteRows& text(std::string_view value);
  SqliteRows& text_or_null(std::string_view value) { return value.empty() ? null() : text(value); }
  template <typename Value>
  SqliteRows& figure(const std::optional<Value>& value) {
    if (!value) return null();
    if constexpr (std::is_signed_v<Value> || std::is_same_v<Value, bool>)
      return integer(static_cast<int64_t>(*value));
    else return integer(static_cast<uint64_t>(*value));
  }
  template <typename Value>
  SqliteRows& scaled(const std::optional<Value>& value, Value unit) {
    const auto product = value ? static_cast<uint64_t>(*value) * static_cast<uint64_t>(unit) : 0;
    return figure(value ? std::optional(static_cast<Value>(product)) : std::nullopt);
  }
  void row();

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  SqliteFile& file_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int next_ = 1;
};

}  // namespace ovc
