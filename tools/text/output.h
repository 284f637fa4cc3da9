// SPDX-License-Identifier: MIT
//
// What leaves ovc: text that cannot drive a terminal, figures and local times for people, JSON, and
// standard output itself, where a closed pipe is a normal end.
#pragma once
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace ovc {

// Thrown when the reader of our standard output has gone away. main() ends quietly with status 0.
struct ClosedPipe : std::exception {};
// That, or the same told by stdio.
bool is_closed_pipe(const std::exception& error);

// Buffered output, written with write(2). Append to text(), then call done().
class Out {
 public:
  Out();                          // standard output
  Out(int fd, std::string name);  // an open file, which stays open; the name is for messages
  ~Out();  // writes what is left; errors are lost there, so call flush() first
  Out(const Out&) = delete;
  Out& operator=(const Out&) = delete;

  std::string& text() { return text_; }
  void done() {
    if (text_.size() >= kFull) flush();
  }
  void flush();  // throws ClosedPipe, or Error naming what failed

 private:
  static constexpr size_t kFull = 1 << 18;
  int fd_;
  std::string name_, text_;
};

// Appends `raw` so that it shows as itself where it is printable UTF-8; control characters (C0, C1,
// DEL), characters that reorder text, bytes that are not UTF-8 and the backslash are written as
// escapes.
void append_escaped(std::string& out, std::string_view raw);
std::string escaped(std::string_view raw);
// The same between double quotes, with quotes escaped.
void append_quoted(std::string& out, std::string_view raw);

void append_number(std::string& out, uint64_t value);   // plain decimal
void append_grouped(std::string& out, uint64_t value);  // 1,073,741,828
std::string grouped(uint64_t value);
std::string counted(uint64_t count, std::string_view one);  // "1 event", "1,024 events"
std::string kb_text(
    uint64_t kb);  // "1,073,741,828 kB"; "unlimited" for kInfinite, "unknown" for kUnknown
std::string size_text(uint64_t bytes);  // "1.5 GiB", for headings; exact figures belong beside it
void append_duration(std::string& out, int64_t ns);  // "812 ns", "3.2 ms", "12.4 s"
std::string duration_text(int64_t ns);

// Local wall-clock time of a moment given in ns since 1970.
void append_clock(std::string& out, int64_t posix_ns, unsigned digits = 6);  // "14:23:33.819402"
std::string clock_text(int64_t posix_ns, unsigned digits = 6);
std::string date_text(int64_t posix_ns);  // "2026-11-22 14:23:33"
std::string iso_text(int64_t posix_ns);   // "2026-11-22T14:23:33.819402123Z", UTC, for JSON

std::string hex_text(uint64_t value);  // "0x7f..": addresses in JSON, which has no 64-bit integers

// Columns separated by two spaces, numbers right-aligned where `right` says so. Cells must be
// escaped already.
class Table {
 public:
  explicit Table(std::vector<std::string> heads,
                 std::string right = {});  // right: one character per column, 'r' or 'l'
  void row(std::vector<std::string> cells);
  void write(std::string& out, std::string_view indent = "") const;
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::string> heads_;
  std::string right_;
};

}  // namespace ovc
