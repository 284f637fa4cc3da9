// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/call_frame.h"

#include <string>
#include <string_view>

namespace ovc {

uint64_t find_code(const Memory& memory, const std::vector<MapLine>& lines, std::string_view object,
                   std::string_view code) {
  for (const MapLine& line : lines) {
    if (!line.runs() || file_name_of(line.path) != object) continue;
    std::string bytes(line.end - line.start, '\0');
    bytes.resize(memory.read(line.start, bytes.data(), bytes.size()));
    if (const size_t at = bytes.find(code); at != bytes.npos) return line.start + at;
  }
  return 0;
}

}  // namespace ovc

#endif
