// SPDX-License-Identifier: MIT
//
// A whole log: each format of `ovc export`, and the page of `ovc report`. A format that is JSON is
// JSON, and nothing that a log names ends the page's script or begins another.
//   input: a log, and behind it one byte: which format (modulo kFormats), with calls or another
//   weight (kVariant)
#include <stdlib.h>

#include <filesystem>

#include "tests/fuzz/checks.h"
#include "tools/commands/commands.h"
#include "tools/report/report_page.h"

namespace {

using namespace ovc;

enum Format : unsigned {
  kJson,
  kCsv,
  kSqlite,
  kPerfetto,
  kFolded,
  kOpenMetrics,
  kReport,
  kFormats
};
constexpr const char* kNames[] = {"json", "csv", "sqlite", "perfetto", "folded", "openmetrics"};
constexpr unsigned char kVariant = 0x80;

// Where files go that cannot be written to standard output; removed with the harness.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "ovc-fuzz.XXXXXX";
    if (!mkdtemp(name.data())) abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write_export(Format format, const std::string& log, bool variant) {
  static const Folder folder;
  ExportOptions options;
  options.log = log, options.to = kNames[format], options.host = "there";
  if (format == kSqlite) options.output = folder.file("export.sqlite");
  options.calls = variant && (format == kJson || format == kCsv || format == kSqlite);
  if (variant && format == kFolded) options.weight = "count";
  export_log(options);
}

// RFC 4180: a row ends with CR LF.
void erase_line_ends(std::string& text) {
  size_t to = 0;
  for (size_t at = 0; at < text.size(); ++at)
    if (text[at] != '\r' || at + 1 == text.size() || text[at + 1] != '\n') text[to++] = text[at];
  text.resize(to);
}

size_t count(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++n;
  return n;
}

void check_page(const std::string& page) {
  fuzz::check_text(page);
  if (page.empty()) return;  // refused
  for (const char* part : {"<script", "</script", "<style", "</style", "<!--", "<iframe", "<img"})
    if (count(page, part) != count(kReportTemplate, part) + count(kReportScript, part))
      fuzz::finding(part, page);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return -1;
  static fuzz::MemoryFile file;
  file.set({data, size - 1});
  const auto format = static_cast<Format>((data[size - 1] & ~kVariant) % kFormats);
  const bool variant = data[size - 1] & kVariant;
  if (format == kReport) {
    check_page(fuzz::output_of([&] { report({file.path(), ""}); }));
    return 0;
  }
  std::string text = fuzz::output_of([&] { write_export(format, file.path(), variant); });
  if (format == kCsv) erase_line_ends(text);
  fuzz::check_text(text);
  if (format == kJson) fuzz::check_json_lines(text);
  if (format == kPerfetto) fuzz::check_json(text);
  return 0;
}
