// SPDX-License-Identifier: MIT
//
// The reader's parsers of /proc texts that work on memory: smaps and maps, status, meminfo,
// numbers; and what it makes of hostile text.
#include <cstdlib>

#include "tests/fuzz/checks.h"
#include "tools/host/proc_files.h"
#include "tools/host/smaps.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

namespace {

using namespace ovc;

void parse_mappings(std::string_view text) {
  MappingSums sums;
  MappingParser parser([&](const ovcshim::MappingEntry& mapping, std::string_view name) {
    if (mapping.start > mapping.end) abort();
    sums.add(mapping, name);
  });
  while (!text.empty()) {
    const size_t end = text.find('\n');
    parser.line(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  parser.end();
}

void parse_figures(std::string_view text) {
  for (const char* key : {"MemTotal:", "Committed_AS:", "CommitLimit:", "VmSize:", "Threads:",
                          "Uid:", "NSpid:", "max", ""}) {
    number_after(text, key);
    if (const auto line = line_after(text, key))
      if (line->data() < text.data() - 1 && !line->empty()) abort();
  }
  first_number(text);
}

void print(std::string_view text) {
  std::string out;
  append_escaped(out, text);
  append_quoted(out, text);
  fuzz::check_text(out);
  if (out.find('\n') != out.npos) abort();
  fuzz::check_json(json_text(Json(std::string(text))));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return -1;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 3) {
    case 0: parse_mappings(text); break;
    case 1: parse_figures(text); break;
    default: print(text);
  }
  return 0;
}
