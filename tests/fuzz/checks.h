// SPDX-License-Identifier: MIT
//
// What must hold of everything that ovc prints, whatever it read. A violation aborts: a finding.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace ovc::fuzz {

[[noreturn]] void finding(const char* what, std::string_view text);
// No control character but newlines, none of the second set (U+0080 ... U+009F), nothing but UTF-8:
// nothing that drives a terminal.
void check_text(std::string_view text);
// Each line (or the whole, if it is one value) is JSON.
void check_json_lines(std::string_view text);
void check_json(std::string_view text);

// A file in memory that has a path.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }
  int fd() const { return fd_; }
  void set(std::span<const unsigned char> bytes);
  std::string text() const;

 private:
  int fd_;
  std::string path_;
};

// What `work` writes to standard output. Its errors of the kind that ovc reports (std::exception)
// are part of the answer: their text is checked, and what was printed before them returned.
std::string output_of(const std::function<void()>& work);

}  // namespace ovc::fuzz
