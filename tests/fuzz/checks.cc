// SPDX-License-Identifier: MIT
#include "tests/fuzz/checks.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>

namespace ovc::fuzz {
namespace {

// Length of the UTF-8 sequence that the text begins with, 0 if it begins with none.
size_t sequence(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80   ? 1
                        : lead < 0xc2 ? 0
                        : lead < 0xe0 ? 2
                        : lead < 0xf0 ? 3
                        : lead < 0xf5 ? 4
                                      : 0;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((text[i] & 0xc0) != 0x80) return 0;
  return length;
}

}  // namespace

void finding(const char* what, std::string_view text) {
  fprintf(stderr, "FINDING: %s: %.*s\n", what, static_cast<int>(text.size()), text.data());
  abort();
}

void check_text(std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    const auto lead = static_cast<unsigned char>(rest[0]);
    const size_t length = sequence(rest);
    if (length == 0) finding("not UTF-8", text);
    if ((lead < 0x20 && lead != '\n') || lead == 0x7f) finding("a control character", text);
    if (lead == 0xc2 && static_cast<unsigned char>(rest[1]) < 0xa0)
      finding("a control character of the second set", text);
    rest.remove_prefix(length);
  }
}

void check_json(std::string_view text) {
  if (!text.empty() && !nlohmann::json::accept(text)) finding("not JSON", text);
}

void check_json_lines(std::string_view text) {
  if (nlohmann::json::accept(text)) return;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    check_json(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
}

MemoryFile::MemoryFile()
    : fd_(memfd_create("input", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {}
MemoryFile::~MemoryFile() { close(fd_); }

void MemoryFile::set(std::span<const unsigned char> bytes) {
  const bool done = ftruncate(fd_, 0) == 0 && pwrite(fd_, bytes.data(), bytes.size(), 0) ==
                                                  static_cast<ssize_t>(bytes.size());
  if (!done) abort();
}

std::string MemoryFile::text() const {
  std::string text(static_cast<size_t>(lseek(fd_, 0, SEEK_END)), '\0');
  if (pread(fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) abort();
  return text;
}

std::string output_of(const std::function<void()>& work) {
  static MemoryFile sink;
  static const bool redirected = dup2(sink.fd(), STDOUT_FILENO) == STDOUT_FILENO;
  if (!redirected) abort();
  if (ftruncate(sink.fd(), 0) != 0 || lseek(sink.fd(), 0, SEEK_SET) != 0) abort();
  try {
    work();
  } catch (const std::exception& error) { check_text(error.what()); }
  fflush(stdout);
  return sink.text();
}

}  // namespace ovc::fuzz
